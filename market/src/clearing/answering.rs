//! Answers: what became of every order, and why.

use rayon::prelude::*;

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::zonal::Solution;
use crate::clearing::{PARALLEL_FROM, ZoneResult};
use crate::energy::Energy;
use crate::grid::{Grid, PerZone};
use crate::money::Money;
use crate::order::Side;
use crate::price::Price;
use crate::zone::ZoneId;

/// Everything an answer is read from.
pub(super) struct View<'a> {
    pub(super) book: &'a SealedBook,
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
    /// All answers, and the welfare, from the fills in the order of the book.
    pub(super) fn answers(&self, fills: &[i64]) -> Result<(Vec<Answer>, Money), Overflow> {
        let barriers = self.barriers();
        let book = self.book;
        let orders = book.bids().len().saturating_add(book.offers().len());
        let (bid_fills, offer_fills) = fills.split_at_checked(book.bids().len()).unwrap_or_default();
        let mut answers = Vec::with_capacity(orders.saturating_add(book.crossed().len()));
        let mut value = 0_i128;
        for (side, orders, fills) in
            [(Side::Buy, book.bids(), bid_fills), (Side::Sell, book.offers(), offer_fills)]
        {
            let answer = |(order, filled): (&BookedOrder, &i64)| {
                self.answer(order, side, Energy::from_wh(*filled), &barriers)
            };
            let worth = |(order, filled): (&BookedOrder, &i64)| worth(order, *filled);
            let sum = if orders.len() < PARALLEL_FROM {
                answers.extend(orders.iter().zip(fills).map(answer));
                orders.iter().zip(fills).map(worth).fold(0, i128::saturating_add)
            } else {
                answers.par_extend(orders.par_iter().zip(fills).map(answer));
                orders.par_iter().zip(fills).map(worth).reduce(|| 0, i128::saturating_add)
            };
            value = match side {
                Side::Buy => value.saturating_add(sum),
                Side::Sell => value.saturating_sub(sum),
            };
        }
        answers.extend(book.crossed().iter().map(|(side, order)| {
            let reason = Reason::OwnOrderOpposite;
            self.write(order, *side, Energy::ZERO, reason)
        }));
        Ok((answers, welfare(value, self.grid, self.solution)?))
    }

    fn answer(
        &self,
        order: &BookedOrder,
        side: Side,
        filled: Energy,
        barriers: &Barriers,
    ) -> Answer {
        let reason = match (first_left(order, filled), self.grid.node(order.zone)) {
            (None, _) | (_, None) => Reason::Filled,
            (Some(limit), Some(node)) => {
                let (beyond, reached): (_, fn(i64, i64) -> bool) = match side {
                    Side::Buy => (barriers.bids[node], |limit, price| limit >= price),
                    Side::Sell => (barriers.offers[node], |limit, price| limit <= price),
                };
                let full = beyond.filter(|beyond| reached(limit.micros_per_kwh(), beyond.price));
                match (full, self.zones[node].price) {
                    (Some(beyond), _) => Reason::EdgeFull { zone: beyond.zone, limit },
                    (None, None) => Reason::NoTrade,
                    (None, Some(price)) if price == limit => Reason::SharedAtMargin,
                    (None, Some(_)) => Reason::LimitNotReached { limit },
                }
            }
        };
        self.write(order, side, filled, reason)
    }

    fn write(&self, order: &BookedOrder, side: Side, filled: Energy, reason: Reason) -> Answer {
        let price = self.grid.node(order.zone).and_then(|node| self.zones[node].price);
        let ordered = order.steps.iter().fold(0_i64, |sum, step| sum.saturating_add(step.energy.wh()));
        Answer {
            order: order.id,
            party: order.party,
            side,
            period: self.book.period(),
            gate: self.book.gate(),
            ordered: Energy::from_wh(ordered),
            filled,
            price,
            reason,
        }
    }

    /// Follows the ways up: where an edge is full, the price above it, less or plus the charge, is
    /// better than the zone's own, and so may be what lies further up.
    fn barriers(&self) -> Barriers {
        let mut barriers =
            Barriers { bids: self.grid.table(None), offers: self.grid.table(None) };
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
            barriers.offers[node] = step(offers, way.charge.saturating_neg(), |price, own| price > own);
        }
        barriers
    }
}

/// The limit of the best step that is not filled to the end.
fn first_left(order: &BookedOrder, filled: Energy) -> Option<Price> {
    let mut left = filled.wh();
    for step in &order.steps {
        if left < step.energy.wh() {
            return Some(step.limit);
        }
        left = left.saturating_sub(step.energy.wh());
    }
    None
}

/// Limit x energy over what was filled, in thousandths of a micro-unit. A step's product fits into
/// 126 bits, and 16 million books of 2^32 steps into the rest.
fn worth(order: &BookedOrder, filled: i64) -> i128 {
    let (mut left, mut worth) = (filled, 0_i128);
    for step in &order.steps {
        let taken = left.min(step.energy.wh());
        left = left.saturating_sub(taken);
        let product = i128::from(step.limit.micros_per_kwh()).saturating_mul(i128::from(taken));
        worth = worth.saturating_add(product);
    }
    worth
}

/// The value of all fills less the charges on all flows, rounded once.
fn welfare(value: i128, grid: &Grid, solution: &Solution) -> Result<Money, Overflow> {
    let mut welfare = value;
    for node in grid.nodes() {
        if let Some(way) = grid.way(node) {
            let flow = i128::from(solution.flows[node]).saturating_abs();
            welfare = welfare.saturating_sub(flow.saturating_mul(i128::from(way.charge)));
        }
    }
    Money::from_thousandths(welfare)
}
