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

/// The best price that a zone's orders would have met beyond edges that are full, and the first of
/// those edges.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    price: i64,
    zone: ZoneId,
}

/// By zone: what lies beyond full edges for bids and for offers; `None` where nothing does.
struct Barriers {
    bids: PerZone<Option<Beyond>>,
    offers: PerZone<Option<Beyond>>,
}

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
        let full = match side {
            Side::Buy => barriers.bids[node].filter(|beyond| limit >= beyond.price),
            Side::Sell => barriers.offers[node].filter(|beyond| limit <= beyond.price),
        };
        let limit = Price::from_micros_per_kwh(limit);
        match (full, self.zones[node].price) {
            (Some(beyond), _) => Reason::EdgeFull { zone: beyond.zone, limit },
            (None, None) => Reason::NoTrade,
            (None, Some(price)) if price == limit => Reason::SharedAtMargin,
            (None, Some(_)) => Reason::LimitNotReached { limit },
        }
    }

    /// Follows the ways up: where an edge is full, the price above it, less or plus the charge, is
    /// better than the zone's own, and so may be what lies further up.
    fn barriers(&self) -> Barriers {
        let mut barriers = Barriers { bids: self.grid.table(None), offers: self.grid.table(None) };
        for node in self.grid.nodes() {
            let Some(way) = self.grid.way(node) else { continue };
            let own = self.solution.prices[node];
            let above = self.zones[way.parent].price.map(Price::micros_per_kwh);
            let zone = self.grid.id(node);
            let step = |from: Option<Beyond>, charge: i64, better: fn(i64, i64) -> bool| {
                let here = above.map(|price| Beyond { price: price.saturating_add(charge), zone });
                let full = here.filter(|beyond| better(beyond.price, own));
                let inherited = from.map(|beyond| Beyond {
                    price: beyond.price.saturating_add(charge),
                    zone: if full.is_some() { zone } else { beyond.zone },
                });
                match (full, inherited.filter(|beyond| better(beyond.price, own))) {
                    (Some(near), Some(far)) if better(far.price, near.price) => Some(far),
                    (near, far) => near.or(far),
                }
            };
            let (bids, offers) = (barriers.bids[way.parent], barriers.offers[way.parent]);
            barriers.bids[node] = step(bids, way.charge, |price, own| price < own);
            barriers.offers[node] =
                step(offers, way.charge.saturating_neg(), |price, own| price > own);
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
