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

/// The best price in all zones on one side of an edge, with all charges on the way to it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Over edges that all have room.
    near: Option<i64>,
    /// Behind an edge that is full.
    far: Option<Beyond>,
}

/// A price, and the first edge on the way to it that is full.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    price: i64,
    full: ZoneId,
}

impl Seen {
    fn or(self, other: Self, better: Better) -> Self {
        let near = match (self.near, other.near) {
            (Some(one), Some(other)) if better(other, one) => Some(other),
            (one, other) => one.or(other),
        };
        let far = match (self.far, other.far) {
            (Some(one), Some(other)) if better(other.price, one.price) => Some(other),
            (one, other) => one.or(other),
        };
        Self { near, far }
    }

    /// The same from the other end of an edge. `full` names the edge, if it is.
    fn across(self, charge: i64, full: Option<ZoneId>, better: Better) -> Self {
        let near = self.near.map(|price| price.saturating_add(charge));
        let far = self.far.map(|far| Beyond { price: far.price.saturating_add(charge), ..far });
        let Some(full) = full else { return Self { near, far } };
        let prices = near.into_iter().chain(far.map(|far| far.price));
        let best = prices.reduce(|one, other| if better(other, one) { other } else { one });
        Self { near: None, far: best.map(|price| Beyond { price, full }) }
    }
}

/// By zone: what lies elsewhere for its bids and for its offers.
struct Barriers {
    bids: PerZone<Seen>,
    offers: PerZone<Seen>,
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
        let (seen, better) = match side {
            Side::Buy => (barriers.bids[node], CHEAPER),
            Side::Sell => (barriers.offers[node], DEARER),
        };
        let met = |price: i64| {
            !better(limit, price) && own.is_none_or(|own| better(price, own.micros_per_kwh()))
        };
        let beyond = seen.far.filter(|beyond| met(beyond.price));
        let limit = Price::from_micros_per_kwh(limit);
        match (beyond, own) {
            (Some(Beyond { full, .. }), _) => Reason::EdgeFull { zone: full, limit },
            (None, None) => Reason::NoTrade,
            (None, Some(price)) if price == limit => Reason::SharedAtMargin,
            (None, Some(_)) => Reason::LimitNotReached { limit },
        }
    }

    fn barriers(&self) -> Barriers {
        Barriers { bids: self.elsewhere(Side::Buy), offers: self.elsewhere(Side::Sell) }
    }

    /// What the orders of one side see from each zone: the price of every other zone, or where
    /// nothing is traded the best limit of the other side, each with the charges on the way. First
    /// every zone learns what lies below it, then what lies above and beside it.
    fn elsewhere(&self, side: Side) -> PerZone<Seen> {
        let better = if side == Side::Buy { CHEAPER } else { DEARER };
        let mut at_or_below = self.grid.table(Seen::default());
        for node in self.grid.nodes().rev() {
            let here = Seen { near: self.offered(node, side), far: None };
            at_or_below[node] = self.grid.children(node).fold(here, |seen, child| {
                seen.or(self.look(child, side, true, at_or_below[child]), better)
            });
        }
        let mut elsewhere = self.grid.table(Seen::default());
        for node in self.grid.nodes() {
            // What a child sees above it is all but what lies below itself: its elder siblings
            // with everything above, and its younger ones.
            let here = Seen { near: self.offered(node, side), far: None };
            let mut elder = elsewhere[node].or(here, better);
            let children: Vec<_> = self.grid.children(node).collect();
            let mut younger = vec![Seen::default()];
            for child in children.iter().skip(1).rev() {
                let below = self.look(*child, side, true, at_or_below[*child]);
                let seen = younger.last().copied().unwrap_or_default().or(below, better);
                younger.push(seen);
            }
            for child in children {
                let others = elder.or(younger.pop().unwrap_or_default(), better);
                elsewhere[child] = self.look(child, side, false, others);
                elder = elder.or(self.look(child, side, true, at_or_below[child]), better);
            }
        }
        for node in self.grid.nodes() {
            elsewhere[node] = self.grid.children(node).fold(elsewhere[node], |seen, child| {
                seen.or(self.look(child, side, true, at_or_below[child]), better)
            });
        }
        elsewhere
    }

    /// What lies on one side of the edge above `child`, as it is seen from the other side, looking
    /// down or up.
    fn look(&self, child: Node, side: Side, down: bool, seen: Seen) -> Seen {
        let Some(way) = self.grid.way(child) else { return Seen::default() };
        let flow = self.solution.flows[child];
        // Energy goes to the bid that looks, or away from the offer.
        let (goes_up, better, charge) = match side {
            Side::Buy => (down, CHEAPER, way.charge),
            Side::Sell => (!down, DEARER, way.charge.saturating_neg()),
        };
        let is_full = if goes_up { flow >= way.up } else { flow <= way.down.saturating_neg() };
        seen.across(charge, is_full.then(|| self.grid.id(child)), better)
    }

    /// The price for which the other side trades in a zone, or would.
    fn offered(&self, node: Node, side: Side) -> Option<i64> {
        if let Some(price) = self.zones[node].price {
            return Some(price.micros_per_kwh());
        }
        let own = self.places.zone(node);
        match side {
            Side::Buy => self.places.steps(&own.offers).iter().map(|step| step.rank.price()).min(),
            Side::Sell => self.places.steps(&own.bids).iter().map(|step| step.rank.price()).max(),
        }
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
