//! Laws of pair midpoints: the quantities of the auction, and every pair in the middle.

use std::collections::BTreeMap;

use crate::answer::{Answer, Reason};
use crate::book::SealedBook;
use crate::clearing::laws::single::{Prices, Read, common};
use crate::clearing::laws::standing::{self, Standing, Standings};
use crate::clearing::laws::{BrokenLaw, grid};
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
    let (bids, offers) =
        (worst_filled(book, result, Side::Buy), worst_filled(book, result, Side::Sell));
    let worst = |side: Side| if side == Side::Buy { bids } else { offers };
    let of_trade = |trade: &Trade, bid: &Standing<'_>, offer: &Standing<'_>| {
        let limits = |standing: &Standing<'_>| -> Vec<_> {
            standing.order.steps.iter().map(|step| step.limit).collect()
        };
        let (highs, lows) = (limits(bid), limits(offer));
        let middle = |low: &Price| {
            highs.iter().any(|high| is_middle(trade.buyer_price, *low, *high, terms.tick))
        };
        trade.buyer_price == trade.seller_price && lows.iter().any(middle)
    };
    let prices = Prices { of_trade: &of_trade, stated: result.mean_price()?, told: (None, None) };
    let holds = |answer: &Answer, standing: &Standing<'_>, left: Price| match answer.reason {
        Reason::Rationed => worst(standing.side) == Some(left),
        Reason::NobodyLeft { limit } => {
            let worst = worst(standing.side);
            limit == left && worst.is_some_and(|worst| worst != left)
        }
        Reason::NoTrade => result.trades.is_empty(),
        _ => false,
    };
    let Read { grid, view, standings } = common(book, terms, result, &prices, holds)?;
    for standing in standings.values() {
        standing::check_limits(standing, worst(standing.side))?;
    }
    for side in [Side::Buy, Side::Sell] {
        let mut margin = Vec::new();
        for standing in standings.values().filter(|s| s.side == side && !s.crossed) {
            let Some(price) = worst(side) else { continue };
            let (claim, better) = (standing.at(price)?, standing.better_than(price)?);
            if claim.is_positive() {
                margin.push((standing.order.id, claim, standing.filled.minus(better)?));
            }
        }
        standing::check_margin(&margin)?;
    }
    grid::check_no_pair_left(&grid, &view, &standings)?;
    check_middle_in_all(&standings, result, terms.tick)
}

/// The worst limit of a step that is filled, at least in part.
fn worst_filled(book: &SealedBook, result: &ClearingResult, side: Side) -> Option<Price> {
    let filled: BTreeMap<_, _> =
        result.answers.iter().map(|answer| (answer.order, answer.filled)).collect();
    let orders = if side == Side::Buy { book.bids() } else { book.offers() };
    let worst = orders.iter().filter_map(|order| {
        let mut left = filled.get(&order.id)?.wh();
        let mut worst = None;
        for step in &order.steps {
            if left > 0 {
                worst = Some(step.limit);
            }
            left = left.saturating_sub(step.energy.wh());
        }
        worst
    });
    if side == Side::Buy { worst.min() } else { worst.max() }
}

/// Down to the tick, but not below the lower limit.
fn is_middle(price: Price, low: Price, high: Price, tick: Tick) -> bool {
    let micros = |price: Price| i128::from(price.micros_per_kwh());
    let twice = micros(price).saturating_mul(2);
    let both = micros(low).saturating_add(micros(high));
    let tick_up = i128::from(tick.micros_per_kwh()).saturating_mul(2);
    let rounded = tick.divides(price) && both < twice.saturating_add(tick_up);
    low <= price && price <= high && twice <= both && (price == low || rounded)
}

/// All together trade at the middle of all limits, but for less than a tick: no pairing of the same
/// orders turns over more or less.
fn check_middle_in_all(
    standings: &Standings<'_>,
    result: &ClearingResult,
    tick: Tick,
) -> Result<(), BrokenLaw> {
    let mut limits = 0_i128;
    for standing in standings.values() {
        limits = limits.saturating_add(standing.worth()?);
    }
    let (mut prices, mut room) = (0_i128, 1_i128);
    for trade in &result.trades {
        let wh = i128::from(trade.energy.wh());
        let price = i128::from(trade.buyer_price.micros_per_kwh());
        prices = prices.saturating_add(price.saturating_mul(wh));
        room = room.saturating_add(i128::from(tick.micros_per_kwh()).saturating_mul(wh));
    }
    let off = limits.saturating_sub(prices.saturating_mul(2));
    if (0..room.saturating_mul(2)).contains(&off) { Ok(()) } else { Err(BrokenLaw::NotMidpoints) }
}
