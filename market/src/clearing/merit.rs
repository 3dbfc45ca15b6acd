//! Merit order: the steps of all orders, best limit first, and how far bids and offers reach each
//! other in it. For mechanisms in which who stands where decides what he pays.

use crate::Overflow;
use crate::book::BookedOrder;
use crate::clearing::ration::{Claim, ration};
use crate::hash::Digest;
use crate::order::Side;

/// One step of one order, in merit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// Micro-units per kWh.
    pub(super) limit: i64,
    /// Wh; above zero.
    pub(super) energy: i64,
    /// Which of the book's orders on this side.
    pub(super) number: u32,
}

/// All steps of these orders, best limit first; equal limits by SHA-256(order id, salt), so that no
/// bidder can choose who comes first.
pub(super) fn merit(orders: &[BookedOrder], side: Side, salt: &Digest) -> Vec<Rung> {
    let mut rungs = Vec::with_capacity(orders.len());
    for (number, order) in (0_u32..).zip(orders) {
        rungs.extend(order.steps.iter().map(|step| Rung {
            limit: step.limit.micros_per_kwh(),
            energy: step.energy.wh(),
            number,
        }));
    }
    match side {
        Side::Buy => rungs.sort_by_key(|rung| std::cmp::Reverse(rung.limit)),
        Side::Sell => rungs.sort_by_key(|rung| rung.limit),
    }
    for equals in rungs.chunk_by_mut(|one, next| one.limit == next.limit) {
        if equals.len() > 1 {
            equals.sort_by_cached_key(|rung| name(orders, rung.number).map(|id| lot(&id, salt)));
        }
    }
    rungs
}

/// The name under which an order draws its lot.
pub(super) fn name(orders: &[BookedOrder], number: u32) -> Option<Digest> {
    let order = orders.get(usize::try_from(number).ok()?)?;
    Some(Digest::from_bytes(*order.id.as_bytes()))
}

fn lot(name: &Digest, salt: &Digest) -> Digest {
    Digest::of(&[name.as_bytes(), salt.as_bytes()])
}

/// A bid and an offer that stand opposite each other in merit order, for so many Wh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) bid: Rung,
    pub(super) offer: Rung,
    pub(super) energy: i64,
}

/// Goes down both merit orders at once, watt-hour by watt-hour in one step per pair.
pub(super) struct Sweep<'a> {
    bids: &'a [Rung],
    offers: &'a [Rung],
    /// What is used of the first of each.
    used: (i64, i64),
}

impl<'a> Sweep<'a> {
    pub(super) fn of(bids: &'a [Rung], offers: &'a [Rung]) -> Self {
        Self { bids, offers, used: (0, 0) }
    }

    fn peek(&self) -> Option<Pair> {
        let (bid, offer) = (*self.bids.first()?, *self.offers.first()?);
        let bid_left = bid.energy.saturating_sub(self.used.0);
        let offer_left = offer.energy.saturating_sub(self.used.1);
        Some(Pair { bid, offer, energy: bid_left.min(offer_left) })
    }
}

impl Iterator for Sweep<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        let pair = self.peek()?;
        let advance = |rungs: &mut &[Rung], used: &mut i64, rung: Rung| {
            *used = used.saturating_add(pair.energy);
            if *used >= rung.energy {
                (*rungs, *used) = (rungs.get(1..).unwrap_or_default(), 0);
            }
        };
        advance(&mut self.bids, &mut self.used.0, pair.bid);
        advance(&mut self.offers, &mut self.used.1, pair.offer);
        Some(pair)
    }
}

/// How far bids and offers reach each other: the largest energy at whose end the bid's limit is
/// still not below the offer's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crossing<'a> {
    /// Wh; above zero.
    pub(super) volume: i64,
    pub(super) bids: Reach<'a>,
    pub(super) offers: Reach<'a>,
}

/// The part of a merit order that lies within a crossing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach<'a> {
    /// The steps within it; the last may be so only in part.
    pub(super) inside: &'a [Rung],
    /// The last of them: the marginal step.
    pub(super) last: Rung,
    /// The first step that trades nothing; `None` also where the last trades only in part.
    pub(super) next: Option<Rung>,
}

