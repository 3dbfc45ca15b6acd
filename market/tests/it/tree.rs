//! Random trees of zones with orders on them, and small trees drawn by hand.

use std::collections::BTreeMap;
use std::fmt;

use market::book::SealedBook;
use market::clearing::ClearingResult;
use market::energy::Energy;
use market::price::Price;
use market::zone::{Edge, Zone, ZoneId, ZoneTree};
use proptest::prelude::*;

use crate::bare::{Bare, auction, book, lawful, orders, salt, terms};

/// The way up from a zone: charge in micro-units per kWh, capacities up and down in Wh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) charge: i64,
    pub(crate) up: Option<i64>,
    pub(crate) down: Option<i64>,
}

/// A way for any amount.
pub(crate) fn free(charge: i64) -> Way {
    Way { charge, up: None, down: None }
}

/// A way for at most `capacity` in either direction.
pub(crate) fn narrow(charge: i64, capacity: i64) -> Way {
    Way { charge, up: Some(capacity), down: Some(capacity) }
}

/// Zone 0 is the root; the others as (zone, parent, way).
pub(crate) fn tree(branches: &[(u16, u16, Way)]) -> ZoneTree {
    rooted(0, branches)
}

fn rooted(root: u16, branches: &[(u16, u16, Way)]) -> ZoneTree {
    let zone = |id: u16, edge| (ZoneId(id), Zone { label: format!("zone {id}"), edge });
    let branch = |(id, parent, way): &(u16, u16, Way)| {
        let edge = Edge {
            parent: ZoneId(*parent),
            charge: Price::from_micros_per_kwh(way.charge),
            capacity_up: way.up.map(Energy::from_wh),
            capacity_down: way.down.map(Energy::from_wh),
        };
        zone(*id, Some(edge))
    };
    let zones: BTreeMap<_, _> = branches.iter().map(branch).chain([zone(root, None)]).collect();
    ZoneTree::new(zones).expect("a tree")
}

/// A grid and the orders on it.
#[derive(Clone)]
pub(crate) struct Market {
    pub(crate) zones: ZoneTree,
    pub(crate) orders: Vec<Bare>,
}

impl fmt::Debug for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, zone) in self.zones.iter() {
            writeln!(f, "zone {}: {:?}", id.0, zone.edge)?;
        }
        self.orders.iter().enumerate().try_for_each(|(n, order)| writeln!(f, "{n}: {order:?}"))
    }
}

impl Market {
    pub(crate) fn new(branches: &[(u16, u16, Way)], orders: Vec<Bare>) -> Self {
        Self { zones: tree(branches), orders }
    }

    pub(crate) fn book(&self) -> SealedBook {
        book(&self.orders, salt(0))
    }

    /// Clears with k = 1/2 and a tick of one micro-unit, and checks the laws.
    pub(crate) fn cleared(&self) -> ClearingResult {
        self.cleared_at(500_000)
    }

    /// Clears with another k and a tick of one micro-unit, and checks the laws.
    pub(crate) fn cleared_at(&self, k_millionths: u32) -> ClearingResult {
        let (book, terms) = (self.book(), terms(&self.zones, k_millionths, 1));
        let result = auction(&book, &terms).expect("small numbers");
        lawful(&book, &terms, &result).expect("every law holds");
        result
    }
}

/// The price of a zone in micro-units per kWh.
pub(crate) fn zone_price(result: &ClearingResult, zone: u16) -> Option<i64> {
    result.zone_price(ZoneId(zone)).map(Price::micros_per_kwh)
}

/// What flows over the edge above a zone, in Wh; up is positive.
pub(crate) fn flow(result: &ClearingResult, zone: ZoneId) -> i64 {
    let edge = result.edges.iter().find(|edge| edge.zone == zone);
    edge.map_or(0, |edge| edge.flow.wh())
}

/// The zones from one up to the root, both included.
pub(crate) fn way_up(zones: &ZoneTree, from: ZoneId) -> Vec<ZoneId> {
    let mut way = vec![from];
    while let Some(edge) = zones.zone(way[way.len() - 1]).and_then(|zone| zone.edge) {
        way.push(edge.parent);
    }
    way
}

