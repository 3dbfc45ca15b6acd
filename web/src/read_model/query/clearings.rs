//! Clearings: prices, volumes, and the steps of demand and supply.

use std::collections::BTreeMap;

use market::Overflow;
use market::clearing::{EdgeResult, ZoneResult};
use market::energy::Energy;
use market::gate::GateIndex;
use market::money::Money;
use market::order::Side;
use market::price::Price;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::{Flows, ZoneId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::read_model::write::side_word;
use crate::read_model::{
    QueryError, ReadModel, StoreError, count, energy, gate, money, price, price_if_any, zone,
};

/// What a gate decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clearing {
    /// The delivery period.
    pub(crate) period: DeliveryPeriod,
    /// The gate.
    pub(crate) gate: GateIndex,
    /// The block in which it was cleared.
    pub(crate) height: u64,
    /// When the gate closed by the rules.
    pub(crate) closed_at: Timestamp,
    /// What buyers pay per kWh on average; `None` if nothing was traded.
    pub(crate) price: Option<Price>,
    /// What sellers get per kWh on average; `None` if nothing was traded.
    pub(crate) seller_price: Option<Price>,
    /// How much was traded.
    pub(crate) volume: Energy,
    /// What it was worth to all together.
    pub(crate) welfare: Money,
    /// How many bids there were.
    pub(crate) bids_count: u64,
    /// How many offers there were.
    pub(crate) offers_count: u64,
}

/// All gates of a delivery period together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PeriodPrice {
    /// What buyers pay on average at the last gate at which something was traded.
    pub(crate) price: Option<Price>,
    /// What sellers get on average at the same gate.
    pub(crate) seller_price: Option<Price>,
    /// The volume of all gates.
    pub(crate) volume: Energy,
    /// The welfare of all gates.
    pub(crate) welfare: Money,
}

impl PeriodPrice {
    /// Adds a later gate.
    fn add(&mut self, clearing: &Clearing) -> Result<(), Overflow> {
        self.price = clearing.price.or(self.price);
        self.seller_price = clearing.seller_price.or(self.seller_price);
        self.volume = self.volume.plus(clearing.volume)?;
        self.welfare = self.welfare.plus(clearing.welfare)?;
        Ok(())
    }
}

/// A query over clearings with all columns that [`ReadModel::clearing`] reads.
macro_rules! clearings {
    ($rest:literal) => {
        concat!(
            "SELECT period_start_ms, gate, height, closed_at_ms, price, seller_price, volume_wh, ",
            "welfare, bids_count, offers_count FROM clearings ",
            $rest
        )
    };
}

impl ReadModel {
    /// The last cleared gate.
    pub(crate) async fn latest_clearing(&self) -> Result<Option<Clearing>, StoreError> {
        self.asked(async {
            let query = clearings!("ORDER BY height DESC, period_start_ms DESC LIMIT 1");
            let row = sqlx::query(query).fetch_optional(&self.pool).await?;
            row.map(|row| self.clearing(&row)).transpose()
        })
        .await
    }

    /// The last cleared gate of the delivery period that starts at an instant.
    pub(crate) async fn clearing_of(
        &self,
        period_start_ms: i64,
    ) -> Result<Option<Clearing>, StoreError> {
        self.asked(async {
            let query = clearings!("WHERE period_start_ms = $1 ORDER BY gate DESC LIMIT 1");
            let row = sqlx::query(query).bind(period_start_ms).fetch_optional(&self.pool).await?;
            row.map(|row| self.clearing(&row)).transpose()
        })
        .await
    }

