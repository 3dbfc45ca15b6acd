//! Laws of single orders: limits, margins, answers, and the sums over all of them.

use std::collections::BTreeMap;

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::grid::GridView;
use crate::clearing::{ClearingError, ClearingResult};
use crate::energy::Energy;
use crate::grid::{Grid, Node};
use crate::money::Money;
use crate::order::{OrderId, Side};
use crate::price::Price;

/// An order of the book, and what the result says about it.
pub(super) struct Standing<'a> {
    pub(super) order: &'a BookedOrder,
    pub(super) side: Side,
    pub(super) node: Node,
    /// Left out because its own party stands on the other side.
    pub(super) crossed: bool,
    pub(super) filled: Energy,
    pub(super) traded: Energy,
    answered: bool,
}

pub(super) type Standings<'a> = BTreeMap<OrderId, Standing<'a>>;

/// All orders of the book, with the fills that their answers state.
pub(super) fn read<'a>(
    book: &'a SealedBook,
    result: &ClearingResult,
    grid: &Grid,
) -> Result<Standings<'a>, BrokenLaw> {
    let mut standings = Standings::new();
    let bids = book.bids().iter().map(|order| (Side::Buy, order, false));
    let offers = book.offers().iter().map(|order| (Side::Sell, order, false));
    let crossed = book.crossed().iter().map(|(side, order)| (*side, order, true));
    for (side, order, crossed) in bids.chain(offers).chain(crossed) {
        let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
        let node = grid.node(order.zone).ok_or(unknown)?;
        let (filled, traded) = (Energy::ZERO, Energy::ZERO);
        let standing = Standing { order, side, node, crossed, filled, traded, answered: false };
        if standings.insert(order.id, standing).is_some() {
            return Err(BrokenLaw::OrderTwice(order.id));
        }
    }
    if standings.len() != result.answers.len() {
        let (orders, answers) = (standings.len(), result.answers.len());
        return Err(BrokenLaw::Unanswered { orders, answers });
    }
    for answer in &result.answers {
        let wrong = BrokenLaw::WrongAnswer(answer.order);
        let standing = standings.get_mut(&answer.order).ok_or(wrong.clone())?;
        if standing.answered || answer.filled.is_negative() {
            return Err(wrong);
        }
        standing.answered = true;
        standing.filled = answer.filled;
    }
    Ok(standings)
}

impl Standing<'_> {
    /// How much of the order has a limit that is better than the price.
    pub(super) fn better_than(&self, price: Price) -> Result<Energy, Overflow> {
        let better = self.order.steps.iter().filter(|step| match self.side {
            Side::Buy => step.limit > price,
            Side::Sell => step.limit < price,
        });
        Energy::sum(better.map(|step| step.energy))
    }

    /// How much of the order has exactly the price as its limit.
    pub(super) fn at(&self, price: Price) -> Result<Energy, Overflow> {
        let equal = self.order.steps.iter().filter(|step| step.limit == price);
        Energy::sum(equal.map(|step| step.energy))
    }

    /// Limit x energy over what was filled, best steps first, in thousandths of a micro-unit.
    pub(super) fn worth(&self) -> Result<i128, Overflow> {
        let (mut left, mut worth) = (self.filled, 0_i128);
        for step in &self.order.steps {
            let taken = left.min(step.energy);
            left = left.minus(taken)?;
            let part = i128::from(step.limit.micros_per_kwh()).saturating_mul(taken.wh().into());
            worth = worth.saturating_add(part);
        }
        Ok(worth)
    }

    /// Whether a step of this limit may trade at a price.
    pub(super) fn reaches(&self, limit: Price, price: Price) -> bool {
        match self.side {
            Side::Buy => limit >= price,
            Side::Sell => limit <= price,
        }
    }

    /// The best limit that was not filled to the end.
    fn first_left(&self) -> Result<Option<Price>, Overflow> {
        let mut filled = self.filled;
        for step in &self.order.steps {
            if filled < step.energy {
                return Ok(Some(step.limit));
            }
            filled = filled.minus(step.energy)?;
        }
        Ok(None)
    }

    /// The same, unless the order was left out of the book.
    pub(super) fn best_left(&self) -> Result<Option<Price>, Overflow> {
        if self.crossed { Ok(None) } else { self.first_left() }
    }
}

pub(super) fn check_limits(standing: &Standing<'_>, price: Option<Price>) -> Result<(), BrokenLaw> {
    let (order, filled) = (standing.order.id, standing.filled);
    let (due, at_margin) = match price.filter(|_| !standing.crossed) {
        Some(price) => (standing.better_than(price)?, standing.at(price)?),
        None => (Energy::ZERO, Energy::ZERO),
    };
    let allowed = due.plus(at_margin)?;
    if filled > allowed {
        return Err(BrokenLaw::BeyondLimit { order, filled, price, allowed });
    }
    if filled < due {
        return Err(BrokenLaw::LeftOut { order, filled, due, price });
    }
    Ok(())
}

