//! S7: days of 23 and 25 hours and leap days lose or double no period, and each period has the
//! price of its local time.

use std::collections::BTreeSet;

use market::schedule::Schedule;
use market::tariff::{Days, Tariff, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use proptest::prelude::*;

use crate::bare::rules;
use crate::settlement::world::price;

/// 2024-03-31T01:00:00Z and 2024-10-27T01:00:00Z: the clocks of Central Europe change.
const SUMMER: i64 = 1_711_846_800_000;
const WINTER: i64 = 1_729_990_800_000;
const QUARTER: i64 = 900_000;

/// Each hour of the local day has its own price.
fn hourly(utc_offset_minutes: i16) -> Tariff {
    let hour = |hour: u16| Window {
        days: Days::ALL,
        from_minute: hour * 60,
        to_minute: hour * 60 + 60,
        retail: price(1_000 + i64::from(hour)),
        feed_in: price(0),
    };
    Tariff::new(utc_offset_minutes, (0..24).map(hour).collect(), Vec::new(), 0).unwrap()
}

fn central_europe() -> Schedule<Tariff> {
    let mut schedule = Schedule::always(hourly(60));
    schedule.change(Timestamp::from_millis(SUMMER), hourly(120));
    schedule.change(Timestamp::from_millis(WINTER), hourly(60));
    schedule
}

/// The hours of the local day whose prices hold in the periods from one instant to another.
fn hours(from: i64, to: i64) -> Vec<i64> {
    let mut rules = rules(500_000, 1);
    rules.tariffs = central_europe();
    let (mut hours, mut seen) = (Vec::new(), BTreeSet::new());
    let mut period =
        DeliveryPeriod::starting_at(Timestamp::from_millis(from), PeriodLength::Minutes15).unwrap();
    while period.start() < Timestamp::from_millis(to) {
        assert!(seen.insert(period), "no period twice");
        hours.push(rules.rates(period).retail.micros_per_kwh() - 1_000);
        let next = period.next().unwrap();
        assert_eq!(next.start(), period.end(), "and none lost");
        period = next;
    }
    hours
}

fn quarters(hours: impl IntoIterator<Item = i64>) -> Vec<i64> {
    hours.into_iter().flat_map(|hour| [hour; 4]).collect()
}

#[test]
fn s7_a_day_of_23_hours_has_92_periods_and_skips_the_prices_of_the_missing_hour() {
    let midnight = SUMMER - 2 * 3_600_000;
    let found = hours(midnight, midnight + 23 * 3_600_000);
    assert_eq!(found, quarters((0..2).chain(3..24)));
}

#[test]
fn s7_a_day_of_25_hours_has_100_periods_and_the_prices_of_the_doubled_hour_twice() {
    let midnight = WINTER - 3 * 3_600_000;
    let found = hours(midnight, midnight + 25 * 3_600_000);
    assert_eq!(found, quarters((0..3).chain(2..24)));
}

#[test]
fn s7_a_leap_day_is_a_day() {
    // 2024-02-28T23:00:00Z: midnight of 29 February in Central Europe, a Thursday.
    let midnight = 1_709_161_200_000;
    assert_eq!(hours(midnight, midnight + 24 * 3_600_000), quarters(0..24));
    let thursday = Days::from_bits(0b000_1000).unwrap();
    let others = Days::from_bits(!0b000_1000 & 0b111_1111).unwrap();
    let all_day = |days, retail| Window { days, ..Window::always(price(retail), price(0)) };
    let windows = vec![all_day(thursday, 7), all_day(others, 3)];
    let tariff = Tariff::new(60, windows, Vec::new(), 0).unwrap();
    let retail = |at: i64| {
        let at = Timestamp::from_millis(at);
        let period = DeliveryPeriod::starting_at(at, PeriodLength::Minutes15).unwrap();
        tariff.rates(period).retail.micros_per_kwh()
    };
    let day = 24 * 3_600_000;
    let around = [midnight - QUARTER, midnight, midnight + day - QUARTER, midnight + day];
    assert_eq!(around.map(retail), [3, 7, 7, 3]);
}

proptest! {
    /// Whatever the offset, a local day has its 24 hours in order, beginning at local midnight.
    #[test]
    fn the_prices_follow_the_local_day(
        quarters_ahead in -48..=56_i16,
        day in 0..20_000_i64,
    ) {
        let offset = quarters_ahead * 15;
        let midnight = day * 86_400_000 - i64::from(offset) * 60_000 + 86_400_000;
        let tariff = hourly(offset);
        for quarter in 0..96 {
            let at = Timestamp::from_millis(midnight + quarter * QUARTER);
            let period = DeliveryPeriod::starting_at(at, PeriodLength::Minutes15).unwrap();
            let retail = tariff.rates(period).retail.micros_per_kwh();
            prop_assert_eq!(retail, 1_000 + quarter / 4);
        }
    }
}
