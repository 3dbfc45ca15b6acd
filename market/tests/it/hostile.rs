//! Clearing ends, whatever stands in a book: with a result that keeps the laws, or with an error.

use market::answer::Reason;
use market::book::SealedBook;
use market::clearing::laws::BrokenLaw;
use market::clearing::{CURVE_STEPS_MAX, ClearingError};
use market::order::Side;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::bare::{Bare, auction, bid, book, flat, lawful, offer, salt, terms};
use crate::tree::{Market, Way, free, narrow};

/// Numbers of magnitude up to `most`: its ends, their halves and neighbours, small ones, and any.
fn within(most: i64) -> impl Strategy<Value = i64> {
    let edges = [-most - 1, -most, -most / 2 - 1, -most / 2, most / 2 + 1, most - 1, most];
    prop_oneof![
        3 => prop::sample::select(edges.to_vec()),
        1 => -most..=most,
        2 => -3..=3_i64,
    ]
}

/// How large numbers get: a household's, the largest that rules admit, half of what overflows when
/// it is doubled, and all there are.
fn magnitudes() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![5, 1_000_000_000, 1_000_000_000_000, i64::MAX / 5, i64::MAX])
}

fn positive(most: i64) -> impl Strategy<Value = i64> {
    within(most).prop_map(|number| number.saturating_abs().max(1))
}

fn hostile_order(price: i64, wh: i64) -> impl Strategy<Value = Bare> {
    let steps = prop::collection::vec((within(price), positive(wh)), 1..4);
    (any::<bool>(), steps, 0..6_u16).prop_map(|(buys, mut steps, zone)| {
        steps.sort_by_key(|(limit, _)| *limit);
        steps.dedup_by_key(|(limit, _)| *limit);
        if buys {
            steps.reverse();
            bid(&steps).at(zone)
        } else {
            offer(&steps).at(zone)
        }
    })
}

fn hostile_way(charge: i64, wh: i64) -> impl Strategy<Value = Way> {
    let capacity = || prop::option::of(within(wh).prop_map(|wh| wh.saturating_abs()));
    let charge = within(charge).prop_map(|charge| charge.saturating_abs());
    (charge, capacity(), capacity()).prop_map(|(charge, up, down)| Way { charge, up, down })
}

/// Prices, energies and charges each of a magnitude of their own.
fn hostile_market() -> impl Strategy<Value = Market> {
    (magnitudes(), magnitudes(), magnitudes()).prop_flat_map(|(price, wh, charge)| {
        let ways = prop::collection::vec((hostile_way(charge, wh), 0..6_u16), 0..5);
        let orders = prop::collection::vec(hostile_order(price, wh), 0..10);
        (ways, orders).prop_map(|(ways, mut orders)| {
            let zones = u16::try_from(ways.len() + 1).expect("a few");
            let branch = |((way, back), zone): (&(Way, u16), u16)| {
                (zone, (zone - 1).saturating_sub(*back), *way)
            };
            let branches: Vec<_> = ways.iter().zip(1..).map(branch).collect();
            for order in &mut orders {
                order.zone.0 %= zones;
            }
            Market::new(&branches, orders)
        })
    })
}

