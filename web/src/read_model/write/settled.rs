//! Writing what was settled: settlements, certificates of origin, postings.

use ledger::posting::Cause;

use crate::read_model::projection::{BlockRows, SettlementRow};
use crate::read_model::write::{Tx, account_word, length, origin_word, quality_word};
use crate::read_model::{QueryError, column};

/// A party's settlement of a period, in place of an earlier one.
pub(super) async fn write_settlement(
    tx: &mut Tx<'_>,
    height: i64,
    row: &SettlementRow,
) -> Result<(), QueryError> {
    let (party, settlement) = (row.settled.party, row.settled.settlement);
    sqlx::query(
        "INSERT INTO settlements (period_start_ms, party, height, result_index, imported_wh, \
         exported_wh, quality, sold_wh, bought_wh, surplus_wh, missing_wh, extra_wh, \
         not_taken_wh, pooled_long_wh, pooled_short_wh, supplied_wh, fed_in_wh, \
         trade_income, trade_cost, trade_wheeling, congestion_rent, pool_income, pool_cost, \
         pool_wheeling, supplier_income, supplier_cost, levies, tax, net, net_grid_only) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
         $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30) \
         ON CONFLICT (period_start_ms, party) DO UPDATE SET height = excluded.height, \
         result_index = excluded.result_index, imported_wh = excluded.imported_wh, \
         exported_wh = excluded.exported_wh, quality = excluded.quality, \
         sold_wh = excluded.sold_wh, bought_wh = excluded.bought_wh, \
         surplus_wh = excluded.surplus_wh, missing_wh = excluded.missing_wh, \
         extra_wh = excluded.extra_wh, not_taken_wh = excluded.not_taken_wh, \
         pooled_long_wh = excluded.pooled_long_wh, \
         pooled_short_wh = excluded.pooled_short_wh, supplied_wh = excluded.supplied_wh, \
         fed_in_wh = excluded.fed_in_wh, trade_income = excluded.trade_income, \
         trade_cost = excluded.trade_cost, trade_wheeling = excluded.trade_wheeling, \
         congestion_rent = excluded.congestion_rent, pool_income = excluded.pool_income, \
         pool_cost = excluded.pool_cost, pool_wheeling = excluded.pool_wheeling, \
         supplier_income = excluded.supplier_income, supplier_cost = excluded.supplier_cost, \
         levies = excluded.levies, tax = excluded.tax, net = excluded.net, \
         net_grid_only = excluded.net_grid_only",
    )
    .bind(row.settled.period.start().as_millis())
    .bind(party.to_string())
    .bind(height)
    .bind(length(row.index)?)
    .bind(settlement.metered.imported.wh())
    .bind(settlement.metered.exported.wh())
    .bind(quality_word(settlement.metered.quality))
    .bind(settlement.sold.wh())
    .bind(settlement.bought.wh())
    .bind(settlement.surplus.wh())
    .bind(settlement.missing.wh())
    .bind(settlement.extra.wh())
    .bind(settlement.not_taken.wh())
    .bind(settlement.pooled_long.wh())
    .bind(settlement.pooled_short.wh())
    .bind(settlement.supplied.wh())
    .bind(settlement.fed_in.wh())
    .bind(settlement.trade_income.micros())
    .bind(settlement.trade_cost.micros())
    .bind(settlement.trade_wheeling.micros())
    .bind(settlement.congestion_rent.micros())
    .bind(settlement.pool_income.micros())
    .bind(settlement.pool_cost.micros())
    .bind(settlement.pool_wheeling.micros())
    .bind(settlement.supplier_income.micros())
    .bind(settlement.supplier_cost.micros())
    .bind(settlement.levies.micros())
    .bind(settlement.tax.micros())
    .bind(row.net.micros())
    .bind(row.net_grid_only.micros())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO settled_periods (period_start_ms) VALUES ($1) \
         ON CONFLICT (period_start_ms) DO NOTHING",
    )
    .bind(row.settled.period.start().as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was issued or withdrawn.
pub(super) async fn write_certificates(
    tx: &mut Tx<'_>,
    height: i64,
    rows: &BlockRows,
) -> Result<(), QueryError> {
    for (index, one) in &rows.certificates {
        sqlx::query(
            "INSERT INTO origin_certificates (height, result_index, period_start_ms, producer, \
             consumer, origin, energy_wh) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(height)
        .bind(length(*index)?)
        .bind(one.period.start().as_millis())
        .bind(one.producer.to_string())
        .bind(one.consumer.to_string())
        .bind(origin_word(one.origin))
        .bind(one.energy.wh())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Money that moved.
pub(super) async fn write_postings(
    tx: &mut Tx<'_>,
    height: i64,
    rows: &BlockRows,
) -> Result<(), QueryError> {
    for (index, posting) in &rows.postings {
        sqlx::query(
            "INSERT INTO postings (number, height, result_index, period_start_ms, debit, credit, \
             amount, cause) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(column(posting.number, "a posting number")?)
        .bind(height)
        .bind(length(*index)?)
        .bind(posting.period.start().as_millis())
        .bind(account_word(&posting.debit))
        .bind(account_word(&posting.credit))
        .bind(posting.amount.micros())
        .bind(cause_word(posting.cause))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Trade => "trade",
        Cause::TradeWheeling => "trade_wheeling",
        Cause::CongestionRent => "congestion_rent",
        Cause::PoolShort => "pool_short",
        Cause::PoolLong => "pool_long",
        Cause::PoolWheeling => "pool_wheeling",
        Cause::Supplied => "supplied",
        Cause::FedIn => "fed_in",
        Cause::Levies => "levies",
        Cause::Tax => "tax",
        Cause::Payout => "payout",
    }
}
