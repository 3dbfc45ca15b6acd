//! Uniform clearing: the optimum, one supported price, nobody beyond a limit, nobody left out.

use market::answer::Reason;
use market::energy::Energy;
use market::member::ENERGY_MAX_PER_PERIOD;
use market::order::Side;
use market::price::Price;
use market::rules::PRICE_MAGNITUDE_MAX;
use proptest::prelude::*;

use crate::bare::{
    Bare, auction, bid, book, cleared, filled, fills, flat, k_and_tick, offer, order_id, orders,
    price, salt,
};
use crate::oracle::{best_of_all_allocations, clear_naively};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// At most 6 steps of at most 4 Wh: every allocation there is, tried one by one.
    #[test]
    fn no_allocation_is_worth_more_or_moves_more(orders in orders(6, 1, 4)) {
        let result = cleared(&orders);
        let (welfare, volume) = best_of_all_allocations(&orders);
        prop_assert_eq!(i128::from(result.welfare.micros()) * 1_000, welfare);
        prop_assert_eq!(i128::from(result.volume.wh()), volume);
    }

    #[test]
    fn quantities_equal_those_of_matching_watt_hour_by_watt_hour(
        orders in orders(14, 3, 9),
        (k, tick) in k_and_tick(),
        lot in any::<u64>(),
    ) {
        let result = auction(&book(&orders, salt(lot)), &flat(k, tick)).unwrap();
        let naive = clear_naively(&orders, &salt(lot));
        prop_assert_eq!(i128::from(result.volume.wh()), naive.volume);
        prop_assert_eq!(i128::from(result.welfare.micros()) * 1_000, naive.welfare);
        for (n, expected) in naive.fills.iter().enumerate() {
            prop_assert_eq!(i128::from(filled(&result, n)), *expected, "order {}", n);
        }
    }

    #[test]
    fn the_price_lies_in_the_supporting_interval_where_k_and_tick_put_it(
        orders in orders(14, 3, 9),
        (k, tick) in k_and_tick(),
    ) {
        let result = auction(&book(&orders, salt(0)), &flat(k, tick)).unwrap();
        let naive = clear_naively(&orders, &salt(0));
        let Some((low, high)) = naive.interval else {
            prop_assert_eq!(price(&result), None);
            return Ok(());
        };
        let price = i128::from(price(&result).unwrap().micros_per_kwh());
        let exact_in_millionths = low * 1_000_000 + i128::from(k) * (high - low);
        prop_assert!(low <= price && price <= high, "{} in [{}, {}]", price, low, high);
        prop_assert_eq!(price % i128::from(tick), 0);
        // Down to the tick: not above the exact point, and less than one tick below it.
        prop_assert!(price * 1_000_000 <= exact_in_millionths);
        prop_assert!((price + i128::from(tick)) * 1_000_000 > exact_in_millionths);
    }

    #[test]
    fn nobody_trades_beyond_a_limit_and_nobody_who_would_gain_is_left_out(
        orders in orders(14, 3, 9),
        (k, tick) in k_and_tick(),
    ) {
        let result = auction(&book(&orders, salt(1)), &flat(k, tick)).unwrap();
        let (mut best_bid_left, mut best_offer_left) = (None, None);
        for (n, Bare { side, steps, .. }) in orders.iter().enumerate() {
            let mut left = filled(&result, n);
            for (limit, wh) in steps {
                let taken = left.min(*wh);
                left -= taken;
                let price = price(&result).map(Price::micros_per_kwh);
                let gains = match side {
                    Side::Buy => price.map(|price| limit - price),
                    Side::Sell => price.map(|price| price - limit),
                };
                prop_assert!(taken == 0 || gains >= Some(0), "order {} beyond {}", n, limit);
                prop_assert!(taken == *wh || gains.is_none_or(|gain| gain <= 0), "order {}", n);
                if taken < *wh && *side == Side::Buy {
                    best_bid_left = best_bid_left.max(Some(*limit));
                } else if taken < *wh {
                    best_offer_left =
                        Some(best_offer_left.map_or(*limit, |best: i64| best.min(*limit)));
                }
            }
            prop_assert_eq!(left, 0);
        }
        if let (Some(bid), Some(offer)) = (best_bid_left, best_offer_left) {
            prop_assert!(bid < offer, "bid {} and offer {} are left over", bid, offer);
        }
    }

    #[test]
    fn there_are_no_empty_fills_and_without_a_trade_no_price(orders in orders(10, 2, 5)) {
        let result = cleared(&orders);
        prop_assert!(result.answers.iter().all(|answer| !answer.filled.is_negative()));
        prop_assert!(result.trades.iter().all(|trade| trade.energy.is_positive()));
        prop_assert_eq!(price(&result).is_some(), result.volume.is_positive());
        prop_assert_eq!(result.trades.is_empty(), price(&result).is_none());
    }

    #[test]
    fn a_bid_below_or_an_offer_above_the_interval_changes_nothing(
        orders in orders(10, 2, 9),
        (k, tick) in k_and_tick(),
        beyond in 1..5_i64,
        side in prop_oneof![Just(Side::Buy), Just(Side::Sell)],
    ) {
        let before = auction(&book(&orders, salt(2)), &flat(k, tick)).unwrap();
        let Some((low, high)) = clear_naively(&orders, &salt(2)).interval else { return Ok(()) };
        let limit = |end| i64::try_from(end).unwrap();
        let more = match side {
            Side::Buy => bid(&[(limit(low) - 1_000 * beyond, 7)]),
            Side::Sell => offer(&[(limit(high) + 1_000 * beyond, 7)]),
        };
        let with_more: Vec<_> = orders.iter().cloned().chain([more]).collect();
        let after = auction(&book(&with_more, salt(2)), &flat(k, tick)).unwrap();
        prop_assert_eq!(price(&after), price(&before));
        let mut after_fills = fills(&after);
        after_fills.remove(&order_id(orders.len()));
        prop_assert_eq!(after_fills, fills(&before));
        prop_assert_eq!(after.trades, before.trades);
        prop_assert_eq!(after.welfare, before.welfare);
    }

    #[test]
    fn welfare_is_rounded_once_half_to_even(
        steps in prop::collection::vec((-900_000..900_000_i64, 1..40_i64), 2..12),
    ) {
        let sides = steps.iter().enumerate();
        let orders: Vec<_> = sides.map(|(n, step)| {
            if n % 2 == 0 { bid(&[*step]) } else { offer(&[*step]) }
        }).collect();
        let off = i128::from(cleared(&orders).welfare.micros()) * 1_000
            - clear_naively(&orders, &salt(0)).welfare;
        let even = cleared(&orders).welfare.micros() % 2 == 0;
        prop_assert!(off.abs() < 500 || (off.abs() == 500 && even));
    }
}

