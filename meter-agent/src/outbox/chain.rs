//! What the ledger has decided about this household, as far as it is kept.

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::results::Settled;
use market::hash::Digest;
use market::order::Side;
use market::rules::MarketRules;
use market::settlement::PartySettlement;
use market::tariff::Rates;
use market::time::DeliveryPeriod;
use sqlx::sqlite::SqliteConnection;

use crate::outbox::{
    ChainPosition, Outbox, OutboxError, POSITION, TOTALS, get_meta, kind_code, period_code,
    put_meta,
};
use crate::signer::MessageKey;

/// One of this household's transactions, found in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnTransaction {
    /// Its hash.
    pub hash: Digest,
    /// What it is.
    pub key: MessageKey,
    /// Its sequence.
    pub sequence: u64,
}

/// How far a gate has filled this household's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Of which period.
    pub period: DeliveryPeriod,
    /// Bid or offer.
    pub side: Side,
    /// The gate's number.
    pub gate: u8,
    /// How much, in Wh.
    pub filled_wh: i64,
}

/// What one block means to this household.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEffects {
    /// Where the chain stands after it.
    pub position: ChainPosition,
    /// This household's transactions in it.
    pub own: Vec<OwnTransaction>,
    /// What it filled.
    pub fills: Vec<Fill>,
    /// What it settled.
    pub settled: Vec<Settled>,
}

/// All settlements so far, summed. Energies in Wh, money in micro-units of the currency.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Totals {
    /// How many delivery periods are settled.
    pub settled_periods: u64,
    /// Sold to neighbours.
    pub sold_wh: i64,
    /// Bought from neighbours.
    pub bought_wh: i64,
    /// Drawn from the grid.
    pub imported_wh: i64,
    /// Fed into the grid.
    pub exported_wh: i64,
    /// Earned; negative if paid.
    pub net_income_micros: i64,
    /// What would have been earned with the supplier alone.
    pub without_market_micros: i64,
}

impl Totals {
    /// Adds a settlement, or takes it out again (`sign` -1).
    fn add(&mut self, settlement: &PartySettlement, rates: &Rates, sign: i64) {
        let sum = |total: &mut i64, part: i64| {
            *total = total.saturating_add(part.saturating_mul(sign));
        };
        let income = settlement.net_income().unwrap_or_default();
        let without = settlement.net_income_without_market(rates).unwrap_or_default();
        sum(&mut self.sold_wh, settlement.sold.wh());
        sum(&mut self.bought_wh, settlement.bought.wh());
        sum(&mut self.imported_wh, settlement.metered.imported.wh());
        sum(&mut self.exported_wh, settlement.metered.exported.wh());
        sum(&mut self.net_income_micros, income.micros());
        sum(&mut self.without_market_micros, without.micros());
        self.settled_periods = self.settled_periods.saturating_add_signed(sign);
    }
}

impl Outbox {
    /// Keeps what a block means to this household, and how far the chain is followed; all or
    /// nothing. Keeping the same block again changes nothing.
    ///
    /// # Errors
    /// [`OutboxError`] if the database refuses.
    pub async fn keep_block(
        &self,
        effects: &BlockEffects,
        rules: &MarketRules,
    ) -> Result<Totals, OutboxError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let connection: &mut SqliteConnection = &mut transaction;
        for own in &effects.own {
            mark_committed(connection, own, effects.position.height).await?;
        }
        for fill in &effects.fills {
            keep_fill(connection, fill).await?;
        }
        let mut totals: Totals = get_meta(connection, TOTALS).await?.unwrap_or_default();
        for settled in &effects.settled {
            let rates = rules.rates(settled.period);
            if let Some(before) = replace_settlement(connection, settled).await? {
                totals.add(&before, &rates, -1);
            }
            totals.add(&settled.settlement, &rates, 1);
        }
        if !effects.settled.is_empty() {
            put_meta(connection, TOTALS, &totals).await?;
        }
        put_meta(connection, POSITION, &effects.position).await?;
        transaction.commit().await?;
        Ok(totals)
    }
}

/// Notes the height, and raises the sequence where the block knows a higher one: an outbox that was
/// lost learns from the chain where its sequences stand.
async fn mark_committed(
    connection: &mut SqliteConnection,
    own: &OwnTransaction,
    height: u64,
) -> Result<(), OutboxError> {
    sqlx::query("UPDATE messages SET committed_height = ? WHERE hash = ?")
        .bind(i64::try_from(height).unwrap_or(i64::MAX))
        .bind(own.hash.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO sequences (kind, period_start, last) VALUES (?, ?, ?) \
         ON CONFLICT (kind, period_start) DO UPDATE SET last = MAX(last, excluded.last)",
    )
    .bind(kind_code(own.key.kind))
    .bind(period_code(own.key))
    .bind(i64::try_from(own.sequence).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

async fn keep_fill(connection: &mut SqliteConnection, fill: &Fill) -> Result<(), OutboxError> {
    sqlx::query(
        "INSERT INTO fills (kind, period_start, gate, filled_wh) VALUES (?, ?, ?, ?) \
         ON CONFLICT (kind, period_start, gate) DO UPDATE SET filled_wh = excluded.filled_wh",
    )
    .bind(kind_code(fill.side.into()))
    .bind(fill.period.start().as_millis())
    .bind(i64::from(fill.gate))
    .bind(fill.filled_wh)
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts a settlement in the place of the one before, which it hands out.
async fn replace_settlement(
    connection: &mut SqliteConnection,
    settled: &Settled,
) -> Result<Option<PartySettlement>, OutboxError> {
    let damaged = || OutboxError::Damaged { what: "a settlement" };
    let start_ms = settled.period.start().as_millis();
    let before: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT settlement FROM settlements WHERE period_start = ?")
            .bind(start_ms)
            .fetch_optional(&mut *connection)
            .await?;
    let before =
        before.map(|bytes| borsh::from_slice(&bytes).map_err(|_| damaged())).transpose()?;
    sqlx::query(
        "INSERT INTO settlements (period_start, settlement) VALUES (?, ?) \
         ON CONFLICT (period_start) DO UPDATE SET settlement = excluded.settlement",
    )
    .bind(start_ms)
    .bind(borsh::to_vec(&settled.settlement).map_err(|_| damaged())?)
    .execute(connection)
    .await?;
    Ok(before)
}
