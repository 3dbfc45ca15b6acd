//! What a period's settlement follows from, as far as one party can prove it, and the checks of
//! single leaves against it.

use market::answer::Answer;
use market::clearing::MechanismKind;
use market::energy::Energy;
use market::gate::GateIndex;
use market::member::PartyId;
use market::order::{Order, OrderId, Side};
use market::price::Price;
use market::settlement::{
    Expected, Imbalance, Metered, PartySettlement, Pool, PoolShare, settle_own,
};
use market::time::DeliveryPeriod;
use market::trade::Trade;
use market::zone::{ZoneId, ZoneTree};
use std::collections::BTreeMap;
use std::fmt::Display;

use crate::posting::Posting;
use crate::results::{ClearingSummary, PoolPart, Settled};
use crate::statement::StatementError;
use crate::statement::replay::Terms;

/// The party's orders by name; curves are not among them.
pub(super) type Orders = BTreeMap<OrderId, Order>;

/// What is known of a period so far.
#[derive(Debug, Clone, Default)]
pub(super) struct PeriodFacts {
    pub(super) reading: Option<Metered>,
    pub(super) trades: Vec<Trade>,
    /// What the trades announced and no settlement has posted.
    pub(super) pending: Vec<Posting>,
    pub(super) pools: Vec<Pool>,
    pub(super) clearings: BTreeMap<GateIndex, ClearingSummary>,
    pub(super) settled: Option<PartySettlement>,
}

/// A line that is not what it follows to be.
pub(super) fn differs(
    period: DeliveryPeriod,
    line: impl Into<String>,
    expected: impl Display,
    found: impl Display,
) -> StatementError {
    let (expected, found) = (expected.to_string(), found.to_string());
    StatementError::Line { period, line: line.into(), expected, found }
}

/// A line that is either what it follows to be, or not.
fn same<T: PartialEq + Display>(
    period: DeliveryPeriod,
    line: &str,
    expected: T,
    found: T,
) -> Result<(), StatementError> {
    if expected == found { Ok(()) } else { Err(differs(period, line, expected, found)) }
}

/// The party's side of a trade.
struct Own {
    side: Side,
    order: OrderId,
    price: Price,
    zone: ZoneId,
}

impl Own {
    fn of(party: &PartyId, trade: &Trade) -> Self {
        if trade.seller == *party {
            let (order, price) = (trade.offer, trade.seller_price);
            Self { side: Side::Sell, order, price, zone: trade.path.from }
        } else {
            let (order, price) = (trade.bid, trade.buyer_price);
            Self { side: Side::Buy, order, price, zone: trade.path.to }
        }
    }
}

impl PeriodFacts {
    /// Takes in a trade: its money is price x energy, its prices are those of the gate, and it
    /// keeps to the limits that the party signed.
    pub(super) fn take_trade(
        &mut self,
        terms: &Terms,
        orders: &Orders,
        trade: &Trade,
    ) -> Result<(), StatementError> {
        let period = trade.period;
        let seller_amount = trade.seller_price.amount_for(trade.energy)?;
        let buyer_amount = trade.buyer_price.amount_for(trade.energy)?;
        same(period, "trade, seller's amount", seller_amount, trade.seller_amount)?;
        same(period, "trade, buyer's amount", buyer_amount, trade.buyer_amount)?;
        let stays = seller_amount.plus(trade.charge)?.plus(trade.rent)?;
        same(period, "trade, amount with charge and rent", stays, buyer_amount)?;
        let own = Own::of(&terms.party, trade);
        let home = terms.member.zone;
        if own.zone != home {
            return Err(differs(period, "trade, zone", home.0, own.zone.0));
        }
        let mechanism = terms.rules.rules.mechanism.during(period);
        if *mechanism == MechanismKind::ZonalAuction {
            self.check_zone_prices(trade)?;
        }
        self.trades.push(trade.clone());
        if let Some(order) = orders.get(&own.order) {
            if order.period != period || order.side != own.side {
                let found = format!("{:?} for {:?}", order.side, order.period);
                return Err(differs(period, "order of a trade", format!("{:?}", own.side), found));
            }
            if !matches!(mechanism, MechanismKind::Sharing(_)) {
                self.check_limit(terms, order, &own)?;
            }
            return Ok(());
        }
        // After delivery, orders are made from standing curves.
        if terms.rules.rules.gates.is_ex_post(trade.gate) {
            return Ok(());
        }
        Err(differs(period, format!("order {}", own.order), "signed by the party", "nothing"))
    }

    /// Both prices are what the gate decided for the zones.
    fn check_zone_prices(&self, trade: &Trade) -> Result<(), StatementError> {
        let (period, gate) = (trade.period, trade.gate);
        let clearing = self.clearings.get(&gate);
        let clearing = clearing.ok_or_else(|| {
            differs(period, "clearing of a trade", "the gate's prices", "nothing")
        })?;
        for (zone, price) in
            [(trade.path.from, trade.seller_price), (trade.path.to, trade.buyer_price)]
        {
            let cleared = clearing.zones.iter().find(|one| one.zone == zone);
            let line = "trade, price of the zone";
            let cleared = cleared
                .and_then(|one| one.price)
                .ok_or_else(|| differs(period, line, "none", price))?;
            same(period, line, cleared, price)?;
        }
        Ok(())
    }

