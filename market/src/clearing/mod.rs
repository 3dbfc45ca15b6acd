//! Clearing: from a sealed book to prices, quantities, trades and answers.
//!
//! Quantities and prices come first ([`uniform`]); who trades with whom is decided afterwards
//! ([`pairing`]), so that preferences cost nobody anything; then every order is answered.

pub mod laws;
mod pairing;
mod ration;
mod uniform;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::member::PartyId;
use crate::money::Money;
use crate::order::{OrderId, Side};
use crate::price::Price;
use crate::rules::MarketRules;
use crate::time::DeliveryPeriod;
use crate::trade::Trade;

/// How a community finds prices and quantities; chosen in genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum MechanismKind {
    /// The uniform-price double auction of design section 4, over one zone.
    Auction = 1,
}

/// How much of one order a gate filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fill {
    /// The order.
    pub order: OrderId,
    /// Whose it is.
    pub party: PartyId,
    /// Bid or offer.
    pub side: Side,
    /// How much; always positive.
    pub energy: Energy,
}

/// What one gate decided for one delivery period.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClearingResult {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// The gate.
    pub gate: GateIndex,
    /// The clearing price; `None` if nothing was traded. No trade is no price, never zero.
    pub price: Option<Price>,
    /// How much was traded.
    pub volume: Energy,
    /// The sum of (bid limit - offer limit) x energy over what was filled: what the exchange was
    /// worth to all together. Each order's share is rounded half to even.
    pub welfare: Money,
    /// What was filled, bids first, each side by party.
    pub fills: Vec<Fill>,
    /// Who trades with whom.
    pub trades: Vec<Trade>,
    /// One for every order in the book, in the same order as the fills.
    pub answers: Vec<Answer>,
}

/// Clears a sealed book by the community's mechanism. Pure: the same book gives the same result on
/// every node, whatever the order in which messages came.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range. Admitted orders cannot cause it, because genesis bounds
/// what all members together can turn over; hostile bare books can.
pub fn clear(book: &SealedBook, rules: &MarketRules) -> Result<ClearingResult, Overflow> {
    match rules.mechanism {
        MechanismKind::Auction => clear_auction(book, rules),
    }
}

fn clear_auction(book: &SealedBook, rules: &MarketRules) -> Result<ClearingResult, Overflow> {
    let crossing = uniform::cross(book, rules.k_millionths, rules.tick)?;
    let (price, volume, bid_fills, offer_fills) = match &crossing {
        Some(found) => {
            (Some(found.price), found.volume, found.bids.as_slice(), found.offers.as_slice())
        }
        None => (None, Energy::ZERO, [].as_slice(), [].as_slice()),
    };
    let trades = match price {
        Some(price) => pairing::pair(book, bid_fills, offer_fills, price)?,
        None => Vec::new(),
    };
    let mut result = ClearingResult {
        period: book.period(),
        gate: book.gate(),
        price,
        volume,
        welfare: Money::ZERO,
        fills: Vec::with_capacity(bid_fills.len().saturating_add(offer_fills.len())),
        trades,
        answers: Vec::with_capacity(book.bids().len().saturating_add(book.offers().len())),
    };
    let mut value = Money::ZERO;
    for (order, filled) in filled(book.bids(), bid_fills) {
        value = value.plus(record(&mut result, order, Side::Buy, filled)?)?;
    }
    let mut cost = Money::ZERO;
    for (order, filled) in filled(book.offers(), offer_fills) {
        cost = cost.plus(record(&mut result, order, Side::Sell, filled)?)?;
    }
    result.welfare = value.minus(cost)?;
    for (side, order) in book.crossed() {
        let ordered = Energy::sum(order.steps.iter().map(|step| step.energy))?;
        let answer = answer(&result, order, *side, ordered, Energy::ZERO, Reason::OwnOrderOpposite);
        result.answers.push(answer);
    }
    Ok(result)
}

/// Every order with what it was filled; an empty slice of fills stands for none.
fn filled<'a>(
    orders: &'a [BookedOrder],
    fills: &'a [Energy],
) -> impl Iterator<Item = (&'a BookedOrder, Energy)> {
    let fills = fills.iter().copied().chain(std::iter::repeat(Energy::ZERO));
    orders.iter().zip(fills)
}

/// Writes down one order's fill and answer; returns what the filled part was worth to its owner.
fn record(
    result: &mut ClearingResult,
    order: &BookedOrder,
    side: Side,
    filled: Energy,
) -> Result<Money, Overflow> {
    if filled.is_positive() {
        result.fills.push(Fill { order: order.id, party: order.party, side, energy: filled });
    }
    let mut left = filled;
    let mut ordered = Energy::ZERO;
    let mut value = Money::ZERO;
    let mut next_limit = None;
    for step in &order.steps {
        let taken = left.min(step.energy);
        left = left.minus(taken)?;
        ordered = ordered.plus(step.energy)?;
        value = value.plus(step.limit.amount_for(taken)?)?;
        if taken < step.energy && next_limit.is_none() {
            next_limit = Some(step.limit);
        }
    }
    let reason = match (next_limit, result.price) {
        (None, _) => Reason::Filled,
        (Some(_), None) => Reason::NoTrade,
        (Some(limit), Some(price)) if limit == price => Reason::SharedAtMargin,
        (Some(limit), Some(_)) => Reason::LimitNotReached { limit },
    };
    let answer = answer(result, order, side, ordered, filled, reason);
    result.answers.push(answer);
    Ok(value)
}

fn answer(
    result: &ClearingResult,
    order: &BookedOrder,
    side: Side,
    ordered: Energy,
    filled: Energy,
    reason: Reason,
) -> Answer {
    Answer {
        order: order.id,
        party: order.party,
        side,
        period: result.period,
        gate: result.gate,
        ordered,
        filled,
        price: result.price,
        reason,
    }
}
