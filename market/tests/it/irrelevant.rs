//! A7. A bid below, or an offer above, its zone's crossing interval changes nothing. Behind a full
//! edge the price above and the charge bound that interval too.

use std::collections::BTreeMap;

use market::clearing::ClearingResult;
use market::order::Side;
use market::zone::{ZoneId, ZoneTree};
use proptest::prelude::*;

use crate::bare::{
    Bare, auction, bid, book, fills, k_and_tick, lawful, offer, order_id, salt, terms,
};
use crate::tree::{Market, flow, markets, odd_markets, zone_price};

/// The lowest and the highest price that support what a zone and all below it do, as long as as
/// much flows over the edge above it; `None` where nothing bounds them. From the outcome alone, by
/// what every order and every edge below demands of the price.
type Interval = (Option<i64>, Option<i64>);

fn crossing_interval(market: &Market, result: &ClearingResult, zone: ZoneId) -> Interval {
    let fills = fills(result);
    let (mut low, mut high) = (None, None);
    let mut at_least = |price: Option<i64>| low = low.max(price);
    let mut at_most = |price: Option<i64>| {
        high = match (high, price) {
            (Some(one), Some(other)) => Some(std::cmp::min::<i64>(one, other)),
            (one, other) => one.or(other),
        }
    };
    let crossed =
        |order: usize| market.book().crossed().iter().any(|(_, o)| o.id == order_id(order));
    for (n, Bare { side, steps, .. }) in market.orders.iter().enumerate() {
        if market.orders[n].zone != zone || crossed(n) {
            continue;
        }
        let mut left = fills[&order_id(n)];
        for (limit, wh) in steps {
            let taken = left.min(*wh);
            left -= taken;
            match side {
                Side::Buy if taken > 0 => at_most(Some(*limit)),
                Side::Sell if taken > 0 => at_least(Some(*limit)),
                _ => {}
            }
            match side {
                Side::Buy if taken < *wh => at_least(Some(*limit)),
                Side::Sell if taken < *wh => at_most(Some(*limit)),
                _ => {}
            }
        }
    }
    for (child, edge) in children(&market.zones, zone) {
        let (below_low, below_high) = crossing_interval(market, result, child);
        let (charge, flow) = (edge.charge.micros_per_kwh(), flow(result, child));
        if edge.capacity_up.is_none_or(|most| flow < most.wh()) {
            at_most(below_high.map(|high| high + charge));
        }
        if flow > 0 {
            at_least(below_low.map(|low| low + charge));
        }
        if edge.capacity_down.is_none_or(|most| -flow < most.wh()) {
            at_least(below_low.map(|low| low - charge));
        }
        if flow < 0 {
            at_most(below_high.map(|high| high - charge));
        }
    }
    (low, high)
}

/// The same, narrowed by the edge above while that is full: energy costs no less than the price
/// above and the charge where it comes in, and earns no more than the price above less the charge
/// where it goes out.
fn interval(market: &Market, result: &ClearingResult, zone: ZoneId) -> Interval {
    let (low, high) = crossing_interval(market, result, zone);
    let Some(edge) = market.zones.zone(zone).and_then(|zone| zone.edge) else { return (low, high) };
    let Some(above) = zone_price(result, edge.parent.0) else { return (low, high) };
    let (charge, flow) = (edge.charge.micros_per_kwh(), flow(result, zone));
    if flow < 0 && edge.capacity_down.is_some_and(|most| -flow == most.wh()) {
        (low.max(Some(above + charge)), high)
    } else if flow > 0 && edge.capacity_up.is_some_and(|most| flow == most.wh()) {
        (low, Some(high.unwrap_or(i64::MAX).min(above - charge)))
    } else {
        (low, high)
    }
}

fn children(zones: &ZoneTree, parent: ZoneId) -> BTreeMap<ZoneId, market::zone::Edge> {
    let below = zones.iter().filter_map(|(id, zone)| Some((id, zone.edge?)));
    below.filter(|(_, edge)| edge.parent == parent).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn an_order_beyond_the_crossing_interval_of_its_zone_changes_nothing(
        market in prop_oneof![markets(), odd_markets()],
        (k, tick) in k_and_tick(),
        zone in any::<prop::sample::Index>(),
        beyond in 1..5_000_i64,
        buys in any::<bool>(),
    ) {
        let ids: Vec<_> = market.zones.iter().map(|(id, _)| id).collect();
        let zone = ids[zone.index(ids.len())];
        let terms = terms(&market.zones, k, tick);
        let before = auction(&book(&market.orders, salt(2)), &terms).unwrap();
        let (low, high) = interval(&market, &before, zone);
        if let (Some(low), Some(high)) = (low, high) {
            prop_assert!(low <= high);
            let price = before.zone_price(zone).map(|price| price.micros_per_kwh());
            prop_assert!(price.is_none_or(|price| low <= price && price <= high));
        }
        let more = match (buys, low, high) {
            (true, Some(low), _) => bid(&[(low - beyond, 70)]),
            (false, _, Some(high)) => offer(&[(high + beyond, 70)]),
            _ => return Ok(()),
        };
        let more = Bare { party: Some(1_000), ..more.at(zone.0) };
        let orders: Vec<_> = market.orders.iter().cloned().chain([more]).collect();
        let book = book(&orders, salt(2));
        let mut after = auction(&book, &terms).unwrap();
        prop_assert_eq!(lawful(&book, &terms, &after), Ok(()));
        let new = order_id(market.orders.len());
        after.answers.retain(|answer| answer.order != new);
        prop_assert_eq!(after, before);
    }
}
