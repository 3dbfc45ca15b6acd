//! Answers: what became of every order, and why.

use rayon::prelude::*;

use crate::Overflow;
use crate::answer::Reason;
use crate::clearing::places::{Places, index};
use crate::clearing::zonal::Solution;
use crate::clearing::{PARALLEL_FROM, Verdict, ZoneResult};
use crate::energy::Energy;
use crate::grid::{Grid, Node, PerZone};
use crate::money::Money;
use crate::order::Side;
use crate::price::Price;
use crate::zone::ZoneId;

/// Everything an answer is read from.
pub(super) struct View<'a> {
    pub(super) places: &'a Places<'a>,
    pub(super) grid: &'a Grid,
    pub(super) solution: &'a Solution,
    pub(super) zones: &'a PerZone<ZoneResult>,
}

/// The best price that a zone's orders meet further up, charges on the way included, and the first
/// edge on the way that is full, if any is.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    price: i64,
    full: Option<ZoneId>,
}

/// By zone: what lies above it for bids and for offers; `None` where nothing is traded there.
struct Barriers {
    bids: PerZone<Option<Beyond>>,
    offers: PerZone<Option<Beyond>>,
}

/// Whether a buyer, or a seller, would rather have the first price.
type Better = fn(i64, i64) -> bool;

const CHEAPER: Better = |one, other| one < other;
const DEARER: Better = |one, other| one > other;

impl View<'_> {
    /// All verdicts in the order of the book, and the welfare.
    pub(super) fn verdicts(&self) -> Result<(Vec<Verdict>, Money), Overflow> {
        let barriers = self.barriers();
        let numbers = 0..u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let judge = |number: u32| self.judge(number, &barriers);
        let verdicts = if self.places.len() < PARALLEL_FROM {
            numbers.map(judge).collect()
        } else {
            numbers.into_par_iter().map(judge).collect()
        };
        Ok((verdicts, welfare(self.grid, self.solution)?))
    }

    /// What became of the order with this number.
    fn judge(&self, number: u32, barriers: &Barriers) -> Verdict {
        let (place, node) = (self.places.place(number), self.places.node(number));
        let side = if number < self.places.bid_count() { Side::Buy } else { Side::Sell };
        let fill = self.solution.fills.get(index(place)).copied().unwrap_or_default();
        let reason = match fill.next {
            None => Reason::Filled,
            Some(limit) => self.reason(side, node, limit, barriers),
        };
        Verdict { filled: Energy::from_wh(fill.energy), reason }
    }

    /// Why a step at this limit was not filled to the end.
    fn reason(&self, side: Side, node: Node, limit: i64, barriers: &Barriers) -> Reason {
        let own = self.zones[node].price;
        let (beyond, better) = match side {
            Side::Buy => (barriers.bids[node], CHEAPER),
            Side::Sell => (barriers.offers[node], DEARER),
        };
        let met = |price: i64| {
            !better(limit, price) && own.is_none_or(|own| better(price, own.micros_per_kwh()))
        };
        let full = beyond.filter(|beyond| met(beyond.price)).and_then(|beyond| beyond.full);
        let limit = Price::from_micros_per_kwh(limit);
        match (full, own) {
            (Some(zone), _) => Reason::EdgeFull { zone, limit },
            (None, None) => Reason::NoTrade,
            (None, Some(price)) if price == limit => Reason::SharedAtMargin,
            (None, Some(_)) => Reason::LimitNotReached { limit },
        }
    }

    /// Follows the ways down: what is traded in the zone above is within reach, and what is within
    /// reach there, each for the charge more, or less.
    fn barriers(&self) -> Barriers {
        let mut barriers = Barriers { bids: self.grid.table(None), offers: self.grid.table(None) };
        for node in self.grid.nodes() {
            let Some(way) = self.grid.way(node) else { continue };
            let (flow, zone) = (self.solution.flows[node], self.grid.id(node));
            let above = self.zones[way.parent].price;
            let above = above.map(|price| Beyond { price: price.micros_per_kwh(), full: None });
            let step = |further: Option<Beyond>, charge: i64, full: bool, better: Better| {
                let best = match (above, further) {
                    (Some(near), Some(far)) if better(far.price, near.price) => Some(far),
                    (near, far) => near.or(far),
                };
                best.map(|beyond| Beyond {
                    price: beyond.price.saturating_add(charge),
                    full: if full { Some(zone) } else { beyond.full },
                })
            };
            let (bids, offers) = (barriers.bids[way.parent], barriers.offers[way.parent]);
            let (no_more_down, no_more_up) = (flow <= way.down.saturating_neg(), flow >= way.up);
            barriers.bids[node] = step(bids, way.charge, no_more_down, CHEAPER);
            barriers.offers[node] = step(offers, way.charge.saturating_neg(), no_more_up, DEARER);
        }
        barriers
    }
}

/// The value of all fills less the charges on all flows, rounded once.
fn welfare(grid: &Grid, solution: &Solution) -> Result<Money, Overflow> {
    let mut welfare = solution.value;
    for node in grid.nodes() {
        if let Some(way) = grid.way(node) {
            let flow = i128::from(solution.flows[node]).saturating_abs();
            welfare = welfare.saturating_sub(flow.saturating_mul(i128::from(way.charge)));
        }
    }
    Money::from_thousandths(welfare)
}