    /// The cleared delivery periods that start in `[from_ms, to_ms)`.
    pub(crate) async fn prices(
        &self,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<BTreeMap<DeliveryPeriod, PeriodPrice>, StoreError> {
        self.asked(async {
            let query = clearings!(
                "WHERE period_start_ms >= $1 AND period_start_ms < $2 ORDER BY period_start_ms, gate"
            );
            let rows = sqlx::query(query).bind(from_ms).bind(to_ms).fetch_all(&self.pool).await?;
            let mut prices: BTreeMap<DeliveryPeriod, PeriodPrice> = BTreeMap::new();
            for row in &rows {
                let clearing = self.clearing(row)?;
                prices.entry(clearing.period).or_default().add(&clearing)?;
            }
            Ok(prices)
        })
        .await
    }

    /// The steps of demand (falling limits) or supply (rising limits) of a gate.
    pub(crate) async fn steps(
        &self,
        clearing: &Clearing,
        side: Side,
    ) -> Result<Vec<(Price, Energy)>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT limit_price, energy_wh FROM clearing_steps \
                 WHERE period_start_ms = $1 AND gate = $2 AND side = $3 ORDER BY place",
            )
            .bind(clearing.period.start().as_millis())
            .bind(i64::from(clearing.gate.0))
            .bind(side_word(side))
            .fetch_all(&self.pool)
            .await?;
            rows.iter()
                .map(|row| Ok((price(row, "limit_price")?, energy(row, "energy_wh")?)))
                .collect()
        })
        .await
    }

    /// The price of each zone at a gate, by number.
    pub(crate) async fn zones(&self, clearing: &Clearing) -> Result<Vec<ZoneResult>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT zone, price, bought_wh, sold_wh FROM clearing_zones \
                 WHERE period_start_ms = $1 AND gate = $2 ORDER BY zone",
            )
            .bind(clearing.period.start().as_millis())
            .bind(i64::from(clearing.gate.0))
            .fetch_all(&self.pool)
            .await?;
            let read = |row: &SqliteRow| {
                Ok(ZoneResult {
                    zone: zone(row, "zone")?,
                    price: price_if_any(row, "price")?,
                    bought: energy(row, "bought_wh")?,
                    sold: energy(row, "sold_wh")?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// What a gate decided for the edge above each zone but the root, by number.
    pub(crate) async fn edges(&self, clearing: &Clearing) -> Result<Vec<EdgeResult>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT zone, flow_wh, charge, rent FROM clearing_edges \
                 WHERE period_start_ms = $1 AND gate = $2 ORDER BY zone",
            )
            .bind(clearing.period.start().as_millis())
            .bind(i64::from(clearing.gate.0))
            .fetch_all(&self.pool)
            .await?;
            let read = |row: &SqliteRow| {
                Ok(EdgeResult {
                    zone: zone(row, "zone")?,
                    flow: energy(row, "flow_wh")?,
                    charge: money(row, "charge")?,
                    rent: money(row, "rent")?,
                })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    /// What flows over each edge after the gates of the period before this one.
    pub(crate) async fn earlier_flows(&self, clearing: &Clearing) -> Result<Flows, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT zone, flow_wh FROM clearing_edges \
                 WHERE period_start_ms = $1 AND gate < $2",
            )
            .bind(clearing.period.start().as_millis())
            .bind(i64::from(clearing.gate.0))
            .fetch_all(&self.pool)
            .await?;
            let mut flows = Flows::default();
            for row in &rows {
                flows.add(zone(row, "zone")?, energy(row, "flow_wh")?)?;
            }
            Ok(flows)
        })
        .await
    }

    /// The prices of one zone for the delivery periods that start in `[from_ms, to_ms)`: of each
    /// the last gate that had one.
    pub(crate) async fn zone_prices(
        &self,
        of: ZoneId,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<BTreeMap<DeliveryPeriod, Price>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT period_start_ms, price FROM clearing_zones \
                 WHERE zone = $1 AND period_start_ms >= $2 AND period_start_ms < $3 \
                 AND price IS NOT NULL ORDER BY period_start_ms, gate",
            )
            .bind(i64::from(of.0))
            .bind(from_ms)
            .bind(to_ms)
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(|row| Ok((self.period(row)?, price(row, "price")?))).collect()
        })
        .await
    }

    fn clearing(&self, row: &SqliteRow) -> Result<Clearing, QueryError> {
        Ok(Clearing {
            period: self.period(row)?,
            gate: gate(row)?,
            height: count(row, "height")?,
            closed_at: Timestamp::from_millis(row.try_get("closed_at_ms")?),
            price: price_if_any(row, "price")?,
            seller_price: price_if_any(row, "seller_price")?,
            volume: energy(row, "volume_wh")?,
            welfare: money(row, "welfare")?,
            bids_count: count(row, "bids_count")?,
            offers_count: count(row, "offers_count")?,
        })
    }
}
