//! Who trades with whom: inside a zone first, then up the tree. Quantities and prices are already
//! fixed, so this moves no money between neighbours; it decides whose name stands on a trade.
//!
//! In each zone, named partners meet first, then bids that prefer an origin meet offers of it, then
//! everybody who is left. Where one side is larger than the other, what it sends up the tree is a
//! stretch of its energy that begins at a watt-hour drawn by lot: every watt-hour has the same
//! chance, so each party's expected part is pro rata, and hardly any order is split for it.
//!
//! Every trade but two per zone exhausts an order, so there are fewer trades than filled orders and
//! twice the zones together.

use crate::Overflow;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::places::{Place, Places, index};
use crate::clearing::zonal::Fill;
use crate::grid::{Grid, Node, PerZone};
use crate::hash::Digest;
use crate::member::PartyId;
use crate::order::{Origin, Side};
use std::ops::Range;

/// A seller and a buyer who met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub(super) offer: Place,
    pub(super) bid: Place,
    /// Wh; above zero.
    pub(super) energy: i64,
    /// Where the ways up from both meet.
    pub(super) meeting: Node,
}

/// Pairs all fills.
pub(super) fn allocate(
    book: &SealedBook,
    places: &Places<'_>,
    grid: &Grid,
    fills: &[Fill],
) -> Result<Vec<Match>, Overflow> {
    let mut allocation = Allocation {
        places,
        salt: book.salt(),
        left: fills.iter().map(|fill| fill.energy).collect(),
        // Nearly every match exhausts an order.
        matches: Vec::with_capacity(fills.iter().filter(|fill| fill.energy > 0).count()),
    };
    let mut wishes = places.wishes.partners.then(|| wishes(book, places, grid));
    let mut open = grid.table(Open::default());
    for node in grid.nodes().rev() {
        let mut here = Open::of(places, node, &allocation.left);
        for child in grid.children(node) {
            here.join(std::mem::take(&mut open[child]));
        }
        for (bid, offer) in
            wishes.as_mut().map(|at| std::mem::take(&mut at[node])).unwrap_or_default()
        {
            allocation.meet(bid, offer, i64::MAX, node)?;
        }
        allocation.match_zone(node, grid, &here)?;
        here.bids.retain(|bid| allocation.left(*bid) > 0);
        here.offers.retain(|offer| allocation.left(*offer) > 0);
        open[node] = here;
    }
    Ok(allocation.matches)
}

/// Orders that still have energy to pair.
#[derive(Debug, Clone, Default)]
struct Open {
    bids: Vec<Place>,
    offers: Vec<Place>,
}

impl Open {
    fn of(places: &Places<'_>, node: Node, left: &[i64]) -> Self {
        let filled = |place: &Place| left.get(index(*place)).is_some_and(|left| *left > 0);
        let own = places.zone(node);
        Self {
            bids: own.bids.clone().filter(filled).collect(),
            offers: own.offers.clone().filter(filled).collect(),
        }
    }

    /// Takes in what a zone below leaves; the longer list stays where it is.
    fn join(&mut self, mut other: Self) {
        for (own, new) in [(&mut self.bids, &mut other.bids), (&mut self.offers, &mut other.offers)]
        {
            if own.len() < new.len() {
                std::mem::swap(own, new);
            }
            own.append(new);
        }
    }
}

type Meetings = PerZone<Vec<(Place, Place)>>;

/// Bids and offers of which one names the other's party, by the zone where they meet: the buyers'
/// wishes before the sellers', each in the order of its list.
fn wishes(book: &SealedBook, places: &Places<'_>, grid: &Grid) -> Meetings {
    let mut wishes = grid.table(Vec::new());
    let mut wish = |bid: u32, offer: u32| {
        let (bid_at, offer_at) = (places.place(bid), places.place(offer));
        wishes[grid.meeting(places.node(bid), places.node(offer))].push((bid_at, offer_at));
    };
    let first_offer = places.bid_count();
    for (bid, order) in (0_u32..).zip(book.bids()) {
        for partner in &order.preferences.partners {
            orders_of(partner, book.offers(), first_offer).for_each(|offer| wish(bid, offer));
        }
    }
    for (offer, order) in (first_offer..).zip(book.offers()) {
        for partner in &order.preferences.partners {
            orders_of(partner, book.bids(), 0).for_each(|bid| wish(bid, offer));
        }
    }
    wishes
}