/// Where there is a result, it keeps the laws; their sums may leave the range too.
fn ends_well(market: &Market, book: &SealedBook, k: u32, tick: u32) -> TestCaseResult {
    let terms = terms(&market.zones, k, tick);
    match auction(book, &terms) {
        Ok(result) => {
            let judged = lawful(book, &terms, &result);
            prop_assert!(matches!(judged, Ok(()) | Err(BrokenLaw::Overflow(_))), "{:?}", judged);
        }
        Err(error) => prop_assert!(matches!(error, ClearingError::Overflow(_)), "{:?}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_largest_and_smallest_numbers_end_well(
        market in hostile_market(),
        k in 0..=1_000_000_u32,
        tick in prop_oneof![Just(1), Just(u32::MAX), 1..u32::MAX],
    ) {
        ends_well(&market, &market.book(), k, tick)?;
    }

    /// Books that no admission let through: bytes that happen to be one.
    #[test]
    fn forged_books_end(
        market in hostile_market(),
        ats in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = borsh::to_vec(&market.book()).unwrap();
        for (at, byte) in ats {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(forged) = borsh::from_slice::<SealedBook>(&bytes) {
            let terms = terms(&market.zones, 500_000, 1);
            if let Ok(result) = auction(&forged, &terms) {
                let _ = lawful(&forged, &terms, &result);
            }
        }
    }
}

#[test]
fn thousands_of_equals_are_shared_out() {
    let mut orders: Vec<_> = (0..9_000).map(|n| bid(&[(100_000, 1 + n % 7)])).collect();
    orders.extend((0..3_000).map(|n| offer(&[(100_000, 1 + n % 5)])));
    let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
    let result = auction(&book, &terms).unwrap();
    assert_eq!(lawful(&book, &terms, &result), Ok(()));
    assert_eq!(result.volume.wh(), 9_000);
    let sold = result.answers.iter().filter(|answer| answer.side == Side::Sell);
    assert!(sold.clone().count() == 3_000 && sold.clone().all(|a| a.reason == Reason::Filled));
}

#[test]
fn ten_thousand_equal_orders_for_one_watt_hour_are_drawn_by_lot() {
    let mut orders = vec![bid(&[(5, 1)]); 10_000];
    orders.push(offer(&[(5, 1)]));
    let (book, terms) = (book(&orders, salt(0)), flat(500_000, 1));
    let result = auction(&book, &terms).unwrap();
    assert_eq!(lawful(&book, &terms, &result), Ok(()));
    assert_eq!(result.trades.len(), 1);
}

/// A price that the tick would round below a limit stays at the limit.
#[test]
fn a_tick_larger_than_all_prices_undercuts_nobody() {
    let orders = [bid(&[(20, 5)]), offer(&[(10, 5)])];
    for tick in [7, 1_000, u32::MAX] {
        let (book, terms) = (book(&orders, salt(0)), flat(999_999, tick));
        let result = auction(&book, &terms).unwrap();
        assert_eq!(lawful(&book, &terms, &result), Ok(()));
        assert_eq!(result.volume.wh(), 5);
    }
}

/// 10,000 orders, one in each zone, and a charge on every edge.
fn spread(parent: impl Fn(u16) -> u16, way: impl Fn(u16) -> Way) -> Market {
    let branches: Vec<_> = (1..10_000).map(|zone| (zone, parent(zone), way(zone))).collect();
    let order = |zone: u16| {
        let limit = i64::from(zone).wrapping_mul(7_919) % 200_000;
        let order =
            if zone.is_multiple_of(2) { bid(&[(limit, 100)]) } else { offer(&[(limit, 90)]) };
        order.at(zone)
    };
    Market::new(&branches, (0..10_000).map(order).collect())
}

#[test]
fn ten_thousand_zones_in_a_chain_are_cleared() {
    let free_chain = spread(|zone| zone - 1, |_| free(1));
    assert!(free_chain.cleared().volume.is_positive());
    let narrow_chain = spread(|zone| zone - 1, |zone| narrow(i64::from(zone) % 50, 250));
    assert!(narrow_chain.cleared().volume.is_positive());
}

#[test]
fn ten_thousand_zones_as_a_star_are_cleared() {
    let star = spread(|_| 0, |zone| narrow(i64::from(zone) % 5_000, 80));
    let result = star.cleared();
    assert!(result.volume.is_positive());
    let sides = [Side::Buy, Side::Sell];
    let answered = |side| result.answers.iter().filter(|a| a.side == side).count();
    assert_eq!(sides.map(answered), [5_000, 5_000]);
}

/// Each zone of a chain keeps a curve of all that lies below it.
#[test]
fn a_chain_whose_curves_would_not_fit_into_memory_is_refused_before_they_are_made() {
    let chain = |zones: u16| {
        let branches: Vec<_> = (1..zones).map(|zone| (zone, zone - 1, free(0))).collect();
        let orders = (0..zones).map(|zone| offer(&[(1, 1)]).at(zone)).collect();
        Market::new(&branches, orders)
    };
    let refused = |market: &Market| {
        auction(&market.book(), &terms(&market.zones, 500_000, 1)).map(|result| result.volume)
    };
    let counted = 12_000 * 12_001 / 2;
    assert_eq!(refused(&chain(12_000)), Err(ClearingError::TooDeep { counted }));
    assert!(counted > CURVE_STEPS_MAX && refused(&chain(300)).is_ok());
}