#[test]
fn energy_that_crosses_at_one_price_trades_in_full() {
    // pymarket's huang gives nothing here (clearing.md, section 3).
    let orders = [
        bid(&[(200_000, 2_000)]),
        bid(&[(150_000, 2_000)]),
        offer(&[(100_000, 2_000)]),
        offer(&[(150_000, 2_000)]),
    ];
    let result = cleared(&orders);
    assert_eq!(result.volume, Energy::from_wh(4_000));
    assert_eq!(price(&result), Some(Price::from_micros_per_kwh(150_000)));
    let equal = cleared(&[bid(&[(5, 3)]), offer(&[(5, 3)])]);
    assert_eq!((equal.volume.wh(), price(&equal).unwrap().micros_per_kwh()), (3, 5));
    assert!(equal.answers.iter().all(|answer| answer.reason == Reason::Filled));
}

#[test]
fn a_marginal_order_is_filled_in_part_and_sets_the_price_whatever_k() {
    let orders = [bid(&[(20, 10)]), offer(&[(10, 4)]), offer(&[(15, 3)])];
    for k in [0, 500_000, 1_000_000] {
        let result = auction(&book(&orders, salt(0)), &flat(k, 1)).unwrap();
        assert_eq!(price(&result), Some(Price::from_micros_per_kwh(20)), "the bid is left over");
        assert_eq!(filled(&result, 0), 7);
    }
}

#[test]
fn nobody_on_one_side_means_no_trade_and_no_price() {
    for orders in [vec![], vec![bid(&[(20, 10)])], vec![offer(&[(-20, 10)])]] {
        let result = cleared(&orders);
        assert_eq!((price(&result), result.volume), (None, Energy::ZERO));
        assert_eq!(result.answers.len(), orders.len());
        assert!(result.answers.iter().all(|answer| answer.reason == Reason::NoTrade));
    }
}

#[test]
fn energy_is_given_away_and_paid_to_be_taken() {
    let result = cleared(&[bid(&[(-30_000, 1_000)]), offer(&[(-50_000, 1_000)])]);
    assert_eq!(price(&result), Some(Price::from_micros_per_kwh(-40_000)));
    assert_eq!(result.trades[0].buyer_amount.micros(), -40_000, "the seller pays");
    assert_eq!(result.welfare.micros(), 20_000);
}

#[test]
fn the_largest_admissible_orders_do_not_overflow_and_larger_ones_are_an_error() {
    let price = i64::try_from(PRICE_MAGNITUDE_MAX).unwrap();
    let wh = ENERGY_MAX_PER_PERIOD.wh();
    let result = cleared(&[bid(&[(price, wh)]), offer(&[(-price, wh)])]);
    assert_eq!(result.volume.wh(), wh);
    let hostile = [bid(&[(i64::MAX, i64::MAX)]), offer(&[(-i64::MAX, i64::MAX)])];
    assert!(auction(&book(&hostile, salt(0)), &flat(500_000, 1)).is_err());
    let hostile = [bid(&[(i64::MIN, 1)]), offer(&[(i64::MIN, 1)])];
    assert!(auction(&book(&hostile, salt(0)), &flat(500_000, 1)).is_err());
}