/// The numbers of a party's orders on one side of the book, which is sorted by party and whose
/// first order has the number `first`.
fn orders_of(party: &PartyId, orders: &[BookedOrder], first: u32) -> Range<u32> {
    let edge = |index: usize| first.saturating_add(u32::try_from(index).unwrap_or(u32::MAX));
    let from = orders.partition_point(|order| order.party < *party);
    let to = orders.partition_point(|order| order.party <= *party);
    edge(from)..edge(to)
}

struct Allocation<'a> {
    places: &'a Places<'a>,
    salt: &'a Digest,
    /// By place: what is not yet paired.
    left: Vec<i64>,
    matches: Vec<Match>,
}

impl Allocation<'_> {
    /// Pairs everything in a zone that has a counterpart in it.
    fn match_zone(&mut self, node: Node, grid: &Grid, open: &Open) -> Result<(), Overflow> {
        for origin in
            [Origin::Solar, Origin::Battery].into_iter().filter(|_| self.places.wishes.origins)
        {
            let of_origin = |places: &[Place]| -> Vec<Place> {
                let prefers = |place: &Place| {
                    let order = self.places.order(*place);
                    order.is_some_and(|order| order.preferences.origin == Some(origin))
                };
                places.iter().copied().filter(prefers).collect()
            };
            let (bids, offers) = (of_origin(&open.bids), of_origin(&open.offers));
            self.sweep(node, whole(&bids), whole(&offers))?;
        }
        let (demand, supply) = (self.total(&open.bids)?, self.total(&open.offers)?);
        if demand < supply {
            let start = self.lot(grid, node, Side::Sell, supply);
            let offers = self.stretch(&open.offers, start, demand);
            let first = self.matches.len();
            self.sweep(node, whole(&open.bids), offers.into_iter())?;
            self.close_ring(first, |found| (found.offer, found.bid))
        } else if supply < demand {
            let start = self.lot(grid, node, Side::Buy, demand);
            let bids = self.stretch(&open.bids, start, supply);
            let first = self.matches.len();
            self.sweep(node, bids.into_iter(), whole(&open.offers))?;
            self.close_ring(first, |found| (found.bid, found.offer))
        } else {
            self.sweep(node, whole(&open.bids), whole(&open.offers))
        }
    }

    /// What is left of these orders together.
    fn total(&self, places: &[Place]) -> Result<i64, Overflow> {
        let failed = Overflow::of("the energy of a zone");
        let mut lefts = places.iter().map(|place| self.left(*place));
        lefts.try_fold(0_i64, i64::checked_add).ok_or(failed)
    }

    /// `length` watt-hours of what is left of these orders, from watt-hour `start` on.
    fn stretch(&self, places: &[Place], start: i64, length: i64) -> Vec<(Place, i64)> {
        let open = |place: &Place| (*place, self.left(*place));
        let orders: Vec<_> = places.iter().map(open).filter(|(_, left)| *left > 0).collect();
        stretch(&orders, start, length)
    }

    /// A watt-hour below `total` that nobody could foresee.
    fn lot(&self, grid: &Grid, node: Node, side: Side, total: i64) -> i64 {
        let name: &[u8] = if side == Side::Buy { b"bids" } else { b"offers" };
        let zone = grid.id(node).0.to_be_bytes();
        let draw = Digest::of(&[b"hidamari/stretch/1", name, &zone, self.salt.as_bytes()]);
        let mut first = [0; 8];
        first.copy_from_slice(draw.as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
        let total = u64::try_from(total).unwrap_or(1).max(1);
        i64::try_from(u64::from_be_bytes(first).checked_rem(total).unwrap_or(0)).unwrap_or(0)
    }

    /// The order in the middle of which a ring begins stands at both of its ends. If it met the same
    /// order at both, that is one match. `ends` names the order of the ring and its counterpart.
    fn close_ring(
        &mut self,
        first: usize,
        ends: impl Fn(&Match) -> (Place, Place),
    ) -> Result<(), Overflow> {
        let Some(found) = self.matches.get(first..).filter(|found| !found.is_empty()) else {
            return Ok(());
        };
        let begins = found.first().map(|one| ends(one).0);
        let of_start = |one: &&Match| Some(ends(one).0) == begins;
        let tail = found.iter().take_while(of_start).count();
        let head = found.iter().rev().take_while(of_start).count();
        let (last, next) = (tail.saturating_sub(1), found.len().saturating_sub(head));
        let counterpart = |at: usize| found.get(at).map(|one| ends(one).1);
        if next <= last || counterpart(last) != counterpart(next) {
            return Ok(());
        }
        let again = self.matches.remove(first.saturating_add(next));
        if let Some(one) = self.matches.get_mut(first.saturating_add(last)) {
            let sum = one.energy.checked_add(again.energy);
            one.energy = sum.ok_or(Overflow::of("a trade"))?;
        }
        Ok(())
    }

    /// Pairs two lists from their beginnings until one is used up; of each order at most the
    /// stated energy.
    fn sweep(
        &mut self,
        node: Node,
        mut bids: impl Iterator<Item = (Place, i64)>,
        mut offers: impl Iterator<Item = (Place, i64)>,
    ) -> Result<(), Overflow> {
        let (mut bid, mut offer) = (bids.next(), offers.next());
        while let (Some((buyer, bid_most)), Some((seller, offer_most))) = (bid, offer) {
            let wanted = self.left(buyer).min(bid_most);
            let offered = self.left(seller).min(offer_most);
            let energy = wanted.min(offered);
            self.meet(buyer, seller, energy, node)?;
            let rest = |place, most: i64| Some((place, most.saturating_sub(energy)));
            bid = if wanted > energy { rest(buyer, bid_most) } else { bids.next() };
            offer = if offered > energy { rest(seller, offer_most) } else { offers.next() };
        }
        Ok(())
    }

    /// Pairs as much as both have left, at most `limit`.
    fn meet(
        &mut self,
        bid: Place,
        offer: Place,
        limit: i64,
        meeting: Node,
    ) -> Result<(), Overflow> {
        let failed = Overflow::of("a trade");
        let energy = self.left(bid).min(self.left(offer)).min(limit);
        if energy <= 0 {
            return Ok(());
        }
        for place in [bid, offer] {
            if let Some(left) = self.left.get_mut(index(place)) {
                *left = left.checked_sub(energy).ok_or(failed)?;
            }
        }
        match self.matches.last_mut() {
            Some(last) if (last.offer, last.bid, last.meeting) == (offer, bid, meeting) => {
                last.energy = last.energy.checked_add(energy).ok_or(failed)?;
            }
            _ => self.matches.push(Match { offer, bid, energy, meeting }),
        }
        Ok(())
    }

    fn left(&self, place: Place) -> i64 {
        self.left.get(index(place)).copied().unwrap_or_default()
    }
}

