//! One household: its trades, its answers and its account.

use ledger::posting::Account;
use market::answer::{Answer, Reason};
use market::energy::Energy;
use market::member::PartyId;
use market::money::Money;
use market::order::{OrderId, Origin, Side};
use market::price::Price;
use market::time::DeliveryPeriod;
use market::trade::Path;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeSet;

use crate::local_time::LocalDay;
use crate::read_model::write::account_word;
use crate::read_model::{
    QueryError, ReadModel, StoreError, count, damaged, energy, gate, money, origin_if_any, parsed,
    price, price_if_any, zone,
};

/// A trade as one of its two parties sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnTrade {
    /// When the energy is delivered.
    pub(crate) period: DeliveryPeriod,
    /// Whether the party buys or sells.
    pub(crate) side: Side,
    /// How much.
    pub(crate) energy: Energy,
    /// What the seller gets per kWh.
    pub(crate) seller_price: Price,
    /// What the buyer pays per kWh.
    pub(crate) buyer_price: Price,
    /// What the party pays or gets in all.
    pub(crate) amount: Money,
    /// Wheeling charges on the way; the buyer pays them.
    pub(crate) charge: Money,
    /// What stays with the community; the buyer pays it.
    pub(crate) rent: Money,
    /// The way through the grid.
    pub(crate) path: Path,
    /// The other party.
    pub(crate) counterparty: PartyId,
    /// What the energy is made of.
    pub(crate) origin: Option<Origin>,
    /// Whether the period has been settled.
    pub(crate) settled: bool,
    /// Whether the party's own meter has counted the period.
    pub(crate) metered: bool,
    /// The block.
    pub(crate) height: u64,
    /// The place among the block's results.
    pub(crate) index: u64,
}

