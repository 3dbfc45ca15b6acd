//! The exact zonal double auction of design section 4: prices, flows and quantities on any tree of
//! zones, with wheeling charges and capacities.
//!
//! Bottom-up, each zone's net-export curve is built from its own orders and from what it sees of
//! the zones below ([`crate::clearing::curve`]). At the root the price is where net export crosses
//! zero. Top-down, each zone learns how much it exports and at which price, fills its own orders,
//! and tells the zones below. The result is an optimum of the linear programme
//! `max sum(bid x filled) - sum(offer x filled) - sum(charge x |flow|)`, found in
//! O(N log N) for a fixed depth, and among the optima one of largest volume.

use rayon::prelude::*;
use std::ops::Range;

use crate::Overflow;
use crate::clearing::curve::{Curve, Increment, Rank, flow_at};
use crate::clearing::places::{Place, Places, index};
use crate::clearing::ration::{Claim, ration, zone_lot};
use crate::clearing::{CURVE_STEPS_MAX, ClearingError, PARALLEL_FROM, Terms};
use crate::grid::{Grid, Node, PerZone, Way};
use crate::hash::Digest;
use crate::order::Side;
use crate::price::Price;

/// The exact zonal double auction.
pub(super) struct ZonalAuction;

/// Prices and quantities.
pub(super) struct Solution {
    /// The price that supports each zone's fills, whether or not anything was traded there, in
    /// micro-units per kWh. Across an edge that is not full, prices differ by at most its charge.
    pub(super) prices: PerZone<i64>,
    /// What flows over the edge above each zone, in Wh; up is positive.
    pub(super) flows: PerZone<i64>,
    /// By place.
    pub(super) fills: Vec<Fill>,
    /// Bid limits minus offer limits over all fills, in thousandths of a micro-unit.
    pub(super) value: i128,
}

/// What an order is filled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fill {
    /// Wh; not negative.
    pub(super) energy: i64,
    /// The limit of the first step that is not filled to its end.
    pub(super) next: Option<i64>,
}

/// Finds an optimum.
pub(super) fn solve(
    places: &Places<'_>,
    grid: &Grid,
    terms: &Terms<'_>,
    salt: &Digest,
) -> Result<Solution, ClearingError> {
    check_depth(places, grid)?;
    let curves = curves(places, grid)?;
    let mut ranks = grid.table(Rank::default());
    let mut solution = Solution {
        prices: grid.table(0),
        flows: grid.table(0),
        fills: vec![Fill::default(); places.len()],
        value: 0,
    };
    for layer in grid.layers() {
        for node in &layer {
            let curve = &curves[*node];
            ranks[*node] = rank(*node, curve, solution.flows[*node], &ranks, grid, terms)?;
            solution.prices[*node] = ranks[*node].price();
        }
        let fill_one = |node: &Node| {
            let margin = Margin { node: *node, places, grid, curves: &curves, salt };
            margin.fill(ranks[*node], solution.flows[*node])
        };
        let filled = each(&layer, places, fill_one)?;
        for zone in filled {
            zone.write(&mut solution);
        }
    }
    Ok(solution)
}

/// Does the same for every zone of a layer, on all cores if that pays.
fn each<T: Send, E: Send>(
    layer: &[Node],
    places: &Places<'_>,
    work: impl Fn(&Node) -> Result<T, E> + Sync + Send,
) -> Result<Vec<T>, E> {
    if layer.len() > 1 && places.len() >= PARALLEL_FROM {
        layer.par_iter().map(work).collect()
    } else {
        layer.iter().map(work).collect()
    }
}

/// Whether the curves of all zones fit into memory.
fn check_depth(places: &Places<'_>, grid: &Grid) -> Result<(), ClearingError> {
    let mut counted = 0_u64;
    for (curves, layer) in (1_u64..).zip(grid.layers()) {
        for node in layer {
            let own = places.zone(node);
            let steps = [&own.bids, &own.offers].map(|places_of| places.steps(places_of).len());
            for count in steps.map(|count| u64::try_from(count).unwrap_or(u64::MAX)) {
                counted = counted.saturating_add(count.saturating_mul(curves));
            }
        }
    }
    if counted > CURVE_STEPS_MAX { Err(ClearingError::TooDeep { counted }) } else { Ok(()) }
}