/// Finds the crossing; `None` if no bid reaches an offer.
///
/// # Errors
/// [`Overflow`] if the energy within it leaves its range.
pub(super) fn cross<'a>(
    bids: &'a [Rung],
    offers: &'a [Rung],
) -> Result<Option<Crossing<'a>>, Overflow> {
    let failed = Overflow::of("the energy of a zone");
    let mut sweep = Sweep::of(bids, offers);
    let (mut volume, mut last) = (0_i64, None);
    while let Some(pair) = sweep.peek().filter(|pair| pair.bid.limit >= pair.offer.limit) {
        volume = volume.checked_add(pair.energy).ok_or(failed)?;
        last = Some(pair);
        sweep.next();
    }
    let reach = |rungs: &'a [Rung], left: &'a [Rung], used: i64, last: Rung| {
        let count = rungs.len().saturating_sub(left.len()).saturating_add(usize::from(used > 0));
        let next = left.first().copied().filter(|_| used == 0);
        Reach { inside: rungs.get(..count).unwrap_or_default(), last, next }
    };
    Ok(last.map(|pair| Crossing {
        volume,
        bids: reach(bids, sweep.bids, sweep.used.0, pair.bid),
        offers: reach(offers, sweep.offers, sweep.used.1, pair.offer),
    }))
}

/// What one side trades of `volume`: everything better than the marginal limit, and of that limit
/// pro rata what is left, as in the auction. In merit order, without steps that get nothing.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range.
pub(super) fn filled(
    rungs: &[Rung],
    marginal: i64,
    volume: i64,
    orders: &[BookedOrder],
    salt: &Digest,
) -> Result<Vec<Rung>, Overflow> {
    let failed = Overflow::of("the energy at the margin");
    let better = rungs.iter().take_while(|rung| rung.limit != marginal).count();
    let (better, rest) = rungs.split_at_checked(better).unwrap_or_default();
    let tied: Vec<_> = rest.iter().take_while(|rung| rung.limit == marginal).copied().collect();
    let taken = better.iter().try_fold(0_i64, |sum, rung| sum.checked_add(rung.energy));
    let left = taken.and_then(|taken| volume.checked_sub(taken)).ok_or(failed)?;
    let claim = |rung: &Rung| Claim { who: rung.number, energy: rung.energy };
    let claims: Vec<_> = tied.iter().map(claim).collect();
    let id = |number: &u32| name(orders, *number).unwrap_or_default();
    let shares = ration(&claims, left, salt, id)?;
    let mut filled = better.to_vec();
    let parts = tied.into_iter().zip(shares).map(|(rung, energy)| Rung { energy, ..rung });
    filled.extend(parts.filter(|rung| rung.energy > 0));
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rungs(steps: &[(i64, i64)]) -> Vec<Rung> {
        let rung = |(number, (limit, energy)): (u32, &(i64, i64))| Rung {
            limit: *limit,
            energy: *energy,
            number,
        };
        (0_u32..).zip(steps).map(rung).collect()
    }

    #[test]
    fn a_crossing_ends_where_no_bid_reaches_an_offer() {
        let (bids, offers) = (rungs(&[(9, 5), (7, 5), (3, 5)]), rungs(&[(2, 4), (6, 4), (8, 4)]));
        let crossing = cross(&bids, &offers).unwrap().unwrap();
        assert_eq!(crossing.volume, 8);
        assert_eq!((crossing.bids.inside.len(), crossing.bids.last.limit), (2, 7));
        assert_eq!(crossing.bids.next, None, "the last bid trades only in part");
        assert_eq!((crossing.offers.inside.len(), crossing.offers.last.limit), (2, 6));
        assert_eq!(crossing.offers.next.map(|rung| rung.limit), Some(8));
    }

    #[test]
    fn equal_limits_reach_each_other_and_worse_ones_do_not() {
        let crossing = |bid, offer| {
            let (bids, offers) = (rungs(&[(bid, 3)]), rungs(&[(offer, 3)]));
            cross(&bids, &offers).unwrap().map(|crossing| crossing.volume)
        };
        assert_eq!((crossing(5, 5), crossing(5, 6)), (Some(3), None));
        assert_eq!(cross(&[], &rungs(&[(1, 1)])), Ok(None));
    }

    #[test]
    fn a_sweep_pairs_all_energy_of_the_shorter_side() {
        let (bids, offers) = (rungs(&[(9, 5), (7, 2)]), rungs(&[(2, 4), (6, 4)]));
        let pairs: Vec<_> = Sweep::of(&bids, &offers)
            .map(|pair| (pair.bid.number, pair.offer.number, pair.energy))
            .collect();
        assert_eq!(pairs, [(0, 0, 4), (0, 1, 1), (1, 1, 2)]);
    }

    #[test]
    fn energy_beyond_the_range_is_an_error() {
        let many = rungs(&[(9, i64::MAX), (8, i64::MAX)]);
        assert!(cross(&many, &rungs(&[(1, i64::MAX), (1, i64::MAX)])).is_err());
    }
}