/// At the margin of each zone there is one part of all claims from which every share lies less than
/// one watt-hour off. Where no zones below share in the margin, that part is known exactly.
pub(super) fn check_margins(
    grid: &Grid,
    view: &GridView,
    standings: &Standings<'_>,
    side: Side,
) -> Result<(), BrokenLaw> {
    let mut margins = grid.table(Vec::new());
    for standing in standings.values().filter(|s| s.side == side && !s.crossed) {
        let Some(price) = view.zones[standing.node].price else { continue };
        let (claim, better) = (standing.at(price)?, standing.better_than(price)?);
        if claim.is_positive() {
            let share = standing.filled.minus(better)?;
            margins[standing.node].push((standing.order.id, claim, share));
        }
    }
    for node in grid.nodes() {
        if grid.children(node).next().is_some() {
            check_common_part(&margins[node])?;
        } else {
            check_margin(&margins[node])?;
        }
    }
    Ok(())
}

/// An order at the margin, what it claims there, and what it gets.
type Share = (OrderId, Energy, Energy);

/// `|share x all claims - claim x all shares| < all claims`.
pub(super) fn check_margin(margin: &[Share]) -> Result<(), BrokenLaw> {
    let claims = Energy::sum(margin.iter().map(|(_, claim, _)| *claim))?;
    let shares = Energy::sum(margin.iter().map(|(_, _, share)| *share))?;
    for (order, claim, share) in margin {
        let off = times(share.wh(), claims.wh()).saturating_sub(times(claim.wh(), shares.wh()));
        if off.saturating_abs() >= i128::from(claims.wh()) {
            return Err(BrokenLaw::NotProRata { order: *order, claim: *claim, share: *share });
        }
    }
    Ok(())
}

/// For some part, `share - 1 < part x claim < share + 1` for all: the largest lower bound of the
/// part is below its smallest upper bound.
fn check_common_part(margin: &[Share]) -> Result<(), BrokenLaw> {
    let (mut most, mut least) = (margin.first(), margin.first());
    let more = |one: &Share, other: &Share, add: i64| {
        times(one.2.wh().saturating_add(add), other.1.wh())
            > times(other.2.wh().saturating_add(add), one.1.wh())
    };
    for share in margin {
        most = most.map(|most| if more(share, most, -1) { share } else { most });
        least = least.map(|least| if more(least, share, 1) { share } else { least });
    }
    let (Some((order, claim, share)), Some((_, other, least))) = (most, least) else {
        return Ok(());
    };
    let lower = times(share.wh().saturating_sub(1), other.wh());
    if lower < times(least.wh().saturating_add(1), claim.wh()) {
        return Ok(());
    }
    Err(BrokenLaw::NotProRata { order: *order, claim: *claim, share: *share })
}

fn times(a: i64, b: i64) -> i128 {
    i128::from(a).saturating_mul(i128::from(b))
}

/// Every answer states the order, what became of it, the price that is due and whether it is
/// an average, and a reason that holds.
pub(super) fn check_answers(
    standings: &Standings<'_>,
    result: &ClearingResult,
    price: impl Fn(&Standing<'_>) -> Result<(Option<Price>, bool), Overflow>,
    holds: impl Fn(&Answer, &Standing<'_>, Price) -> bool,
) -> Result<(), BrokenLaw> {
    for answer in &result.answers {
        let wrong = BrokenLaw::WrongAnswer(answer.order);
        let standing = standings.get(&answer.order).ok_or(wrong.clone())?;
        let (price, averaged) = price(standing)?;
        let stated = Answer {
            order: standing.order.id,
            party: standing.order.party,
            side: standing.side,
            period: result.period,
            gate: result.gate,
            ordered: Energy::sum(standing.order.steps.iter().map(|step| step.energy))?,
            filled: standing.filled,
            price,
            averaged,
            reason: answer.reason,
        };
        let true_reason = match (standing.crossed, standing.first_left()?) {
            (true, _) => answer.reason == Reason::OwnOrderOpposite,
            (false, None) => answer.reason == Reason::Filled,
            (false, Some(left)) => holds(answer, standing, left),
        };
        if *answer != stated || !true_reason {
            return Err(wrong);
        }
    }
    Ok(())
}

/// Whether the reason for which `left` is the best limit left over is one, in the zonal auction.
pub(super) fn holds(answer: &Answer, view: &GridView, left: Price) -> bool {
    match answer.reason {
        Reason::SharedAtMargin => Some(left) == answer.price,
        Reason::LimitNotReached { limit } => {
            left == limit && answer.price.is_some_and(|price| price != limit)
        }
        Reason::NoTrade => answer.price.is_none(),
        Reason::EdgeFull { zone, limit } => left == limit && view.is_full(zone),
        _ => false,
    }
}

pub(super) fn check_sums(
    grid: &Grid,
    view: &GridView,
    standings: &Standings<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    let (mut bought, mut worth) = (Energy::ZERO, 0_i128);
    for standing in standings.values() {
        let part = standing.worth()?;
        match standing.side {
            Side::Buy => {
                worth = worth.saturating_add(part);
                bought = bought.plus(standing.filled)?;
            }
            Side::Sell => worth = worth.saturating_sub(part),
        }
    }
    for node in grid.nodes() {
        if let (Some(way), Some(edge)) = (grid.way(node), view.edges[node]) {
            let flow = i128::from(edge.flow.wh()).saturating_abs();
            worth = worth.saturating_sub(flow.saturating_mul(i128::from(way.charge)));
        }
    }
    if bought != result.volume {
        return Err(BrokenLaw::WrongVolume { stated: result.volume, filled: bought });
    }
    let (stated, computed) = (result.welfare, Money::from_thousandths(worth)?);
    if stated == computed { Ok(()) } else { Err(BrokenLaw::WrongWelfare { stated, computed }) }
}
