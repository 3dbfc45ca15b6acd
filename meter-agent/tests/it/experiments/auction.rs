//! A continuous double auction as in the published experiments: traders with one unit each shout in
//! random order; a shout that crosses the best opposite one is a trade at the earlier price.

use market::order::Side;
use rand::{Rng, RngExt as _};

/// A trader of one unit a day.
pub(super) trait Trader {
    /// What it shouts now.
    fn shout(&mut self, limit: f64, rng: &mut dyn Rng) -> f64;

    /// A shout that all hear: who made it, at which price, and whether it was taken.
    fn hear(&mut self, heard: (Side, f64, bool), limit: f64, active: bool, rng: &mut dyn Rng);
}

/// One seat in the room.
pub(super) struct Seat<T> {
    pub(super) side: Side,
    pub(super) limit: f64,
    pub(super) trader: T,
}

/// What a trading day came to.
pub(super) struct Day {
    /// Gains from trade as a share of the most that is possible.
    pub(super) efficiency: f64,
    /// The prices, in order.
    pub(super) prices: Vec<f64>,
}

/// A trading day ends after so many shouts in a row without a trade.
const QUIET_SHOUTS: usize = 300;

/// One day: everybody has one unit to trade. A better shout replaces the best of its side; after a
/// trade all shouts are off.
pub(super) fn day<T: Trader>(seats: &mut [Seat<T>], rng: &mut impl Rng) -> Day {
    let mut active = vec![true; seats.len()];
    let mut best: [Option<(usize, f64)>; 2] = [None, None];
    let (mut gains, mut prices, mut quiet) = (0.0, Vec::new(), 0);
    while quiet < QUIET_SHOUTS {
        quiet += 1;
        let waiting: Vec<_> = (0..seats.len()).filter(|seat| active[*seat]).collect();
        if waiting.is_empty() {
            break;
        }
        let who = waiting[rng.random_range(0..waiting.len())];
        let seat = &mut seats[who];
        let (side, limit) = (seat.side, seat.limit);
        let price = seat.trader.shout(limit, rng);
        let (own, other) = (side as usize - 1, 2 - side as usize);
        let better = |best: Option<(usize, f64)>| {
            best.is_none_or(|(_, best)| if side == Side::Buy { price > best } else { price < best })
        };
        let crossed = best[other]
            .filter(|(_, other)| if side == Side::Buy { price >= *other } else { price <= *other });
        match crossed {
            Some((whom, at)) => {
                let (buyer, seller) = if side == Side::Buy { (who, whom) } else { (whom, who) };
                gains += seats[buyer].limit - seats[seller].limit;
                prices.push(at);
                // The earlier shout is the one that was taken.
                tell(seats, (seats[whom].side, at, true), &active, rng);
                active[who] = false;
                active[whom] = false;
                best = [None, None];
                quiet = 0;
            }
            None => {
                if better(best[own]) {
                    best[own] = Some((who, price));
                }
                tell(seats, (side, price, false), &active, rng);
            }
        }
    }
    Day { efficiency: gains / most_possible(seats), prices }
}

fn tell<T: Trader>(
    seats: &mut [Seat<T>],
    heard: (Side, f64, bool),
    active: &[bool],
    rng: &mut impl Rng,
) {
    for (seat, active) in seats.iter_mut().zip(active) {
        seat.trader.hear(heard, seat.limit, *active, rng);
    }
}

/// The gains from trade of the best allocation: an oracle that knows all limits.
fn most_possible<T>(seats: &[Seat<T>]) -> f64 {
    let limits = |side: Side| {
        let mut limits: Vec<_> =
            seats.iter().filter(|seat| seat.side == side).map(|seat| seat.limit).collect();
        limits.sort_by(f64::total_cmp);
        limits
    };
    let (mut bids, offers) = (limits(Side::Buy), limits(Side::Sell));
    bids.reverse();
    bids.iter().zip(&offers).map(|(bid, offer)| (bid - offer).max(0.0)).sum()
}
