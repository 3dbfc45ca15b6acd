//! Laws of the trade reduction: one price per side, and who sets the price of its side stays out.

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::SealedBook;
use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::single::{Prices, Read, common};
use crate::clearing::laws::standing::{Standing, Standings};
use crate::clearing::midpoint::midpoint;
use crate::clearing::{ClearingResult, Terms};
use crate::order::Side;
use crate::price::{Price, Tick};
use crate::trade::Trade;

/// # Errors
/// [`BrokenLaw`] names the first law that does not hold.
pub(super) fn check(
    book: &SealedBook,
    terms: &Terms<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    let first = result.trades.first().map(|trade| (trade.buyer_price, trade.seller_price));
    let of_trade = |trade: &Trade, _: &Standing<'_>, _: &Standing<'_>| {
        first == Some((trade.buyer_price, trade.seller_price))
            && trade.buyer_price >= trade.seller_price
    };
    let stated = first.map(|(buyer, seller)| middle_of(seller, buyer, terms.tick)).transpose()?;
    let told = first.unzip();
    let prices = Prices { of_trade: &of_trade, stated, told };
    let price_of = |side: Side| if side == Side::Buy { told.0 } else { told.1 };
    let holds = |answer: &Answer, standing: &Standing<'_>, left: Price| {
        let price = price_of(standing.side);
        match answer.reason {
            Reason::Rationed => price.is_none_or(|price| standing.reaches(left, price)),
            Reason::PriceSetting { limit } => {
                price.is_none_or(|price| price == limit)
                    && standing.order.steps.iter().any(|step| step.limit == limit)
            }
            Reason::LimitNotReached { limit } => {
                limit == left && price.is_some_and(|price| !standing.reaches(left, price))
            }
            Reason::NoTrade => price.is_none(),
            _ => false,
        }
    };
    let Read { standings, .. } = common(book, terms, result, &prices, holds)?;
    if let Some((buyer_price, seller_price)) = first {
        if buyer_price != seller_price {
            check_set_from_outside(&standings, Side::Buy, buyer_price)?;
            check_set_from_outside(&standings, Side::Sell, seller_price)?;
        }
        let bids = left_out(&standings, Side::Buy, buyer_price)?;
        let offers = left_out(&standings, Side::Sell, seller_price)?;
        if let (Some(broken), Some(_)) = (bids, offers) {
            return Err(broken);
        }
    }
    Ok(())
}

/// The stated price of a trade reduction.
fn middle_of(seller: Price, buyer: Price, tick: Tick) -> Result<Price, Overflow> {
    if seller == buyer { Ok(seller) } else { midpoint(seller, buyer, tick) }
}

/// Where buyers and sellers have different prices, each is the limit of an order of its side that
/// does not trade.
fn check_set_from_outside(
    standings: &Standings<'_>,
    side: Side,
    price: Price,
) -> Result<(), BrokenLaw> {
    let sets = |standing: &Standing<'_>| {
        standing.side == side
            && !standing.crossed
            && standing.filled.is_zero()
            && standing.order.steps.iter().any(|step| step.limit == price)
    };
    if standings.values().any(sets) { Ok(()) } else { Err(BrokenLaw::SetsOwnPrice { side, price }) }
}

/// The second order of a side that goes short of what has a better limit than the price: one is the
/// marginal order, and only the longer side is rationed.
fn left_out(
    standings: &Standings<'_>,
    side: Side,
    price: Price,
) -> Result<Option<BrokenLaw>, Overflow> {
    let mut marginal = false;
    for standing in standings.values().filter(|s| s.side == side && !s.crossed) {
        let (order, filled, due) =
            (standing.order.id, standing.filled, standing.better_than(price)?);
        if filled >= due {
            continue;
        }
        if marginal || filled.is_positive() {
            return Ok(Some(BrokenLaw::LeftOut { order, filled, due, price: Some(price) }));
        }
        marginal = true;
    }
    Ok(None)
}