/// Every zone's net-export curve, the zones below included.
fn curves(places: &Places<'_>, grid: &Grid) -> Result<PerZone<Curve>, Overflow> {
    let mut curves = grid.table(Curve::default());
    for layer in grid.layers().rev() {
        let build = |node: &Node| curve(*node, places, grid, &curves);
        let built: Vec<_> = each(&layer, places, build)?;
        for (node, curve) in layer.into_iter().zip(built) {
            curves[node] = curve;
        }
    }
    Ok(curves)
}

fn curve(
    node: Node,
    places: &Places<'_>,
    grid: &Grid,
    curves: &PerZone<Curve>,
) -> Result<Curve, Overflow> {
    let failed = Overflow::of("the demand of a zone");
    let own = places.zone(node);
    let bids = places.steps(&own.bids);
    let mut demand = sum(bids.iter().map(|step| step.energy))?;
    let mut increments = [bids, places.steps(&own.offers)].concat();
    for child in grid.children(node) {
        if let Some(way) = grid.way(child) {
            let seen = curves[child].lift(&way, &mut increments)?;
            demand = demand.checked_add(seen).ok_or(failed)?;
        }
    }
    let mut curve = Curve::new(demand, increments)?;
    if let Some(way) = grid.way(node) {
        curve.trim(&way);
    }
    Ok(curve)
}

/// The price of a zone whose net export is known: by the k-rule within the prices that both its own
/// curve and the edge above support. An end that the zone's own orders leave open is the edge's.
fn rank(
    node: Node,
    curve: &Curve,
    flow: i64,
    ranks: &PerZone<Rank>,
    grid: &Grid,
    terms: &Terms<'_>,
) -> Result<Rank, Overflow> {
    let (low, high) = curve.interval(flow);
    let Some(way) = grid.way(node) else { return within(low, high, Rank::default(), terms) };
    let above = ranks[way.parent];
    let (least, most) = bounds(&way, flow, above)?;
    let rank = within(low.max(least), tighter(high, most), above, terms)?;
    let rank = least.map_or(rank, |least| rank.max(least));
    Ok(most.map_or(rank, |most| rank.min(most)))
}

/// Between which ranks an edge keeps the zone below it: the rank above, less or plus the charge,
/// binds from the side to which the edge has room, and from both while something flows.
fn bounds(way: &Way, flow: i64, above: Rank) -> Result<(Option<Rank>, Option<Rank>), Overflow> {
    let exporting = above.plus(way.charge.saturating_neg())?;
    let importing = above.plus(way.charge)?;
    let least = match flow {
        flow if flow < 0 => Some(importing),
        flow if flow < way.up => Some(exporting),
        _ => None,
    };
    let most = match flow {
        flow if flow > 0 => Some(exporting),
        flow if flow > way.down.saturating_neg() => Some(importing),
        _ => None,
    };
    Ok((least, most))
}

/// The lower of two upper ends; a missing one is open.
fn tighter(one: Option<Rank>, other: Option<Rank>) -> Option<Rank> {
    one.into_iter().chain(other).min()
}

/// By the k-rule between two ends; the only one where the other is open, and `without` any.
fn within(
    low: Option<Rank>,
    high: Option<Rank>,
    without: Rank,
    terms: &Terms<'_>,
) -> Result<Rank, Overflow> {
    match (low, high) {
        (Some(low), Some(high)) => inside(low, high.max(low), terms),
        (Some(end), None) | (None, Some(end)) => Ok(end),
        (None, None) => Ok(without),
    }
}

/// The k-rule; a lower end that is no whole number of ticks is not undercut.
fn inside(low: Rank, high: Rank, terms: &Terms<'_>) -> Result<Rank, Overflow> {
    let [from, to] = [low, high].map(|end| Price::from_micros_per_kwh(end.price()));
    let price = from.between(to, terms.k_millionths, terms.tick)?;
    Ok(Rank::first_at(price.micros_per_kwh())?.clamp(low, high))
}