/// All that is left of these orders.
fn whole(places: &[Place]) -> impl Iterator<Item = (Place, i64)> {
    places.iter().map(|place| (*place, i64::MAX))
}

/// `length` watt-hours of these orders from watt-hour `start` on, as if they lay on a ring.
fn stretch(orders: &[(Place, i64)], start: i64, length: i64) -> Vec<(Place, i64)> {
    let (mut skip, mut want) = (start, length);
    let mut ring = Vec::with_capacity(orders.len());
    let mut before = Vec::new();
    for (place, energy) in orders {
        let skipped = skip.min(*energy);
        skip = skip.saturating_sub(skipped);
        if skipped > 0 {
            before.push((*place, skipped));
        }
        if *energy > skipped {
            ring.push((*place, energy.saturating_sub(skipped)));
        }
    }
    ring.append(&mut before);
    for (_, energy) in &mut ring {
        *energy = want.min(*energy);
        want = want.saturating_sub(*energy);
    }
    ring.retain(|(_, energy)| *energy > 0);
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_runs_round_the_ring_and_is_as_long_as_asked() {
        let orders = [(0, 5), (1, 3), (2, 4)];
        assert_eq!(stretch(&orders, 6, 4), [(1, 2), (2, 2)]);
        assert_eq!(stretch(&orders, 10, 5), [(2, 2), (0, 3)]);
        assert_eq!(stretch(&orders, 2, 12), [(0, 3), (1, 3), (2, 4), (0, 2)]);
        for start in 0..12 {
            for length in 0..=12 {
                let parts = stretch(&orders, start, length);
                assert_eq!(parts.iter().map(|(_, energy)| energy).sum::<i64>(), length);
            }
        }
    }
}
