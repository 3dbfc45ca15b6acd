//! The auction once more, written from the rules of the design and not from the code: watt-hour by
//! watt-hour, with plain loops over 128-bit integers.

use market::hash::Digest;
use market::order::Side;

use crate::bare::{Bare, order_id};

/// What the rules say about a set of orders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Naive {
    /// Wh.
    pub(crate) volume: i128,
    /// Sum of limit x Wh, bids minus offers.
    pub(crate) welfare: i128,
    /// The lowest and the highest price that support the volume.
    pub(crate) interval: Option<(i128, i128)>,
    /// What each order gets, in Wh.
    pub(crate) fills: Vec<i128>,
}

/// One watt-hour of somebody's order.
#[derive(Clone, Copy)]
struct Unit {
    limit: i128,
    order: usize,
}

fn units(orders: &[Bare], side: Side) -> Vec<Unit> {
    let mut units = Vec::new();
    for (order, bare) in orders.iter().enumerate() {
        for (limit, wh) in &bare.steps {
            for _ in 0..*wh {
                if bare.side == side {
                    units.push(Unit { limit: i128::from(*limit), order });
                }
            }
        }
    }
    units
}

fn take_best(units: &mut Vec<Unit>, better: impl Fn(i128, i128) -> bool) -> Option<Unit> {
    let mut best = 0;
    for at in 0..units.len() {
        if better(units[at].limit, units[best].limit) {
            best = at;
        }
    }
    if units.is_empty() { None } else { Some(units.swap_remove(best)) }
}

/// Matches the best watt-hour wanted with the cheapest one offered as long as both want.
pub(crate) fn clear_naively(orders: &[Bare], salt: &Digest) -> Naive {
    let (mut wanted, mut offered) = (units(orders, Side::Buy), units(orders, Side::Sell));
    let (mut volume, mut welfare, mut last) = (0, 0, None);
    while let (Some(bid), Some(offer)) =
        (take_best(&mut wanted, |a, b| a > b), take_best(&mut offered, |a, b| a < b))
    {
        if bid.limit < offer.limit {
            break;
        }
        volume += 1;
        welfare += bid.limit - offer.limit;
        last = Some((bid.limit, offer.limit));
    }
    let mut fills = vec![0; orders.len()];
    if let Some((last_bid, last_offer)) = last {
        share_out(orders, Side::Buy, last_bid, volume, salt, &mut fills);
        share_out(orders, Side::Sell, last_offer, volume, salt, &mut fills);
    }
    Naive { volume, welfare, interval: supporting_prices(orders, volume), fills }
}

/// All prices at which exactly `volume` changes hands without leaving out anybody who would gain
/// and without serving anybody who would lose. Its ends are limits, so only those are tried.
fn supporting_prices(orders: &[Bare], volume: i128) -> Option<(i128, i128)> {
    if volume == 0 {
        return None;
    }
    let (wanted, offered) = (units(orders, Side::Buy), units(orders, Side::Sell));
    let mut range: Option<(i128, i128)> = None;
    for Unit { limit: price, .. } in wanted.iter().chain(&offered).copied() {
        let count = |units: &[Unit], wants: &dyn Fn(i128) -> bool| {
            let mut count = 0_i128;
            for unit in units {
                count += i128::from(wants(unit.limit));
            }
            count
        };
        let must = count(&wanted, &|limit| limit > price).max(count(&offered, &|l| l < price));
        let may = count(&wanted, &|limit| limit >= price).min(count(&offered, &|l| l <= price));
        if must <= volume && volume <= may {
            let (low, high) = range.unwrap_or((price, price));
            range = Some((low.min(price), high.max(price)));
        }
    }
    range
}

/// Everything better than the last limit that traded in full; at that limit pro rata, the odd
/// watt-hours one by one to the largest remainder, equal ones by SHA-256(order id, salt).
fn share_out(
    orders: &[Bare],
    side: Side,
    last: i128,
    volume: i128,
    salt: &Digest,
    fills: &mut [i128],
) {
    let mut left = volume;
    let mut claims = vec![0_i128; orders.len()];
    for unit in units(orders, side) {
        let better = if side == Side::Buy { unit.limit > last } else { unit.limit < last };
        if better {
            fills[unit.order] += 1;
            left -= 1;
        } else if unit.limit == last {
            claims[unit.order] += 1;
        }
    }
    let all: i128 = claims.iter().sum();
    let mut odd = left;
    for (order, claim) in claims.iter().enumerate() {
        fills[order] += left * claim / all;
        odd -= left * claim / all;
    }
    let mut served = vec![false; orders.len()];
    for _ in 0..odd {
        let mut next: Option<usize> = None;
        for (order, claim) in claims.iter().enumerate() {
            if *claim == 0 || served[order] {
                continue;
            }
            let rank = |order: usize| {
                let lot = Digest::of(&[order_id(order).as_bytes(), salt.as_bytes()]);
                (-(left * claims[order] % all), lot)
            };
            if next.is_none_or(|best| rank(order) < rank(best)) {
                next = Some(order);
            }
        }
        let lucky = next.expect("fewer odd watt-hours than claims");
        served[lucky] = true;
        fills[lucky] += 1;
    }
}

/// Tries every quantity of every step: the largest welfare, and the largest volume with it.
pub(crate) fn best_of_all_allocations(orders: &[Bare]) -> (i128, i128) {
    let mut steps = Vec::new();
    for order in orders {
        for (limit, wh) in &order.steps {
            steps.push((order.side, i128::from(*limit), *wh));
        }
    }
    let mut best = (0, 0);
    try_all(&steps, 0, 0, 0, &mut best);
    best
}

fn try_all(
    steps: &[(Side, i128, i64)],
    bought: i128,
    sold: i128,
    welfare: i128,
    best: &mut (i128, i128),
) {
    let Some(((side, limit, wh), rest)) = steps.split_first() else {
        if bought == sold {
            *best = (*best).max((welfare, bought));
        }
        return;
    };
    for quantity in (0..=*wh).map(i128::from) {
        match side {
            Side::Buy => try_all(rest, bought + quantity, sold, welfare + limit * quantity, best),
            Side::Sell => try_all(rest, bought, sold + quantity, welfare - limit * quantity, best),
        }
    }
}
