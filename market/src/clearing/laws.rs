//! The laws of a clearing that are cheap enough to be checked in every release build.

use std::collections::BTreeMap;

use crate::Overflow;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::ClearingResult;
use crate::energy::Energy;
use crate::money::Money;
use crate::order::{OrderId, Side};
use crate::price::Price;

/// A law that a result breaks. It can only come from a defect of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLaw {
    /// Bought and sold differ (A2), or differ from the volume.
    #[error("bought {bought:?}, sold {sold:?}, volume {volume:?}")]
    BoughtNotSold {
        /// By bids.
        bought: Energy,
        /// By offers.
        sold: Energy,
        /// As stated.
        volume: Energy,
    },
    /// An order is filled beyond its energy, or beyond its limit (A1).
    #[error("order {order} is filled {filled:?}, its limits at price {price:?} allow {allowed:?}")]
    BeyondLimit {
        /// The order.
        order: OrderId,
        /// What it was filled.
        filled: Energy,
        /// The clearing price.
        price: Option<Price>,
        /// What its steps allow at that price.
        allowed: Energy,
    },
    /// The trades of an order do not add up to its fill.
    #[error("the trades of order {order} sum to {traded:?}, it is filled {filled:?}")]
    TradesDifferFromFill {
        /// The order.
        order: OrderId,
        /// By its trades.
        traded: Energy,
        /// By its fill.
        filled: Energy,
    },
    /// A trade's money does not add up (A3).
    #[error("a buyer pays {paid}, the seller gets {received} and the charge is {charge}")]
    MoneyLost {
        /// By the buyer.
        paid: Money,
        /// By the seller.
        received: Money,
        /// The wheeling charge.
        charge: Money,
    },
    /// Not every order is answered exactly once.
    #[error("{orders} orders stand in the book, {answers} are answered")]
    Unanswered {
        /// In the book.
        orders: usize,
        /// Answered.
        answers: usize,
    },
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// Checks bought = sold, limits, trades against fills, money, and one answer per order.
///
/// # Errors
/// [`BrokenLaw`] names the first one that does not hold.
pub fn check(book: &SealedBook, result: &ClearingResult) -> Result<(), BrokenLaw> {
    check_volume(result)?;
    let mut fills: BTreeMap<OrderId, Energy> = BTreeMap::new();
    for fill in &result.fills {
        fills.insert(fill.order, fill.energy);
    }
    let filled = |order: &BookedOrder| fills.get(&order.id).copied().unwrap_or(Energy::ZERO);
    for (side, orders) in [(Side::Buy, book.bids()), (Side::Sell, book.offers())] {
        for order in orders {
            let (filled, allowed) = (filled(order), allowed(order, side, result.price)?);
            if filled > allowed {
                let price = result.price;
                return Err(BrokenLaw::BeyondLimit { order: order.id, filled, price, allowed });
            }
        }
    }
    check_trades(result, &fills)?;
    let orders = [book.bids().len(), book.offers().len(), book.crossed().len()];
    let orders = orders.iter().fold(0_usize, |sum, count| sum.saturating_add(*count));
    if orders != result.answers.len() {
        return Err(BrokenLaw::Unanswered { orders, answers: result.answers.len() });
    }
    Ok(())
}

fn check_volume(result: &ClearingResult) -> Result<(), BrokenLaw> {
    let of_side = |side| {
        let fills = result.fills.iter().filter(move |fill| fill.side == side);
        Energy::sum(fills.map(|fill| fill.energy))
    };
    let (bought, sold, volume) = (of_side(Side::Buy)?, of_side(Side::Sell)?, result.volume);
    if bought == sold && sold == volume {
        Ok(())
    } else {
        Err(BrokenLaw::BoughtNotSold { bought, sold, volume })
    }
}

/// How much of an order its limits allow at a price.
fn allowed(order: &BookedOrder, side: Side, price: Option<Price>) -> Result<Energy, Overflow> {
    let Some(price) = price else { return Ok(Energy::ZERO) };
    let willing = order.steps.iter().filter(|step| match side {
        Side::Buy => step.limit >= price,
        Side::Sell => step.limit <= price,
    });
    Energy::sum(willing.map(|step| step.energy))
}

fn check_trades(
    result: &ClearingResult,
    fills: &BTreeMap<OrderId, Energy>,
) -> Result<(), BrokenLaw> {
    let mut traded: BTreeMap<OrderId, Energy> = BTreeMap::new();
    for trade in &result.trades {
        for order in [trade.bid, trade.offer] {
            let sum = traded.entry(order).or_default();
            *sum = sum.plus(trade.energy)?;
        }
        let (paid, received, charge) = (trade.buyer_amount, trade.seller_amount, trade.charge);
        if received.plus(charge)? != paid {
            return Err(BrokenLaw::MoneyLost { paid, received, charge });
        }
    }
    for order in fills.keys().chain(traded.keys()) {
        let of = |map: &BTreeMap<OrderId, Energy>| map.get(order).copied().unwrap_or(Energy::ZERO);
        let (traded, filled) = (of(&traded), of(fills));
        if traded != filled {
            return Err(BrokenLaw::TradesDifferFromFill { order: *order, traded, filled });
        }
    }
    Ok(())
}
