//! The neighbourhood in one delivery period, and over a day.

use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::Origin;
use market::settlement::PartySettlement;
use market::time::DeliveryPeriod;

use crate::local_time::LocalDay;
use crate::read_model::query::settled::settlement;
use crate::read_model::{ReadModel, StoreError, count, energy, money, origin_if_any, parsed};

/// A household in one delivery period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    /// Whose.
    pub(crate) party: PartyId,
    /// How it came out.
    pub(crate) settlement: PartySettlement,
    /// What it said its offers for the period are made of.
    pub(crate) origin: Option<Origin>,
}

/// The settled delivery periods of a day, all households together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DayTotals {
    /// Traded between neighbours.
    pub(crate) traded: Energy,
    /// In how many trades.
    pub(crate) trades_count: u64,
    /// By how much all together are better off than with the supplier alone.
    pub(crate) saved: Money,
}

impl ReadModel {
    /// The latest settled delivery period.
    pub(crate) async fn last_settled(&self) -> Result<Option<DeliveryPeriod>, StoreError> {
        self.asked(async {
            let query =
                "SELECT period_start_ms FROM settled_periods ORDER BY period_start_ms DESC LIMIT 1";
            let row = sqlx::query(query).fetch_optional(&self.pool).await?;
            row.map(|row| self.period(&row)).transpose()
        })
        .await
    }

    /// How many delivery periods have been both cleared and settled, over all time.
    pub(crate) async fn settled_periods_count(&self) -> Result<u64, StoreError> {
        self.asked(async {
            let query = "SELECT COUNT(*) AS periods_count FROM settled_periods WHERE EXISTS \
                         (SELECT 1 FROM clearings c \
                         WHERE c.period_start_ms = settled_periods.period_start_ms)";
            count(&sqlx::query(query).fetch_one(&self.pool).await?, "periods_count")
        })
        .await
    }

    /// All households in a settled delivery period, by party.
    pub(crate) async fn homes(&self, period: DeliveryPeriod) -> Result<Vec<Home>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT s.*, o.origin FROM settlements s \
                 LEFT JOIN declared_origins o \
                 ON o.party = s.party AND o.period_start_ms = s.period_start_ms \
                 WHERE s.period_start_ms = $1 ORDER BY s.party",
            )
            .bind(period.start().as_millis())
            .fetch_all(&self.pool)
            .await?;
            let read = |row| {
                Ok(Home {
                    party: parsed(row, "party")?,
                    settlement: settlement(row)?,
                    origin: origin_if_any(row)?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// What the settled delivery periods of a local day come to.
    pub(crate) async fn day_totals(&self, day: &LocalDay) -> Result<DayTotals, StoreError> {
        self.asked(async {
            let row = sqlx::query(
                "SELECT COUNT(*) AS trades_count, \
                 CAST(COALESCE(SUM(energy_wh), 0) AS BIGINT) AS energy_wh FROM trades \
                 WHERE period_start_ms >= $1 AND period_start_ms < $2 AND EXISTS \
                 (SELECT 1 FROM settled_periods s WHERE s.period_start_ms = trades.period_start_ms)",
            )
            .bind(day.start.as_millis())
            .bind(day.end.as_millis())
            .fetch_one(&self.pool)
            .await?;
            let (traded, trades_count) = (energy(&row, "energy_wh")?, count(&row, "trades_count")?);
            let row = sqlx::query(
                "SELECT CAST(COALESCE(SUM(net - net_grid_only), 0) AS BIGINT) AS saved \
                 FROM settlements WHERE period_start_ms >= $1 AND period_start_ms < $2",
            )
            .bind(day.start.as_millis())
            .bind(day.end.as_millis())
            .fetch_one(&self.pool)
            .await?;
            Ok(DayTotals { traded, trades_count, saved: money(&row, "saved")? })
        })
        .await
    }
}