/// The lowest zone that is above both or one of them.
pub(crate) fn meeting(zones: &ZoneTree, one: ZoneId, other: ZoneId) -> ZoneId {
    let above = way_up(zones, other);
    *way_up(zones, one).iter().find(|zone| above.contains(zone)).expect("the root is above all")
}

/// Charges are often nothing or whole steps of the price scale, so that ties run through edges.
fn ways(wh_max: i64) -> impl Strategy<Value = Way> {
    let charge = prop_oneof![
        3 => Just(0),
        4 => (1..4_i64).prop_map(|step| step * 1_000),
        1 => 1..2_500_i64,
    ];
    let capacity = || {
        prop_oneof![
            4 => Just(None),
            1 => Just(Some(0)),
            4 => (1..wh_max).prop_map(Some),
            1 => (1..20 * wh_max).prop_map(Some),
        ]
    };
    (charge, capacity(), capacity()).prop_map(|(charge, up, down)| Way { charge, up, down })
}

/// How far up the list of earlier zones a zone's parent stands: a chain, a star, and all between.
fn parents() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 3 => 0..12_usize, 1 => Just(12)]
}

/// Up to 12 zones of any shape, with numbers that say nothing about it.
pub(crate) fn trees(wh_max: i64) -> impl Strategy<Value = (ZoneTree, Vec<ZoneId>)> {
    prop::collection::vec((parents(), ways(wh_max)), 0..12).prop_map(|branches| {
        let number = |n: usize| u16::try_from((n * 5 + 3) % 16).expect("below 16");
        let mut drawn = Vec::new();
        for (n, (back, way)) in branches.into_iter().enumerate() {
            drawn.push((number(n + 1), number(n - back.min(n)), way));
        }
        let ids = (0..=drawn.len()).map(|n| ZoneId(number(n))).collect();
        (rooted(number(0), &drawn), ids)
    })
}

/// Puts each order into some zone, and gives one in four to a party that has others.
fn placed(
    trees: impl Strategy<Value = (ZoneTree, Vec<ZoneId>)>,
    orders: impl Strategy<Value = Vec<Bare>>,
) -> impl Strategy<Value = Market> {
    let place = (
        any::<prop::sample::Index>(),
        prop_oneof![3 => Just(None), 1 => (0..5_usize).prop_map(Some)],
    );
    (trees, orders)
        .prop_flat_map(move |((zones, ids), orders)| {
            let places = prop::collection::vec(place.clone(), orders.len());
            (Just(zones), Just(ids), Just(orders), places)
        })
        .prop_map(|(zones, ids, mut orders, places)| {
            for (order, (zone, party)) in orders.iter_mut().zip(places) {
                order.zone = ids[zone.index(ids.len())];
                order.party = party;
            }
            Market { zones, orders }
        })
}

/// Up to 12 zones and 20 orders with up to 3 steps; limits in whole thousands around zero, so that
/// ties are common; energies, capacities and charges of the same small scale.
pub(crate) fn markets() -> impl Strategy<Value = Market> {
    placed(trees(24), orders(20, 3, 12))
}

/// The same with partners and origins.
pub(crate) fn choosy_markets() -> impl Strategy<Value = Market> {
    placed(trees(60), crate::bare::choosy_orders(16))
}

/// Prices and charges to the micro-unit and energies to the watt-hour, up to household size: ties
/// are rare, rounding is not.
pub(crate) fn odd_markets() -> impl Strategy<Value = Market> {
    let order =
        (any::<bool>(), -100_000..900_000_i64, 1..5_000_i64).prop_map(|(buys, limit, wh)| {
            if buys { crate::bare::bid(&[(limit, wh)]) } else { crate::bare::offer(&[(limit, wh)]) }
        });
    placed(trees(4_000), prop::collection::vec(order, 0..24))
}

/// Many orders at very few limits over free and cheap edges: nearly everybody stands at a margin.
pub(crate) fn tied_markets() -> impl Strategy<Value = Market> {
    let order = (any::<bool>(), 0..3_i64, 1..40_i64).prop_map(|(buys, limit, wh)| {
        let step = [(limit * 1_000, wh)];
        if buys { crate::bare::bid(&step) } else { crate::bare::offer(&step) }
    });
    placed(trees(100), prop::collection::vec(order, 0..40))
}
