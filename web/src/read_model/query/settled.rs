//! What was settled: settlements of parties, and certificates of origin.

use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::{Origin, Side};
use market::reading::Quality;
use market::settlement::{Metered, PartySettlement};
use market::time::DeliveryPeriod;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

use crate::local_time::LocalDay;
use crate::read_model::{QueryError, ReadModel, StoreError, damaged, energy, money, origin_if_any};

/// A party's settlement of a delivery period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SettledPeriod {
    /// Of when.
    pub(crate) period: DeliveryPeriod,
    /// The figures.
    pub(crate) settlement: PartySettlement,
    /// What the party earned; negative if it paid.
    pub(crate) net: Money,
    /// What it would have earned with the supplier alone.
    pub(crate) net_grid_only: Money,
}

impl ReadModel {
    /// A party's settled delivery periods of a local day, in order.
    pub(crate) async fn settled_periods(
        &self,
        party: &PartyId,
        day: &LocalDay,
    ) -> Result<Vec<SettledPeriod>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT * FROM settlements \
                 WHERE party = $1 AND period_start_ms >= $2 AND period_start_ms < $3 \
                 ORDER BY period_start_ms",
            )
            .bind(party.to_string())
            .bind(day.start.as_millis())
            .bind(day.end.as_millis())
            .fetch_all(&self.pool)
            .await?;
            let read = |row: &SqliteRow| {
                Ok(SettledPeriod {
                    period: self.period(row)?,
                    settlement: settlement(row)?,
                    net: money(row, "net")?,
                    net_grid_only: money(row, "net_grid_only")?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// The energy of a local day that is certified to a party, by origin: [`Side::Buy`] what
    /// neighbours delivered to it, [`Side::Sell`] what it delivered to them.
    pub(crate) async fn certified(
        &self,
        party: &PartyId,
        side: Side,
        day: &LocalDay,
    ) -> Result<BTreeMap<Origin, Energy>, StoreError> {
        let query = match side {
            Side::Buy => {
                "SELECT origin, CAST(SUM(energy_wh) AS BIGINT) AS energy_wh \
                 FROM origin_certificates WHERE consumer = $1 AND period_start_ms >= $2 \
                 AND period_start_ms < $3 GROUP BY origin"
            }
            Side::Sell => {
                "SELECT origin, CAST(SUM(energy_wh) AS BIGINT) AS energy_wh \
                 FROM origin_certificates WHERE producer = $1 AND period_start_ms >= $2 \
                 AND period_start_ms < $3 GROUP BY origin"
            }
        };
        self.asked(async {
            let rows = sqlx::query(query)
                .bind(party.to_string())
                .bind(day.start.as_millis())
                .bind(day.end.as_millis())
                .fetch_all(&self.pool)
                .await?;
            let mut certified = BTreeMap::new();
            for row in &rows {
                // What was issued may have been withdrawn again.
                let energy = energy(row, "energy_wh")?;
                if let Some(origin) = origin_if_any(row)?.filter(|_| !energy.is_zero()) {
                    certified.insert(origin, energy);
                }
            }
            Ok(certified)
        })
        .await
    }
}

/// The settlement in a row that has all of its columns.
pub(crate) fn settlement(row: &SqliteRow) -> Result<PartySettlement, QueryError> {
    let word: String = row.try_get("quality")?;
    let quality = match word.as_str() {
        "ok" => Quality::Ok,
        "estimated" => Quality::Estimated,
        "missing" => Quality::Missing,
        _ => return Err(damaged("quality", word)),
    };
    let metered = Metered {
        imported: energy(row, "imported_wh")?,
        exported: energy(row, "exported_wh")?,
        quality,
    };
    Ok(PartySettlement {
        sold: energy(row, "sold_wh")?,
        bought: energy(row, "bought_wh")?,
        metered,
        surplus: energy(row, "surplus_wh")?,
        missing: energy(row, "missing_wh")?,
        extra: energy(row, "extra_wh")?,
        not_taken: energy(row, "not_taken_wh")?,
        pooled_long: energy(row, "pooled_long_wh")?,
        pooled_short: energy(row, "pooled_short_wh")?,
        supplied: energy(row, "supplied_wh")?,
        fed_in: energy(row, "fed_in_wh")?,
        trade_income: money(row, "trade_income")?,
        trade_cost: money(row, "trade_cost")?,
        trade_wheeling: money(row, "trade_wheeling")?,
        congestion_rent: money(row, "congestion_rent")?,
        pool_income: money(row, "pool_income")?,
        pool_cost: money(row, "pool_cost")?,
        pool_wheeling: money(row, "pool_wheeling")?,
        supplier_income: money(row, "supplier_income")?,
        supplier_cost: money(row, "supplier_cost")?,
        levies: money(row, "levies")?,
        tax: money(row, "tax")?,
    })
}
