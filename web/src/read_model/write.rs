//! Writing: one transaction per block, so that a block is in all tables or in none.

mod proofs;
mod settled;

use ledger::posting::Account;
use ledger::results::ClearingSummary;
use ledger::state::State;
use market::answer::Reason;
use market::order::{Origin, Side};
use market::price::Price;
use market::reading::Quality;
use sqlx::{Sqlite, Transaction};

use crate::read_model::projection::{BlockRows, ClearingRow};
use crate::read_model::{QueryError, ReadModel, StoreError, column};

type Tx<'a> = Transaction<'a, Sqlite>;

/// How many state snapshots are kept: the newest, and one to fall back on.
const SNAPSHOTS_KEPT: i64 = 2;

impl ReadModel {
    /// Writes everything that a block adds, and the state after it if one is given to keep.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the block is written then.
    pub(crate) async fn write(
        &self,
        rows: &BlockRows,
        snapshot: Option<&State>,
    ) -> Result<(), StoreError> {
        self.asked(async {
            let mut tx = self.pool.begin().await?;
            let height = column(rows.committed.block.header.height, "a height")?;
            write_block(&mut tx, height, rows).await?;
            proofs::write_transactions(&mut tx, height, rows).await?;
            proofs::write_validators(&mut tx, height, rows).await?;
            for clearing in &rows.clearings {
                write_clearing(&mut tx, height, clearing).await?;
            }
            write_trades(&mut tx, height, rows).await?;
            write_answers(&mut tx, height, rows).await?;
            write_origins(&mut tx, rows).await?;
            write_readings(&mut tx, height, rows).await?;
            for settlement in &rows.settlements {
                settled::write_settlement(&mut tx, height, settlement).await?;
            }
            settled::write_certificates(&mut tx, height, rows).await?;
            settled::write_postings(&mut tx, height, rows).await?;
            if let Some(state) = snapshot {
                write_snapshot(&mut tx, height, state).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}

async fn write_block(tx: &mut Tx<'_>, height: i64, rows: &BlockRows) -> Result<(), QueryError> {
    let (block, certificate) = (&rows.committed.block, &rows.committed.certificate);
    sqlx::query(
        "INSERT INTO blocks (height, time_ms, hash, round, transactions_count, results_count, \
         signatures_count, committed, results) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (height) DO UPDATE SET time_ms = excluded.time_ms, hash = excluded.hash, \
         round = excluded.round, transactions_count = excluded.transactions_count, \
         results_count = excluded.results_count, signatures_count = excluded.signatures_count, \
         committed = excluded.committed, results = excluded.results",
    )
    .bind(height)
    .bind(block.header.time.as_millis())
    .bind(block.hash().to_string())
    .bind(i64::from(certificate.round))
    .bind(length(block.transactions.len())?)
    .bind(length(rows.results.len())?)
    .bind(length(certificate.signatures.len())?)
    .bind(bytes(&rows.committed)?)
    .bind(bytes(&rows.results)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_clearing(tx: &mut Tx<'_>, height: i64, row: &ClearingRow) -> Result<(), QueryError> {
    let period = row.summary.period.start().as_millis();
    let gate = i64::from(row.summary.gate.0);
    sqlx::query(
        "INSERT INTO clearings (period_start_ms, gate, height, result_index, closed_at_ms, price, \
         seller_price, volume_wh, welfare, bids_count, offers_count) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(period)
    .bind(gate)
    .bind(height)
    .bind(length(row.index)?)
    .bind(row.closed_at.as_millis())
    .bind(row.summary.price.map(Price::micros_per_kwh))
    .bind(row.seller_price.map(Price::micros_per_kwh))
    .bind(row.summary.volume.wh())
    .bind(row.summary.welfare.micros())
    .bind(length(row.bids_count)?)
    .bind(length(row.offers_count)?)
    .execute(&mut **tx)
    .await?;
    for (side, steps) in [(Side::Buy, &row.demand), (Side::Sell, &row.supply)] {
        for (place, (limit, energy)) in steps.iter().enumerate() {
            sqlx::query(
                "INSERT INTO clearing_steps (period_start_ms, gate, side, place, limit_price, \
                 energy_wh) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(period)
            .bind(gate)
            .bind(side_word(side))
            .bind(length(place)?)
            .bind(limit.micros_per_kwh())
            .bind(energy.wh())
            .execute(&mut **tx)
            .await?;
        }
    }
    write_zones(tx, &row.summary).await
}

async fn write_zones(tx: &mut Tx<'_>, summary: &ClearingSummary) -> Result<(), QueryError> {
    let (period, gate) = (summary.period.start().as_millis(), i64::from(summary.gate.0));
    for zone in &summary.zones {
        sqlx::query(
            "INSERT INTO clearing_zones (period_start_ms, gate, zone, price, bought_wh, sold_wh) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(period)
        .bind(gate)
        .bind(i64::from(zone.zone.0))
        .bind(zone.price.map(Price::micros_per_kwh))
        .bind(zone.bought.wh())
        .bind(zone.sold.wh())
        .execute(&mut **tx)
        .await?;
    }
    for edge in &summary.edges {
        sqlx::query(
            "INSERT INTO clearing_edges (period_start_ms, gate, zone, flow_wh, charge, rent) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(period)
        .bind(gate)
        .bind(i64::from(edge.zone.0))
        .bind(edge.flow.wh())
        .bind(edge.charge.micros())
        .bind(edge.rent.micros())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_trades(tx: &mut Tx<'_>, height: i64, rows: &BlockRows) -> Result<(), QueryError> {
    for (index, trade) in &rows.trades {
        sqlx::query(
            "INSERT INTO trades (height, result_index, period_start_ms, gate, seller, buyer, \
             energy_wh, seller_price, buyer_price, seller_amount, buyer_amount, charge, rent, \
             path_from, path_over, path_to, origin) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(height)
        .bind(length(*index)?)
        .bind(trade.period.start().as_millis())
        .bind(i64::from(trade.gate.0))
        .bind(trade.seller.to_string())
        .bind(trade.buyer.to_string())
        .bind(trade.energy.wh())
        .bind(trade.seller_price.micros_per_kwh())
        .bind(trade.buyer_price.micros_per_kwh())
        .bind(trade.seller_amount.micros())
        .bind(trade.buyer_amount.micros())
        .bind(trade.charge.micros())
        .bind(trade.rent.micros())
        .bind(i64::from(trade.path.from.0))
        .bind(i64::from(trade.path.over.0))
        .bind(i64::from(trade.path.to.0))
        .bind(trade.origin.map(origin_word))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_answers(tx: &mut Tx<'_>, height: i64, rows: &BlockRows) -> Result<(), QueryError> {
    for (index, answer) in &rows.answers {
        let (limit, zone) = match answer.reason {
            Reason::LimitNotReached { limit }
            | Reason::NobodyLeft { limit }
            | Reason::PriceSetting { limit } => (Some(limit), None),
            Reason::EdgeFull { zone, limit } => (Some(limit), Some(zone)),
            Reason::Filled
            | Reason::SharedAtMargin
            | Reason::NoTrade
            | Reason::OwnOrderOpposite
            | Reason::Rationed
            | Reason::SharedByKey
            | Reason::NoLongerMember => (None, None),
        };
        sqlx::query(
            "INSERT INTO answers (height, result_index, order_id, party, side, period_start_ms, \
             gate, ordered_wh, filled_wh, price, averaged, reason, reason_limit, reason_zone) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(height)
        .bind(length(*index)?)
        .bind(answer.order.to_string())
        .bind(answer.party.to_string())
        .bind(side_word(answer.side))
        .bind(answer.period.start().as_millis())
        .bind(i64::from(answer.gate.0))
        .bind(answer.ordered.wh())
        .bind(answer.filled.wh())
        .bind(answer.price.map(Price::micros_per_kwh))
        .bind(i64::from(answer.averaged))
        .bind(answer.reason.code())
        .bind(limit.map(Price::micros_per_kwh))
        .bind(zone.map(|zone| i64::from(zone.0)))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_origins(tx: &mut Tx<'_>, rows: &BlockRows) -> Result<(), QueryError> {
    for ((period, party), origin) in &rows.origins {
        sqlx::query(
            "INSERT INTO declared_origins (period_start_ms, party, origin) VALUES ($1, $2, $3) \
             ON CONFLICT (period_start_ms, party) DO UPDATE SET origin = excluded.origin",
        )
        .bind(period.start().as_millis())
        .bind(party.to_string())
        .bind(origin_word(*origin))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_readings(tx: &mut Tx<'_>, height: i64, rows: &BlockRows) -> Result<(), QueryError> {
    for reading in &rows.readings {
        sqlx::query(
            "INSERT INTO readings (period_start_ms, party, height, sequence, imported_wh, \
             exported_wh, quality) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (period_start_ms, party) DO UPDATE SET height = excluded.height, \
             sequence = excluded.sequence, imported_wh = excluded.imported_wh, \
             exported_wh = excluded.exported_wh, quality = excluded.quality",
        )
        .bind(reading.period.start().as_millis())
        .bind(reading.party.to_string())
        .bind(height)
        .bind(column(reading.sequence, "a sequence")?)
        .bind(reading.imported.wh())
        .bind(reading.exported.wh())
        .bind(quality_word(reading.quality))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn write_snapshot(tx: &mut Tx<'_>, height: i64, state: &State) -> Result<(), QueryError> {
    sqlx::query(
        "INSERT INTO snapshots (height, state) VALUES ($1, $2) \
         ON CONFLICT (height) DO UPDATE SET state = excluded.state",
    )
    .bind(height)
    .bind(bytes(state)?)
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "DELETE FROM snapshots WHERE height NOT IN \
         (SELECT height FROM snapshots ORDER BY height DESC LIMIT $1)",
    )
    .bind(SNAPSHOTS_KEPT)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn bytes(value: &impl borsh::BorshSerialize) -> Result<Vec<u8>, QueryError> {
    borsh::to_vec(value).map_err(|_| QueryError::Range("an encoded value"))
}

fn length(value: usize) -> Result<i64, QueryError> {
    i64::try_from(value).map_err(|_| QueryError::Range("a length"))
}

pub(crate) fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

pub(crate) fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Solar => "solar",
        Origin::Battery => "battery",
    }
}

fn quality_word(quality: Quality) -> &'static str {
    match quality {
        Quality::Ok => "ok",
        Quality::Estimated => "estimated",
        Quality::Missing => "missing",
    }
}

pub(crate) fn account_word(account: &Account) -> String {
    match account {
        Account::Party(party) => party.to_string(),
        Account::Supplier => "supplier".to_owned(),
        Account::GridOperator => "grid_operator".to_owned(),
        Account::CongestionRent => "congestion_rent".to_owned(),
        Account::Rounding => "rounding".to_owned(),
        Account::Bank => "bank".to_owned(),
    }
}
