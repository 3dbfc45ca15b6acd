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

use crate::Overflow;
use crate::clearing::curve::{Curve, Increment, flow_at};
use crate::clearing::places::{Place, Places, index};
use crate::clearing::ration::{Claim, ration, zone_lot};
use crate::clearing::{ClearingError, PARALLEL_FROM, Terms};
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
    let curves = curves(places, grid)?;
    let mut solution = Solution {
        prices: grid.table(0),
        flows: grid.table(0),
        fills: vec![Fill::default(); places.len()],
        value: 0,
    };
    for layer in grid.layers() {
        for node in &layer {
            solution.prices[*node] = price(*node, &curves[*node], &solution, grid, terms)?;
        }
        let fill_one = |node: &Node| {
            let margin = Margin { node: *node, places, grid, curves: &curves, salt };
            margin.fill(solution.prices[*node], solution.flows[*node])
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

/// The price of a zone whose net export is known: by the k-rule within the prices that its own
/// curve supports, moved as little as the edge above demands. The price above, less or plus the
/// charge, binds from the side to which the edge has room, and from both while something flows.
fn price(
    node: Node,
    curve: &Curve,
    solution: &Solution,
    grid: &Grid,
    terms: &Terms<'_>,
) -> Result<i64, Overflow> {
    let failed = Overflow::of("a price and a wheeling charge");
    let way = grid.way(node);
    let flow = solution.flows[node];
    let above = way.map(|way| solution.prices[way.parent]);
    let own = match curve.interval(flow) {
        (Some(low), Some(high)) => inside(low, high, terms)?,
        (Some(end), None) | (None, Some(end)) => end,
        (None, None) => above.unwrap_or_default(),
    };
    let (Some(Way { charge, up, down, .. }), Some(above)) = (way, above) else { return Ok(own) };
    let exporting = above.checked_sub(charge).ok_or(failed)?;
    let importing = above.checked_add(charge).ok_or(failed)?;
    let mut price = own;
    if flow < up {
        price = price.max(exporting);
    }
    if flow > 0 {
        price = price.min(exporting);
    }
    if flow > down.saturating_neg() {
        price = price.min(importing);
    }
    if flow < 0 {
        price = price.max(importing);
    }
    Ok(price)
}

/// The k-rule; a lower end that is no whole number of ticks is not undercut.
fn inside(low: i64, high: i64, terms: &Terms<'_>) -> Result<i64, Overflow> {
    let (low, high) = (Price::from_micros_per_kwh(low), Price::from_micros_per_kwh(high));
    let price = low.between(high, terms.k_millionths, terms.tick)?;
    Ok(price.max(low).micros_per_kwh())
}

/// A zone whose orders are to be filled.
struct Margin<'a> {
    node: Node,
    places: &'a Places<'a>,
    grid: &'a Grid,
    curves: &'a PerZone<Curve>,
    salt: &'a Digest,
}

/// What a zone decided: its fills from `first` on, and the flows of the zones below.
struct ZoneFills {
    first: usize,
    fills: Vec<Fill>,
    flows: Vec<(Node, i64)>,
    value: i128,
}

impl ZoneFills {
    fn write(self, solution: &mut Solution) {
        let end = self.first.saturating_add(self.fills.len());
        if let Some(entries) = solution.fills.get_mut(self.first..end) {
            entries.copy_from_slice(&self.fills);
        }
        for (node, flow) in self.flows {
            solution.flows[node] = flow;
        }
        solution.value = solution.value.saturating_add(self.value);
    }

    /// Adds an order's share at the margin.
    fn add(&mut self, place: Place, share: i64, places: &Places<'_>) {
        let at = index(place).checked_sub(self.first);
        if let Some(fill) = at.and_then(|at| self.fills.get_mut(at)) {
            fill.energy = fill.energy.saturating_add(share);
            let mut left = fill.energy;
            let mut curve = places.steps(&(place..place.saturating_add(1))).iter();
            let next = curve.find(|step| {
                let partly = left < step.energy;
                left = left.saturating_sub(step.energy);
                partly
            });
            fill.next = next.map(|step| step.price);
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

/// All who stand exactly at the margin on one side.
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
    /// Fills everything better than the price, and shares out what the net export leaves at it:
    /// offers first as far as they go, because that trades more, then bids stand back.
    fn fill(&self, price: i64, net_export: i64) -> Result<ZoneFills, ClearingError> {
        let failed = Overflow::of("the energy at the margin");
        let own = self.places.zone(self.node);
        let first = index(own.bids.start);
        let mut zone = ZoneFills {
            first,
            fills: Vec::with_capacity(index(own.offers.end).saturating_sub(first)),
            flows: Vec::new(),
            value: 0,
        };
        let (mut bids, mut offers) = (Tied::default(), Tied::default());
        let bought = self.take_better(Side::Buy, price, &mut zone, &mut bids)?;
        let sold = self.take_better(Side::Sell, price, &mut zone, &mut offers)?;
        let wanted = bought.checked_add(bids.energy).ok_or(failed)?;
        let mut below = sold.checked_sub(wanted).ok_or(failed)?;
        for (at, child) in (0_u32..).zip(self.grid.children(self.node)) {
            let Some(way) = self.grid.way(child) else { continue };
            let curve = &self.curves[child];
            let from = flow_at(&way, price, |price| curve.below(price))?;
            let to = flow_at(&way, price, |price| curve.through(price))?;
            below = below.checked_add(from).ok_or(failed)?;
            zone.flows.push((child, from));
            let exports = to.max(0).saturating_sub(from.max(0));
            let imports = to.min(0).saturating_sub(from.min(0));
            if exports > 0 {
                offers.push(Claimant::Child(at, child), exports)?;
            }
            if imports > 0 {
                bids.push(Claimant::Child(at, child), imports)?;
            }
        }
        let used = net_export.checked_sub(below).ok_or(failed)?;
        let selling = used.min(offers.energy);
        let standing_back = used.checked_sub(selling).ok_or(failed)?;
        let buying = bids.energy.checked_sub(standing_back).ok_or(failed)?;
        let sold_at_price = self.share(&offers, selling, &mut zone, |share, _| share)?;
        let bought_at_price =
            self.share(&bids, buying, &mut zone, |share, claim| claim.saturating_sub(share))?;
        zone.value = zone.value.saturating_add(worth(price, bought_at_price));
        zone.value = zone.value.saturating_sub(worth(price, sold_at_price));
        Ok(zone)
    }

    /// Fills what is better than the price and notes the claims at it; returns the sum of the
    /// former.
    fn take_better(
        &self,
        side: Side,
        price: i64,
        zone: &mut ZoneFills,
        tied: &mut Tied,
    ) -> Result<i64, ClearingError> {
        let own = self.places.zone(self.node);
        let places = if side == Side::Buy { &own.bids } else { &own.offers };
        let at_price = self.places.steps(places).iter().filter(|step| step.price == price);
        tied.claims.reserve(at_price.count());
        let (mut total, mut value) = (0_i64, 0_i128);
        for (place, curve) in self.places.curves(places) {
            let mut fill = Fill::default();
            for step in curve {
                let better =
                    if side == Side::Buy { step.price > price } else { step.price < price };
                if better {
                    fill.energy = fill.energy.saturating_add(step.energy);
                    value = value.saturating_add(worth(step.price, step.energy));
                    continue;
                }
                if step.price == price {
                    tied.push(Claimant::Order(place), step.energy)?;
                }
                fill.next = Some(step.price);
                break;
            }
            zone.fills.push(fill);
            total = total.checked_add(fill.energy).ok_or(Overflow::of("the energy of a zone"))?;
        }
        zone.value = match side {
            Side::Buy => zone.value.saturating_add(value),
            Side::Sell => zone.value.saturating_sub(value),
        };
        Ok(total)
    }

    /// Shares `total` out among those at the margin. An order's share is its fill; a zone's share
    /// changes its flow by `change(share, claim)`. Returns what the orders got.
    fn share(
        &self,
        tied: &Tied,
        total: i64,
        zone: &mut ZoneFills,
        change: impl Fn(i64, i64) -> i64,
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
                        let moved = change(share, claim.energy);
                        *flow = flow.checked_add(moved).ok_or(Overflow::of("a flow"))?;
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
fn sum(energies: impl Iterator<Item = i64>) -> Result<i64, Overflow> {
    let failed = Overflow::of("the energy of a zone");
    energies.fold(Some(0_i64), |total, energy| total?.checked_add(energy)).ok_or(failed)
}

/// All the increments of one zone are 16 bytes each, twice while they are sorted.
const _: () = assert!(size_of::<Increment>() == 16);
