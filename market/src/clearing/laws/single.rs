//! Laws that all mechanisms keep which know one zone only.

use std::collections::BTreeMap;

use crate::answer::Answer;
use crate::book::SealedBook;
use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::grid::{self, GridView};
use crate::clearing::laws::standing::{self, Standing, Standings};
use crate::clearing::laws::trades;
use crate::clearing::{ClearingError, ClearingResult, Terms};
use crate::energy::Energy;
use crate::grid::Grid;
use crate::order::{OrderId, Side};
use crate::price::Price;

/// What a mechanism says about its prices.
pub(super) struct Prices<'a> {
    /// Whether a bid and an offer may trade at these prices.
    pub(super) of_trade: trades::Priced<'a>,
    /// What every zone states in which something is traded or conveyed.
    pub(super) stated: Option<Price>,
    /// What bids and offers are told that trade nothing.
    pub(super) told: (Option<Price>, Option<Price>),
}

impl Prices<'_> {
    fn told(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.told.0,
            Side::Sell => self.told.1,
        }
    }
}

/// A result that keeps what all of these mechanisms keep.
pub(super) struct Read<'a> {
    pub(super) grid: Grid,
    pub(super) view: GridView,
    pub(super) standings: Standings<'a>,
}

/// Trades, limits, flows, money, prices, answers and sums.
pub(super) fn common<'a>(
    book: &'a SealedBook,
    terms: &Terms<'_>,
    result: &ClearingResult,
    prices: &Prices<'_>,
    holds: impl Fn(&Answer, &Standing<'_>, Price) -> bool,
) -> Result<Read<'a>, BrokenLaw> {
    if result.period != book.period() || result.gate != book.gate() {
        return Err(BrokenLaw::OtherBook);
    }
    if let Some(zone) = terms.zones.first_binding_edge() {
        return Err(BrokenLaw::Book(ClearingError::EdgeBinds { zone }));
    }
    let grid = Grid::of(terms.zones);
    let view = grid::read(&grid, result)?;
    let mut standings = standing::read(book, result, &grid)?;
    grid::check_balances(&grid, &view, &standings)?;
    for zone in view.zones.iter().filter(|zone| zone.price.is_some()) {
        if zone.price != prices.stated {
            return Err(BrokenLaw::PriceWithoutTrade { zone: zone.zone, price: zone.price });
        }
    }
    let sums = trades::check(&grid, &view, result, &mut standings, prices.of_trade)?;
    trades::check_no_tolls(&sums, result)?;
    let mut paid = paid(result);
    for standing in standings.values() {
        check_paid(standing, paid.get_mut(&standing.order.id))?;
    }
    let price = |standing: &Standing<'_>| {
        let own = paid.get(&standing.order.id).map(Vec::as_slice).unwrap_or_default();
        let several = own.iter().zip(own.iter().skip(1)).any(|(one, other)| one.0 != other.0);
        Ok((Price::mean(own.iter().copied())?.or(prices.told(standing.side)), several))
    };
    standing::check_answers(&standings, result, price, holds)?;
    standing::check_sums(&grid, &view, &standings, result)?;
    Ok(Read { grid, view, standings })
}

/// What each order trades, at the price of its side.
fn paid(result: &ClearingResult) -> BTreeMap<OrderId, Vec<(Price, Energy)>> {
    let mut paid: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for trade in &result.trades {
        paid.entry(trade.bid).or_default().push((trade.buyer_price, trade.energy));
        paid.entry(trade.offer).or_default().push((trade.seller_price, trade.energy));
    }
    paid
}

/// Nothing is traded beyond a limit: the dearest part of a bid fits under its best step, the next
/// under the next; of an offer the cheapest. What was left out of the book trades nothing.
fn check_paid(
    standing: &Standing<'_>,
    paid: Option<&mut Vec<(Price, Energy)>>,
) -> Result<(), BrokenLaw> {
    let Some(paid) = paid else { return Ok(()) };
    match standing.side {
        Side::Buy => paid.sort_unstable_by(|one, other| other.cmp(one)),
        Side::Sell => paid.sort_unstable(),
    }
    let mut steps = standing.order.steps.iter().filter(|_| !standing.crossed);
    let (mut limit, mut room) = (None, Energy::ZERO);
    for (price, energy) in paid.iter() {
        let mut left = *energy;
        while left.is_positive() {
            if room.is_zero() {
                let step = steps.next();
                (limit, room) =
                    (step.map(|step| step.limit), step.map_or(left, |step| step.energy));
            }
            let kept = limit.is_some_and(|limit| standing.reaches(limit, *price));
            if !kept {
                let (order, filled, price) = (standing.order.id, standing.filled, Some(*price));
                let allowed = standing.filled.minus(left)?;
                return Err(BrokenLaw::BeyondLimit { order, filled, price, allowed });
            }
            let taken = left.min(room);
            (left, room) = (left.minus(taken)?, room.minus(taken)?);
        }
    }
    Ok(())
}