/// A zone whose orders are to be filled.
struct Margin<'a> {
    node: Node,
    places: &'a Places<'a>,
    grid: &'a Grid,
    curves: &'a PerZone<Curve>,
    salt: &'a Digest,
}

/// What a zone decided: its fills, and the flows of the zones below.
struct ZoneFills {
    bids: SideFills,
    offers: SideFills,
    flows: Vec<(Node, i64)>,
    value: i128,
}

/// The fills of one side of a zone, from a place on.
struct SideFills {
    first: usize,
    fills: Vec<Fill>,
}

impl SideFills {
    fn of(places: &Range<Place>) -> Self {
        Self { first: index(places.start), fills: Vec::with_capacity(places.len()) }
    }
}

impl ZoneFills {
    fn side(&mut self, side: Side) -> &mut SideFills {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.offers,
        }
    }

    fn write(self, solution: &mut Solution) {
        for SideFills { first, fills } in [self.bids, self.offers] {
            let end = first.saturating_add(fills.len());
            if let Some(entries) = solution.fills.get_mut(first..end) {
                entries.copy_from_slice(&fills);
            }
        }
        for (node, flow) in self.flows {
            solution.flows[node] = flow;
        }
        solution.value = solution.value.saturating_add(self.value);
    }

    /// Adds an order's share at the margin.
    fn add(&mut self, place: Place, share: i64, places: &Places<'_>) {
        let side = if place < places.bid_count() { Side::Buy } else { Side::Sell };
        let SideFills { first, fills } = self.side(side);
        let at = index(place).checked_sub(*first);
        if let Some(fill) = at.and_then(|at| fills.get_mut(at)) {
            fill.energy = fill.energy.saturating_add(share);
            let mut left = fill.energy;
            let mut curve = places.steps(&(place..place.saturating_add(1))).iter();
            let next = curve.find(|step| {
                let partly = left < step.energy;
                left = left.saturating_sub(step.energy);
                partly
            });
            fill.next = next.map(|step| step.rank.price());
        }
    }
}

/// Who may stand at the margin of a zone.
#[derive(Debug, Clone, Copy)]
enum Claimant {
    /// An order of the zone.
    Order(Place),
    /// A zone below: which of the zone's children.
    Child(u32, Node),
}

/// All who stand exactly at the margin.
#[derive(Default)]
struct Tied {
    claims: Vec<Claim<Claimant>>,
    energy: i64,
}

impl Tied {
    fn push(&mut self, who: Claimant, energy: i64) -> Result<(), Overflow> {
        self.energy =
            self.energy.checked_add(energy).ok_or(Overflow::of("the energy at the margin"))?;
        self.claims.push(Claim { who, energy });
        Ok(())
    }
}