    /// At this price or a worse one, no more is traded than the order has steps for.
    fn check_limit(&self, terms: &Terms, order: &Order, own: &Own) -> Result<(), StatementError> {
        let no_better = |limit: Price, than: Price| match own.side {
            Side::Buy => limit >= than,
            Side::Sell => limit <= than,
        };
        let steps = order.steps.iter().filter(|step| no_better(step.limit, own.price));
        let allowed = Energy::sum(steps.map(|step| step.energy))?;
        let of_order = self.trades.iter().filter(|trade| {
            let other = Own::of(&terms.party, trade);
            other.order == own.order && no_better(other.price, own.price)
        });
        let traded = Energy::sum(of_order.map(|trade| trade.energy))?;
        if traded > allowed {
            let line = format!("energy traded at {} or worse", own.price);
            return Err(differs(order.period, line, format!("at most {allowed}"), traded));
        }
        Ok(())
    }

    /// An answer says what the trades of its gate come to.
    pub(super) fn check_answer(
        &self,
        party: &PartyId,
        answer: &Answer,
    ) -> Result<(), StatementError> {
        let of_answer = self.trades.iter().filter(|trade| {
            trade.gate == answer.gate && Own::of(party, trade).order == answer.order
        });
        let traded = Energy::sum(of_answer.map(|trade| trade.energy))?;
        same(answer.period, "answer, filled", traded, answer.filled)
    }

    /// Computes the party's settlement again: from the reading, the trades, the tariff, and its
    /// proved parts in the proved pools.
    pub(super) fn settle(
        &self,
        terms: &Terms,
        settled: &Settled,
    ) -> Result<PartySettlement, StatementError> {
        let (period, rules) = (settled.period, &terms.rules);
        let (rates, zones) = (rules.rules.rates(period), rules.zones.during(period));
        let mut shares = Vec::with_capacity(settled.pooled.len());
        for part in &settled.pooled {
            let share = self.share(terms, zones, period, part)?;
            let (least, most, per_kwh) = match part.imbalance {
                Imbalance::Long => {
                    let (price, charges) =
                        (share.price.micros_per_kwh(), share.charges.micros_per_kwh());
                    (rates.feed_in.micros_per_kwh(), i64::MAX, price.saturating_sub(charges))
                }
                Imbalance::Short => {
                    let (price, charges) =
                        (share.price.micros_per_kwh(), share.charges.micros_per_kwh());
                    (i64::MIN, rates.retail.micros_per_kwh(), price.saturating_add(charges))
                }
            };
            if per_kwh < least || per_kwh > most {
                let found = Price::from_micros_per_kwh(per_kwh);
                let expected = "no worse than the supplier";
                return Err(differs(period, "price of a pool with charges", expected, found));
            }
            shares.push(share);
        }
        let trades = &self.trades;
        // What an estimate was made from is not proved here: that it is no better than the trades is.
        let Metered { imported, exported, .. } = settled.settlement.metered;
        let estimate = Expected { imported, exported };
        let expected = settle_own(&terms.party, self.reading, estimate, trades, &shares, &rates)?;
        let found = figures(&settled.settlement);
        for ((line, expected), (_, found)) in figures(&expected).into_iter().zip(found) {
            if expected != found {
                return Err(differs(period, line, expected, found));
            }
        }
        Ok(expected)
    }

    /// A part in a pool that the community's leaf names, with the charges on the way to it.
    fn share(
        &self,
        terms: &Terms,
        zones: &ZoneTree,
        period: DeliveryPeriod,
        part: &PoolPart,
    ) -> Result<PoolShare, StatementError> {
        let PoolPart { zone, imbalance, energy, price } = *part;
        let known = self
            .pools
            .iter()
            .any(|pool| pool.zone == zone && pool.price == price && pool.energy >= energy);
        if !known || !energy.is_positive() {
            let found = format!("{energy} at {price} in zone {}", zone.0);
            return Err(differs(period, "part in a pool", "one of the period's pools", found));
        }
        let charges = charges_up(zones, terms.member.zone, zone)
            .ok_or_else(|| differs(period, "zone of a pool", "one above the party's", zone.0))?;
        Ok(PoolShare { party: terms.party, zone, imbalance, energy, price, charges })
    }
}

/// The wheeling charges from a zone up to another; `None` if that is not above it.
fn charges_up(zones: &ZoneTree, from: ZoneId, to: ZoneId) -> Option<Price> {
    let (mut at, mut charges) = (from, 0_i64);
    while at != to {
        let edge = zones.zone(at)?.edge?;
        charges = charges.checked_add(edge.charge.micros_per_kwh())?;
        at = edge.parent;
    }
    Some(Price::from_micros_per_kwh(charges))
}

/// Every figure of a settlement under its name.
fn figures(of: &PartySettlement) -> [(&'static str, String); 24] {
    [
        ("quality of the reading", format!("{:?}", of.metered.quality)),
        ("imported", of.metered.imported.to_string()),
        ("exported", of.metered.exported.to_string()),
        ("sold", of.sold.to_string()),
        ("bought", of.bought.to_string()),
        ("surplus", of.surplus.to_string()),
        ("missing", of.missing.to_string()),
        ("extra", of.extra.to_string()),
        ("not taken", of.not_taken.to_string()),
        ("pooled, long", of.pooled_long.to_string()),
        ("pooled, short", of.pooled_short.to_string()),
        ("supplied", of.supplied.to_string()),
        ("fed in", of.fed_in.to_string()),
        ("income from trades", of.trade_income.to_string()),
        ("cost of trades", of.trade_cost.to_string()),
        ("wheeling of trades", of.trade_wheeling.to_string()),
        ("congestion rent", of.congestion_rent.to_string()),
        ("income from pools", of.pool_income.to_string()),
        ("cost of pools", of.pool_cost.to_string()),
        ("wheeling of pools", of.pool_wheeling.to_string()),
        ("income from the supplier", of.supplier_income.to_string()),
        ("cost of the supplier", of.supplier_cost.to_string()),
        ("levies", of.levies.to_string()),
        ("tax", of.tax.to_string()),
    ]
}
