//! Time: every instant lies in exactly one period, also where local days have 23 or 25 hours.

use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use proptest::prelude::*;

fn length() -> impl Strategy<Value = PeriodLength> {
    prop_oneof![Just(PeriodLength::Minutes15), Just(PeriodLength::Minutes30)]
}

proptest! {
    #[test]
    fn every_instant_lies_in_exactly_one_period(
        millis in 0..4_102_444_800_000_i64,
        length in length(),
    ) {
        let at = Timestamp::from_millis(millis);
        let period = DeliveryPeriod::containing(at, length).unwrap();
        prop_assert!(period.start() <= at && at < period.end());
        prop_assert_eq!(period.end().millis_since(period.start()), length.as_millis());
        let next = period.next().unwrap();
        prop_assert_eq!(next.start(), period.end());
        prop_assert!(next.start() > at);
        prop_assert_eq!(DeliveryPeriod::starting_at(period.start(), length), Ok(period));
    }

    #[test]
    fn any_bytes_are_an_aligned_period_or_none(bytes in prop::array::uniform9(any::<u8>())) {
        if let Ok(period) = borsh::from_slice::<DeliveryPeriod>(&bytes) {
            prop_assert_eq!(period.start().as_millis() % period.length().as_millis(), 0);
        }
    }
}

/// The last Sundays of March and October 2026 in Berlin, in UTC: 92 and 100 quarters of an hour.
#[test]
fn days_of_23_and_25_hours_neither_lose_nor_double_a_period() {
    for (from_ms, to_ms, expected) in [
        (1_774_738_800_000, 1_774_821_600_000, 92),
        (1_792_879_200_000, 1_792_969_200_000, 100),
        (1_709_161_200_000, 1_709_247_600_000, 96),
    ] {
        let (from, to) = (Timestamp::from_millis(from_ms), Timestamp::from_millis(to_ms));
        let mut period = DeliveryPeriod::containing(from, PeriodLength::Minutes15).unwrap();
        assert_eq!(period.start(), from);
        let mut count = 0;
        while period.start() < to {
            count += 1;
            period = period.next().unwrap();
        }
        assert_eq!((count, period.start()), (expected, to));
    }
}

/// Counts days one by one, as a calendar on the wall does.
#[test]
fn instants_print_the_date_that_counting_days_gives() {
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..55_000_i64 {
        let shown = Timestamp::from_millis(days * 86_400_000 + 45_296_000).to_string();
        assert_eq!(shown, format!("{year:04}-{month:02}-{day:02}T12:34:56Z"));
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (day, month) = if day == length { (1, month + 1) } else { (day + 1, month) };
        (month, year) = if month == 13 { (1, year + 1) } else { (month, year) };
    }
}