impl Margin<'_> {
    /// Fills everything better than the rank, and shares out what the net export leaves at it: what
    /// offers sell, or what bids still buy.
    fn fill(&self, rank: Rank, net_export: i64) -> Result<ZoneFills, ClearingError> {
        let failed = Overflow::of("the energy at the margin");
        let own = self.places.zone(self.node);
        let mut zone = ZoneFills {
            bids: SideFills::of(&own.bids),
            offers: SideFills::of(&own.offers),
            flows: Vec::new(),
            value: 0,
        };
        let mut tied = Tied::default();
        let bought = self.take_better(Side::Buy, rank, &mut zone, &mut tied)?;
        let buys = rank.side() == Side::Buy;
        let wanted = if buys { tied.energy } else { 0 };
        let sold = self.take_better(Side::Sell, rank, &mut zone, &mut tied)?;
        let bought = bought.checked_add(wanted).ok_or(failed)?;
        let mut below = sold.checked_sub(bought).ok_or(failed)?;
        for (at, child) in (0_u32..).zip(self.grid.children(self.node)) {
            let Some(way) = self.grid.way(child) else { continue };
            let curve = &self.curves[child];
            let from = flow_at(&way, rank, |rank| curve.below(rank))?;
            let to = flow_at(&way, rank, |rank| curve.through(rank))?;
            below = below.checked_add(from).ok_or(failed)?;
            let more = to.checked_sub(from).ok_or(failed)?;
            zone.flows.push((child, if buys { to } else { from }));
            if more > 0 {
                tied.push(Claimant::Child(at, child), more)?;
            }
        }
        let used = net_export.checked_sub(below).ok_or(failed)?;
        let price = rank.price();
        if buys {
            let buying = tied.energy.checked_sub(used).ok_or(failed)?;
            let bought_at_price = self.share(&tied, buying, &mut zone, i64::checked_sub)?;
            zone.value = zone.value.saturating_add(worth(price, bought_at_price));
        } else {
            let sold_at_price = self.share(&tied, used, &mut zone, i64::checked_add)?;
            zone.value = zone.value.saturating_sub(worth(price, sold_at_price));
        }
        Ok(zone)
    }

    /// Fills what is better than the rank and notes the claims at it; returns the sum of the
    /// former.
    fn take_better(
        &self,
        side: Side,
        rank: Rank,
        zone: &mut ZoneFills,
        tied: &mut Tied,
    ) -> Result<i64, ClearingError> {
        let own = self.places.zone(self.node);
        let places = if side == Side::Buy { &own.bids } else { &own.offers };
        let at_margin = self.places.steps(places).iter().filter(|step| step.rank == rank);
        tied.claims.reserve(at_margin.count());
        let (mut total, mut value) = (0_i64, 0_i128);
        for (place, curve) in self.places.curves(places) {
            let mut fill = Fill::default();
            for step in curve {
                let better = if side == Side::Buy { step.rank > rank } else { step.rank < rank };
                if better {
                    fill.energy = fill.energy.saturating_add(step.energy);
                    value = value.saturating_add(worth(step.rank.price(), step.energy));
                    continue;
                }
                if step.rank == rank {
                    tied.push(Claimant::Order(place), step.energy)?;
                }
                fill.next = Some(step.rank.price());
                break;
            }
            zone.side(side).fills.push(fill);
            total = total.checked_add(fill.energy).ok_or(Overflow::of("the energy of a zone"))?;
        }
        zone.value = match side {
            Side::Buy => zone.value.saturating_add(value),
            Side::Sell => zone.value.saturating_sub(value),
        };
        Ok(total)
    }

    /// Shares `total` out among those at the margin. An order's share is its fill; a zone's share
    /// changes its flow. Returns what the orders got.
    fn share(
        &self,
        tied: &Tied,
        total: i64,
        zone: &mut ZoneFills,
        change: impl Fn(i64, i64) -> Option<i64>,
    ) -> Result<i64, ClearingError> {
        let mut to_orders = 0_i64;
        let shares = ration(&tied.claims, total, self.salt, |who| self.name(*who))?;
        for (claim, share) in tied.claims.iter().zip(shares) {
            match claim.who {
                Claimant::Order(place) => {
                    zone.add(place, share, self.places);
                    to_orders = to_orders.saturating_add(share);
                }
                Claimant::Child(at, _) => {
                    if let Some((_, flow)) = zone.flows.get_mut(index(at)) {
                        *flow = change(*flow, share).ok_or(Overflow::of("a flow"))?;
                    }
                }
            }
        }
        Ok(to_orders)
    }

    /// The name under which a claimant draws its lot.
    fn name(&self, who: Claimant) -> Digest {
        match who {
            Claimant::Order(place) => {
                let id = self.places.order(place).map(|order| order.id);
                id.map(|id| Digest::from_bytes(*id.as_bytes())).unwrap_or_default()
            }
            Claimant::Child(_, node) => zone_lot(self.grid.id(node)),
        }
    }
}

/// Price x energy, in thousandths of a micro-unit: at most 126 bits, and the sums over 2^32 steps of
/// a book whose energies fit into 64 bits stay within 127.
fn worth(price: i64, energy: i64) -> i128 {
    i128::from(price).saturating_mul(i128::from(energy))
}

/// The sum of energies in Wh.
fn sum(mut energies: impl Iterator<Item = i64>) -> Result<i64, Overflow> {
    let failed = Overflow::of("the energy of a zone");
    energies.try_fold(0_i64, i64::checked_add).ok_or(failed)
}

/// All the increments of one zone are 16 bytes each, twice while they are sorted.
const _: () = assert!(size_of::<Increment>() == 16);
