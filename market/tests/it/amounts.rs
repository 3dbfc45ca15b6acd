//! Money: rounded once, half to even, in 128 bits; a price between two others on the tick.

use market::energy::Energy;
use market::money::Money;
use market::price::{Price, Tick};
use proptest::prelude::*;

/// Half to even by trying both neighbours, as one does on paper.
fn half_to_even(numerator: i128, denominator: i128) -> i128 {
    let below = numerator.div_euclid(denominator);
    let (to_below, to_above) =
        (numerator - below * denominator, (below + 1) * denominator - numerator);
    match to_below.cmp(&to_above) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Greater => below + 1,
        std::cmp::Ordering::Equal => below + below.rem_euclid(2),
    }
}

fn any_size() -> impl Strategy<Value = i64> {
    prop_oneof![-3_000..3_000_i64, -1_000_000_000_000..1_000_000_000_000_i64, any::<i64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_amount_is_the_exact_product_rounded_half_to_even_or_an_overflow(
        price in any_size(),
        wh in any_size(),
    ) {
        let exact = half_to_even(i128::from(price) * i128::from(wh), 1_000);
        let amount = Price::from_micros_per_kwh(price).amount_for(Energy::from_wh(wh));
        prop_assert_eq!(amount.ok().map(|amount| i128::from(amount.micros())),
            i64::try_from(exact).ok().map(i128::from));
    }

    /// Halves are as rare among large products as among small ones, but the sums behind a welfare or
    /// a bill may come to one, also beyond 64 bits.
    #[test]
    fn an_exact_half_goes_to_the_even_neighbour_in_either_width(micros in any::<i64>()) {
        for rest in [499, 500, 501] {
            let exact = i128::from(micros) * 1_000 + rest;
            let amount = Money::from_thousandths(exact).map(|amount| i128::from(amount.micros()));
            let rounded = half_to_even(exact, 1_000);
            prop_assert_eq!(amount.ok(), i64::try_from(rounded).ok().map(i128::from));
        }
    }

    #[test]
    fn an_amount_turns_its_sign_with_the_price_and_with_the_energy(
        price in -1_000_000_000..1_000_000_000_i64,
        wh in 0..1_000_000_000_i64,
    ) {
        let amount = |price, wh| {
            Price::from_micros_per_kwh(price).amount_for(Energy::from_wh(wh)).unwrap().micros()
        };
        prop_assert_eq!(amount(-price, wh), -amount(price, wh));
        prop_assert_eq!(amount(price, -wh), -amount(price, wh));
    }

    /// A8: n parts differ from the whole by at most (n + 1) / 2 micro-units.
    #[test]
    fn splitting_a_trade_moves_its_money_by_next_to_nothing(
        price in -1_000_000..1_000_000_i64,
        parts in prop::collection::vec(1..100_000_i64, 1..9),
    ) {
        let amount = |wh| {
            Price::from_micros_per_kwh(price).amount_for(Energy::from_wh(wh)).unwrap().micros()
        };
        let split: i64 = parts.iter().map(|part| amount(*part)).sum();
        let off = (split - amount(parts.iter().sum())).abs();
        prop_assert!(2 * off <= i64::try_from(parts.len()).unwrap() + 1, "{} off", off);
    }

    #[test]
    fn a_price_between_two_others_is_on_the_tick_and_not_above_its_exact_place(
        low in -1_000_000..1_000_000_i64,
        span in 0..1_000_000_i64,
        k in 0..=1_000_000_u32,
        tick in 1..10_000_u32,
    ) {
        let (price, step) = (Price::from_micros_per_kwh, i64::from(tick));
        let (low, high) = (low - low.rem_euclid(step), low - low.rem_euclid(step) + span);
        let tick = Tick::from_micros_per_kwh(tick).unwrap();
        let between = price(low).between(price(high), k, tick).unwrap();
        prop_assert!(tick.divides(between));
        let between = i128::from(between.micros_per_kwh());
        let exact_in_millionths = i128::from(low) * 1_000_000 + i128::from(k) * i128::from(span);
        prop_assert!(i128::from(low) <= between && between * 1_000_000 <= exact_in_millionths);
        prop_assert!((between + i128::from(step)) * 1_000_000 > exact_in_millionths);
    }
}