impl ReadModel {
    /// A party's trades for delivery on a local day, in order.
    pub(crate) async fn trades_of(
        &self,
        party: &PartyId,
        day: &LocalDay,
    ) -> Result<Vec<OwnTrade>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT period_start_ms, seller, buyer, energy_wh, seller_price, buyer_price, \
                 seller_amount, buyer_amount, charge, rent, path_from, path_over, path_to, origin, \
                 height, result_index, \
                 CASE WHEN EXISTS (SELECT 1 FROM settlements s \
                 WHERE s.party = $1 AND s.period_start_ms = trades.period_start_ms) \
                 THEN 1 ELSE 0 END AS settled, \
                 CASE WHEN EXISTS (SELECT 1 FROM readings r \
                 WHERE r.party = $1 AND r.period_start_ms = trades.period_start_ms \
                 AND r.quality = 'ok') THEN 1 ELSE 0 END AS metered FROM trades \
                 WHERE (seller = $1 OR buyer = $1) AND period_start_ms >= $2 AND period_start_ms < $3 \
                 ORDER BY period_start_ms, height, result_index",
            )
            .bind(party.to_string())
            .bind(day.start.as_millis())
            .bind(day.end.as_millis())
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(|row| self.own_trade(row, party)).collect()
        })
        .await
    }

    /// The answers to a party's orders for delivery on a local day, each with its height.
    pub(crate) async fn answers_to(
        &self,
        party: &PartyId,
        day: &LocalDay,
    ) -> Result<Vec<(Answer, u64)>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT period_start_ms, order_id, party, side, gate, ordered_wh, filled_wh, price, \
                 averaged, reason, reason_limit, reason_zone, height FROM answers \
                 WHERE party = $1 AND period_start_ms >= $2 AND period_start_ms < $3 \
                 ORDER BY period_start_ms, gate, side",
            )
            .bind(party.to_string())
            .bind(day.start.as_millis())
            .bind(day.end.as_millis())
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(|row| Ok((self.answer(row)?, count(row, "height")?))).collect()
        })
        .await
    }

    /// What a party has received minus what it has paid, over all time.
    pub(crate) async fn balance(&self, party: &PartyId) -> Result<Money, StoreError> {
        self.asked(async {
            let row = sqlx::query(
                "SELECT \
                 CAST(COALESCE((SELECT SUM(amount) FROM postings WHERE credit = $1), 0) AS BIGINT) \
                 AS credits, \
                 CAST(COALESCE((SELECT SUM(amount) FROM postings WHERE debit = $1), 0) AS BIGINT) \
                 AS debits",
            )
            .bind(account_word(&Account::Party(*party)))
            .fetch_one(&self.pool)
            .await?;
            Ok(money(&row, "credits")?.minus(money(&row, "debits")?)?)
        })
        .await
    }

    /// Who has ever offered energy from a battery.
    pub(crate) async fn battery_owners(&self) -> Result<BTreeSet<PartyId>, StoreError> {
        self.asked(async {
            let query = "SELECT DISTINCT party FROM declared_origins WHERE origin = 'battery'";
            let rows = sqlx::query(query).fetch_all(&self.pool).await?;
            rows.iter().map(|row| parsed(row, "party")).collect()
        })
        .await
    }

    fn own_trade(&self, row: &SqliteRow, party: &PartyId) -> Result<OwnTrade, QueryError> {
        let (seller, buyer): (PartyId, PartyId) = (parsed(row, "seller")?, parsed(row, "buyer")?);
        let (side, amount_column, counterparty) = if seller == *party {
            (Side::Sell, "seller_amount", buyer)
        } else {
            (Side::Buy, "buyer_amount", seller)
        };
        let settled: i64 = row.try_get("settled")?;
        let metered: i64 = row.try_get("metered")?;
        Ok(OwnTrade {
            period: self.period(row)?,
            side,
            energy: energy(row, "energy_wh")?,
            seller_price: price(row, "seller_price")?,
            buyer_price: price(row, "buyer_price")?,
            amount: money(row, amount_column)?,
            charge: money(row, "charge")?,
            rent: money(row, "rent")?,
            path: Path {
                from: zone(row, "path_from")?,
                over: zone(row, "path_over")?,
                to: zone(row, "path_to")?,
            },
            counterparty,
            origin: origin_if_any(row)?,
            settled: settled != 0,
            metered: metered != 0,
            height: count(row, "height")?,
            index: count(row, "result_index")?,
        })
    }

    fn answer(&self, row: &SqliteRow) -> Result<Answer, QueryError> {
        Ok(Answer {
            order: parsed::<OrderId>(row, "order_id")?,
            party: parsed(row, "party")?,
            side: side(row)?,
            period: self.period(row)?,
            gate: gate(row)?,
            ordered: energy(row, "ordered_wh")?,
            filled: energy(row, "filled_wh")?,
            price: price_if_any(row, "price")?,
            averaged: row.try_get::<i64, _>("averaged")? != 0,
            reason: reason(row)?,
        })
    }
}

fn side(row: &SqliteRow) -> Result<Side, QueryError> {
    let word: String = row.try_get("side")?;
    match word.as_str() {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(damaged("side", word)),
    }
}

fn reason(row: &SqliteRow) -> Result<Reason, QueryError> {
    let word: String = row.try_get("reason")?;
    match (word.as_str(), price_if_any(row, "reason_limit")?) {
        ("filled", _) => Ok(Reason::Filled),
        ("shared_at_margin", _) => Ok(Reason::SharedAtMargin),
        ("limit_not_reached", Some(limit)) => Ok(Reason::LimitNotReached { limit }),
        ("no_trade", _) => Ok(Reason::NoTrade),
        ("edge_full", Some(limit)) => {
            Ok(Reason::EdgeFull { zone: zone(row, "reason_zone")?, limit })
        }
        ("own_order_opposite", _) => Ok(Reason::OwnOrderOpposite),
        ("rationed", _) => Ok(Reason::Rationed),
        ("nobody_left", Some(limit)) => Ok(Reason::NobodyLeft { limit }),
        ("price_setting", Some(limit)) => Ok(Reason::PriceSetting { limit }),
        ("shared_by_key", _) => Ok(Reason::SharedByKey),
        ("no_longer_member", _) => Ok(Reason::NoLongerMember),
        _ => Err(damaged("reason", word)),
    }
}
