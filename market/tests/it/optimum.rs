//! Every clearing is an optimum: as good as an independent solver's, with prices and flows that
//! prove it.

use std::collections::BTreeMap;

use market::book::{BookedOrder, SealedBook};
use market::clearing::ClearingResult;
use market::order::{OrderId, Side};
use market::price::Price;
use market::zone::{Edge, ZoneId, ZoneTree};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::bare::{auction, fills, k_and_tick, terms};
use crate::lp::{largest_welfare, largest_welfare_then_volume};
use crate::tree::{Market, flow, markets, odd_markets};

/// Welfare of the stated fills and flows, in thousandths of a micro-unit.
fn welfare(book: &SealedBook, zones: &ZoneTree, result: &ClearingResult) -> i128 {
    let mut welfare = 0;
    for (side, order, filled) in orders(book, result) {
        for (limit, wh) in taken(order, filled) {
            let worth = i128::from(limit) * i128::from(wh);
            welfare += if side == Side::Buy { worth } else { -worth };
        }
    }
    for (zone, edge) in edges(zones) {
        let charge = i128::from(edge.charge.micros_per_kwh());
        welfare -= charge * i128::from(flow(result, zone).abs());
    }
    welfare
}

fn orders<'a>(book: &'a SealedBook, result: &ClearingResult) -> Vec<(Side, &'a BookedOrder, i64)> {
    let fills: BTreeMap<OrderId, i64> = fills(result);
    let bids = book.bids().iter().map(|order| (Side::Buy, order, fills[&order.id]));
    let offers = book.offers().iter().map(|order| (Side::Sell, order, fills[&order.id]));
    bids.chain(offers).collect()
}

/// By step, best first: its limit, and how much of it is filled.
fn taken(order: &BookedOrder, filled: i64) -> Vec<(i64, i64)> {
    let mut left = filled;
    let taken = order.steps.iter().map(|step| {
        let taken = left.min(step.energy.wh());
        left -= taken;
        (step.limit.micros_per_kwh(), taken)
    });
    taken.collect()
}

fn edges(zones: &ZoneTree) -> impl Iterator<Item = (ZoneId, Edge)> {
    zones.iter().filter_map(|(id, zone)| Some((id, zone.edge?)))
}

fn total_wh(book: &SealedBook) -> i64 {
    let steps = book.bids().iter().chain(book.offers()).flat_map(|order| &order.steps);
    steps.map(|step| step.energy.wh()).sum()
}

fn as_good_as_the_solver(market: &Market) -> TestCaseResult {
    let (book, result) = (market.book(), market.cleared());
    let exact = welfare(&book, &market.zones, &result);
    let best = largest_welfare(&book, &market.zones);
    prop_assert!((exact as f64 - best).abs() < 0.5, "{} of {}", exact, best);
    let stated = i128::from(result.welfare.micros()) * 1_000;
    prop_assert!((stated - exact).abs() <= 500, "stated {} for {}", stated, exact);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn welfare_equals_that_of_an_independent_solver(market in markets()) {
        as_good_as_the_solver(&market)?;
    }

    /// Among the optima the one with the largest volume: of equal offers and bids at the margin,
    /// offers sell before bids stand back, in whichever zones they stand.
    #[test]
    fn volume_is_the_largest_among_the_optima(market in markets()) {
        let (book, result) = (market.book(), market.cleared());
        let weight = total_wh(&book) + 1;
        let reached = welfare(&book, &market.zones, &result) * i128::from(weight)
            + i128::from(result.volume.wh());
        let best = largest_welfare_then_volume(&book, &market.zones, weight);
        prop_assert!((reached as f64 - best).abs() < 0.5, "{} of {}", reached, best);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn welfare_equals_that_of_an_independent_solver_to_the_micro_unit(market in odd_markets()) {
        as_good_as_the_solver(&market)?;
    }

    /// At its zone's price every order has what it would choose itself: nothing beyond its limit,
    /// and all that is better than its limit.
    #[test]
    fn prices_support_the_fills(
        market in prop_oneof![markets(), odd_markets()],
        (k, tick) in k_and_tick(),
    ) {
        let book = market.book();
        let result = auction(&book, &terms(&market.zones, k, tick)).unwrap();
        for (side, order, filled) in orders(&book, &result) {
            let price = result.zone_price(order.zone).map(Price::micros_per_kwh);
            for (step, (limit, wh)) in order.steps.iter().zip(taken(order, filled)) {
                let gain = price.map(|p| if side == Side::Buy { limit - p } else { p - limit });
                prop_assert!(wh == 0 || gain >= Some(0), "{} beyond {}", order.id, limit);
                let all = wh == step.energy.wh();
                prop_assert!(all || gain.is_none_or(|gain| gain <= 0), "{} left out", order.id);
            }
        }
    }

    /// Prices differ across an edge by its charge while something flows and there is room; by more
    /// only where it is full, by less only where nothing flows.
    #[test]
    fn prices_and_flows_fit_on_every_edge(
        market in prop_oneof![markets(), odd_markets()],
        (k, tick) in k_and_tick(),
    ) {
        let book = market.book();
        let result = auction(&book, &terms(&market.zones, k, tick)).unwrap();
        for (zone, edge) in edges(&market.zones) {
            let flow = flow(&result, zone);
            let below = result.zone_price(zone).map(Price::micros_per_kwh);
            let above = result.zone_price(edge.parent).map(Price::micros_per_kwh);
            let (Some(below), Some(above)) = (below, above) else {
                prop_assert_eq!(flow, 0, "what is conveyed has a price");
                continue;
            };
            let charge = edge.charge.micros_per_kwh();
            let full = |capacity: Option<market::energy::Energy>, flow: i64| {
                capacity.is_some_and(|most| flow == most.wh())
            };
            let full_up = full(edge.capacity_up, flow);
            let full_down = full(edge.capacity_down, -flow);
            if flow > 0 {
                prop_assert!(above - below >= charge, "{:?} sells at a loss", zone);
            } else if flow < 0 {
                prop_assert!(below - above >= charge, "{:?} buys at a loss", zone);
            }
            prop_assert!(full_up || above - below <= charge, "{:?} has room to sell", zone);
            prop_assert!(full_down || below - above <= charge, "{:?} has room to buy", zone);
        }
    }

    #[test]
    fn what_flows_fits_through_and_adds_up_in_every_zone(
        market in prop_oneof![markets(), odd_markets()],
    ) {
        let (book, result) = (market.book(), market.cleared());
        let mut exported: BTreeMap<ZoneId, i64> = BTreeMap::new();
        for (side, order, filled) in orders(&book, &result) {
            let net = if side == Side::Sell { filled } else { -filled };
            *exported.entry(order.zone).or_default() += net;
        }
        for (zone, edge) in edges(&market.zones) {
            let flow = flow(&result, zone);
            prop_assert!(edge.capacity_up.is_none_or(|most| flow <= most.wh()));
            prop_assert!(edge.capacity_down.is_none_or(|most| -flow <= most.wh()));
            *exported.entry(zone).or_default() -= flow;
            *exported.entry(edge.parent).or_default() += flow;
        }
        prop_assert!(exported.values().all(|net| *net == 0), "{:?}", exported);
        let (bought, sold) = result.zones.iter().fold((0, 0), |(bought, sold), zone| {
            (bought + zone.bought.wh(), sold + zone.sold.wh())
        });
        prop_assert_eq!((bought, sold), (result.volume.wh(), result.volume.wh()), "E2, A2");
    }
}
