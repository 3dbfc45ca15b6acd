//! What the tests of the mechanisms for one zone share.

use std::collections::BTreeMap;

use market::book::SealedBook;
use market::clearing::laws::check;
use market::clearing::{ClearingError, ClearingResult, MechanismKind, Terms, clear};
use market::energy::Energy;
use market::money::Money;
use market::order::{OrderId, Side};
use market::price::Price;
use market::zone::{Edge, Zone, ZoneTree};

use crate::bare::{Bare, book, flat, order_id, salt, terms};
use crate::tree::{free, narrow, tree};

/// One cent per kWh in micro-units, where tables are in cents.
pub(crate) const CENT: i64 = 10_000;

/// Clears, and checks the laws.
pub(crate) fn lawfully(
    book: &SealedBook,
    kind: &MechanismKind,
    terms: &Terms<'_>,
) -> ClearingResult {
    let result = clear(book, kind, terms).expect("small numbers");
    check(book, kind, terms, &result).expect("every law holds");
    result
}

/// The same in one zone, with a tick of one micro-unit.
pub(crate) fn of_orders(orders: &[Bare], kind: &MechanismKind) -> ClearingResult {
    lawfully(&book(orders, salt(0)), kind, &flat(500_000, 1))
}

/// The same tree with all edges free.
pub(crate) fn freed(zones: &ZoneTree) -> ZoneTree {
    let free =
        |edge: Edge| Edge { charge: Price::ZERO, capacity_up: None, capacity_down: None, ..edge };
    let zone = |zone: &Zone| Zone { label: zone.label.clone(), edge: zone.edge.map(free) };
    let zones: BTreeMap<_, _> = zones.iter().map(|(id, here)| (id, zone(here))).collect();
    ZoneTree::new(zones).expect("it was a tree before")
}

/// What buyers pay, sellers get, and the community keeps.
pub(crate) fn money(result: &ClearingResult) -> (i64, i64, i64) {
    let sum = |of: fn(&market::trade::Trade) -> Money| {
        result.trades.iter().map(|trade| of(trade).micros()).sum()
    };
    (sum(|t| t.buyer_amount), sum(|t| t.seller_amount), sum(|t| t.rent))
}

/// How much trades at which price for buyers, in micro-units and Wh.
pub(crate) fn turnover(result: &ClearingResult) -> BTreeMap<i64, i64> {
    let mut turnover = BTreeMap::new();
    for trade in &result.trades {
        *turnover.entry(trade.buyer_price.micros_per_kwh()).or_default() += trade.energy.wh();
    }
    turnover
}

/// What the n-th order gains beside its true limit, in thousandths of a micro-unit.
pub(crate) fn gain(result: &ClearingResult, n: usize, side: Side, limit: i64) -> i128 {
    let id: OrderId = order_id(n);
    let mut gain = 0_i128;
    for trade in &result.trades {
        let wh = i128::from(trade.energy.wh());
        match side {
            Side::Buy if trade.bid == id => {
                gain += i128::from(limit - trade.buyer_price.micros_per_kwh()) * wh;
            }
            Side::Sell if trade.offer == id => {
                gain += i128::from(trade.seller_price.micros_per_kwh() - limit) * wh;
            }
            _ => {}
        }
    }
    gain
}

/// Flips one bit of a result: `None` if these are no longer the bytes of one.
pub(crate) fn flipped(
    result: &ClearingResult,
    at: &proptest::sample::Index,
) -> Option<ClearingResult> {
    let mut bytes = borsh::to_vec(result).expect("in memory");
    let bit = at.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    borsh::from_slice(&bytes).ok()
}

/// Over a charge or a capacity the mechanism is refused, with and without orders, and over free
/// edges energy flows.
pub(crate) fn knows_one_zone(kind: &MechanismKind, orders: &[Bare]) {
    for way in [free(1), narrow(0, 1_000_000)] {
        let zones = tree(&[(1, 0, free(0)), (2, 1, way)]);
        let refused = ClearingError::EdgeBinds { zone: market::zone::ZoneId(2) };
        assert_eq!(kind.check_grid(&zones), Err(refused.clone()));
        let terms = terms(&zones, 500_000, 1);
        for orders in [orders, &[]] {
            assert_eq!(clear(&book(orders, salt(0)), kind, &terms), Err(refused.clone()));
        }
        assert!(MechanismKind::ZonalAuction.check_grid(&zones).is_ok());
        let words = refused.to_string();
        assert!(words.contains("zone 2") && words.contains("zonal auction"), "{words}");
    }
    let zones = tree(&[(1, 0, free(0)), (2, 0, free(0))]);
    assert_eq!(kind.check_grid(&zones), Ok(()));
    let spread: Vec<_> = orders
        .iter()
        .cloned()
        .map(|order| if order.side == Side::Buy { order.at(1) } else { order.at(2) })
        .collect();
    let result = lawfully(&book(&spread, salt(0)), kind, &terms(&zones, 500_000, 1));
    assert!(result.volume > Energy::ZERO);
    assert_eq!(result.volume, of_orders(orders, kind).volume);
    let flows: Vec<_> = result.edges.iter().map(|edge| edge.flow.wh()).collect();
    assert_eq!(flows, [-result.volume.wh(), result.volume.wh()]);
    assert!(result.zones.iter().all(|zone| zone.price == result.zones[0].price));
}
