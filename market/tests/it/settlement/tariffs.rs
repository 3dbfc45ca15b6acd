//! Tariffs: every minute of the week has exactly one price, whatever was written; what a kWh bears;
//! and rules that contradict each other are named.

use market::energy::Energy;
use market::money::Money;
use market::rules::{PRICE_MAGNITUDE_MAX, RulesError};
use market::schedule::Schedule;
use market::tariff::{Days, Levy, LevyBase, Rates, Tariff, TariffError, Window};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use proptest::prelude::*;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::bare::rules;
use crate::settlement::world::{price, tariffs};

fn window(days: Days, from_minute: u16, to_minute: u16) -> Window {
    Window { days, from_minute, to_minute, retail: price(300_000), feed_in: price(80_000) }
}

fn of(windows: &[Window]) -> Result<Tariff, TariffError> {
    Tariff::new(0, windows.to_vec(), Vec::new(), 0)
}

fn levy(name: &str, micros: i64, base: LevyBase) -> Levy {
    Levy { name: name.into(), price: price(micros), base }
}

/// Windows that often cover the week and often do not.
fn windows() -> impl Strategy<Value = Vec<Window>> {
    let days = (1..128_u8).prop_map(|bits| Days::from_bits(bits).unwrap());
    let days = prop_oneof![3 => Just(Days::ALL), 1 => Just(Days::WEEKDAYS),
        1 => Just(Days::WEEKEND), 1 => days];
    let minute = || prop::sample::select(vec![0_u16, 360, 720, 1_080, 1_440]);
    let window = (days, minute(), minute()).prop_map(|(days, from, to)| window(days, from, to));
    prop::collection::vec(window, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_week_is_accepted_if_every_minute_lies_in_exactly_one_window(windows in windows()) {
        let mut covered = vec![0_u8; 7 * 1_440];
        let mut upright = true;
        for window in &windows {
            upright &= window.from_minute < window.to_minute;
            for day in (0..7).filter(|day| window.days.bits() & (1 << day) != 0) {
                for minute in window.from_minute..window.to_minute {
                    covered[day * 1_440 + usize::from(minute)] += 1;
                }
            }
        }
        let expected = upright && covered.iter().all(|times| *times == 1);
        prop_assert_eq!(of(&windows).is_ok(), expected);
        // The first minute that is wrong is the one that the error names.
        match of(&windows) {
            Err(TariffError::Gap { day, minute }) => {
                let at = day_number(day) * 1_440 + usize::from(minute);
                prop_assert_eq!(covered[at], 0);
                prop_assert!(covered[day_number(day) * 1_440..at].iter().all(|times| *times == 1));
            }
            Err(TariffError::Overlap { day, minute }) => {
                prop_assert!(covered[day_number(day) * 1_440 + usize::from(minute)] > 1);
            }
            _ => {}
        }
    }

    #[test]
    fn a_tariff_survives_its_bytes(tariff in tariffs()) {
        let bytes = borsh::to_vec(&tariff).unwrap();
        prop_assert_eq!(borsh::from_slice::<Tariff>(&bytes).unwrap(), tariff);
    }

    #[test]
    fn what_a_kwh_bears_is_retail_levies_and_tax(tariff in tariffs(), quarter in 0..100_000_i64) {
        let start = Timestamp::from_millis(quarter * 900_000);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        let rates = tariff.rates(period);
        let sum = |base| -> i64 {
            let levies = tariff.levies().iter().filter(|levy| levy.base == base);
            levies.map(|levy| levy.price.micros_per_kwh()).sum()
        };
        let (supplied, imported) = (sum(LevyBase::Supplied), sum(LevyBase::Imported));
        prop_assert_eq!(rates.supplied_levies, price(supplied));
        prop_assert_eq!(rates.import_levies, price(imported));
        let bears = |energy: i64, levies: i64| {
            let share = Decimal::new(i64::from(tariff.tax_millionths()), 6);
            let tax = Decimal::from((energy.max(0) + levies).max(0)) * share;
            let tax = tax.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
            Decimal::from(energy + levies) + tax
        };
        let retail = rates.retail.micros_per_kwh();
        let shown = |price: market::price::Price| Decimal::from(price.micros_per_kwh());
        prop_assert_eq!(shown(rates.all_in()), bears(retail, supplied + imported));
        prop_assert_eq!(shown(rates.on_import()), bears(0, imported));
        // One kWh settled comes to the same.
        let kwh = Energy::from_wh(1_000);
        let cost = rates.retail.amount_for(kwh).unwrap();
        let levies = rates.levies(kwh, kwh).unwrap();
        let in_all = Money::sum([cost, levies, rates.tax(cost, levies).unwrap()]).unwrap();
        prop_assert_eq!(in_all.micros(), rates.all_in().micros_per_kwh());
        // A neighbour's kWh at the avoidable price is never dearer than the supplier's, not even by
        // a fraction of a micro-unit, and one at a micro-unit more is.
        prop_assert!(rates.avoidable() >= rates.retail);
        let exactly = |energy: i64, levies: i64| {
            let share = Decimal::new(i64::from(tariff.tax_millionths()), 6);
            Decimal::from(energy + levies) + Decimal::from((energy.max(0) + levies).max(0)) * share
        };
        let saved = exactly(retail, supplied + imported) - exactly(0, imported);
        prop_assert_eq!(shown(rates.avoidable()), saved.floor());
        let of_window = |window: &Window| {
            let rates = Rates { retail: window.retail, feed_in: window.feed_in, ..rates };
            [window.retail, window.feed_in, rates.all_in()]
        };
        let prices = tariff.windows().iter().flat_map(of_window);
        let largest = prices.map(|price| price.micros_per_kwh().unsigned_abs()).max();
        prop_assert_eq!(Some(tariff.magnitude()), largest);
    }

    #[test]
    fn the_lines_of_the_levies_add_up_to_the_unit(
        tariff in tariffs(),
        supplied in 0..100_000_i64,
        more in 0..100_000_i64,
    ) {
        let (supplied, imported) = (Energy::from_wh(supplied), Energy::from_wh(supplied + more));
        let lines = tariff.levy_lines(supplied, imported).unwrap();
        prop_assert_eq!(lines.len(), tariff.levies().len());
        for (line, levy) in lines.iter().zip(tariff.levies()) {
            prop_assert_eq!(line.levy, levy);
            let energy = if levy.base == LevyBase::Supplied { supplied } else { imported };
            prop_assert_eq!(line.energy, energy);
            let exact = levy.price.micros_per_kwh() * energy.wh();
            prop_assert!((1_000 * line.amount.micros() - exact).abs() <= 1_000);
        }
        let sum = Money::sum(lines.iter().map(|line| line.amount)).unwrap();
        let period = crate::bare::period();
        prop_assert_eq!(Ok(sum), tariff.rates(period).levies(supplied, imported));
    }
}

fn day_number(name: &str) -> usize {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    days.iter().position(|day| *day == name).unwrap()
}

#[test]
fn each_mistake_in_a_tariff_is_named() {
    let problem = |result: Result<Tariff, TariffError>| result.unwrap_err().to_string();
    let all = window(Days::ALL, 0, 1_440);
    assert_eq!(problem(of(&[])), "no window covers Monday 00:00");
    assert_eq!(
        problem(of(&[window(Days::ALL, 0, 390), window(Days::ALL, 405, 1_440)])),
        "no window covers Monday 06:30"
    );
    assert_eq!(
        problem(of(&[window(Days::WEEKDAYS, 0, 1_440), window(Days::WEEKEND, 0, 1_439)])),
        "no window covers Saturday 23:59"
    );
    assert_eq!(
        problem(of(&[all, window(Days::WEEKEND, 600, 660)])),
        "two windows cover Saturday 10:00"
    );
    assert_eq!(
        problem(of(&[window(Days::ALL, 1_320, 360)])),
        "window 0 runs from minute 1320 to minute 360; it must begin before it ends, within the \
         1440 minutes of a day: a window over midnight is two windows"
    );
    assert!(problem(of(&[window(Days::ALL, 0, 1_441)])).starts_with("window 0 runs from minute 0"));
    let upside_down = Window { feed_in: price(300_001), ..all };
    assert_eq!(
        problem(of(&[upside_down])),
        "window 0: feed_in (0.300001) must not be above retail (0.300000)"
    );
    assert!(matches!(of(&vec![all; 673]), Err(TariffError::TooManyWindows(673))));
    let with = |levies: &[Levy], tax| Tariff::new(0, vec![all], levies.to_vec(), tax);
    let (duty, nameless) = (levy("duty", 1, LevyBase::Supplied), levy("", 1, LevyBase::Imported));
    assert_eq!(
        problem(with(&[duty.clone(), duty.clone()], 0)),
        "two levies have the name \"duty\""
    );
    assert!(problem(with(&[nameless], 0)).contains("1 to 64 characters, but it is \"\""));
    let long_name = levy(&"x".repeat(65), 1, LevyBase::Imported);
    assert!(matches!(with(&[long_name], 0), Err(TariffError::LevyName(_))));
    assert!(with(&[levy(&"陽".repeat(64), 1, LevyBase::Imported)], 0).is_ok());
    assert_eq!(
        problem(with(&[levy("rebate", -1, LevyBase::Supplied)], 0)),
        "levy \"rebate\" on supplied energy must not be negative, but it is -0.000001"
    );
    assert!(with(&[levy("rebate", -1, LevyBase::Imported)], 0).is_ok());
    let many: Vec<_> = (0..17).map(|n| levy(&n.to_string(), 1, LevyBase::Imported)).collect();
    assert!(matches!(with(&many, 0), Err(TariffError::TooManyLevies(17))));
    assert!(with(&many[..16], 1_000_000).is_ok());
    assert!(problem(with(&[], 1_000_001)).contains("at most 1000000 millionths"));
    for (offset, fits) in [(-721, false), (-720, true), (840, true), (841, false)] {
        assert_eq!(Tariff::new(offset, vec![all], Vec::new(), 0).is_ok(), fits, "{offset}");
    }
}

#[test]
fn no_price_that_a_kwh_can_bear_is_beyond_one_million() {
    let most = i64::try_from(PRICE_MAGNITUDE_MAX).unwrap();
    assert!(Tariff::flat(price(most), price(-most)).is_ok());
    let beyond = |retail, feed_in, levies: &[Levy], tax| {
        let window = Window::always(price(retail), price(feed_in));
        match Tariff::new(0, vec![window], levies.to_vec(), tax) {
            Err(TariffError::PriceTooLarge { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(beyond(most + 1, 0, &[], 0), "window 0: retail");
    assert_eq!(beyond(0, -most - 1, &[], 0), "window 0: feed_in");
    assert_eq!(beyond(i64::MAX, i64::MIN, &[], 1_000_000), "window 0: retail");
    assert_eq!(beyond(most / 2 + 1, 0, &[], 1_000_000), "window 0: retail with levies and tax");
    let duty = levy("duty", most + 1, LevyBase::Imported);
    assert_eq!(beyond(0, 0, &[duty], 0), "levy \"duty\"");
}

#[test]
fn bytes_that_are_no_tariff_are_refused() {
    let tariff = Tariff::flat(price(300_000), price(80_000)).unwrap();
    let bytes = borsh::to_vec(&tariff).unwrap();
    // Offset, count of windows, days: no day, and an eighth.
    for days in [0, 128, 255] {
        let mut wrong = bytes.clone();
        wrong[6] = days;
        assert!(borsh::from_slice::<Tariff>(&wrong).is_err(), "{days}");
    }
    let mut weekdays_only = bytes;
    weekdays_only[6] = Days::WEEKDAYS.bits();
    let problem = borsh::from_slice::<Tariff>(&weekdays_only).unwrap_err().to_string();
    assert_eq!(problem, "no window covers Saturday 00:00");
}

#[test]
fn no_price_may_change_within_a_delivery_period() {
    let at = |minute, offset| {
        let windows = vec![window(Days::ALL, 0, minute), window(Days::ALL, minute, 1_440)];
        Tariff::new(offset, windows, Vec::new(), 0).unwrap()
    };
    let fits = |tariff: &Tariff, length| tariff.check_periods(length).is_ok();
    assert!(fits(&at(375, 60), PeriodLength::Minutes15));
    assert!(!fits(&at(375, 60), PeriodLength::Minutes30));
    assert!(!fits(&at(370, 60), PeriodLength::Minutes15));
    // Nepal is 5:45 ahead: its midnight lies inside a half hour of UTC.
    assert!(fits(&at(360, 345), PeriodLength::Minutes15));
    assert!(!fits(&at(360, 345), PeriodLength::Minutes30));
    let mut rules = rules(500_000, 1);
    assert_eq!(rules.check(), Ok(()));
    rules.tariffs.change(Timestamp::from_millis(1_000_000_800_000), at(370, 0));
    let error = rules.check().unwrap_err();
    assert!(matches!(error, RulesError::Tariff { from: Some(_), .. }));
    assert_eq!(
        error.to_string(),
        "the tariff from 2001-09-09T02:00:00Z on: window 0 has an edge at 06:10 local time, inside \
         a delivery period of 15 minutes"
    );
    rules.tariffs = Schedule::always(at(370, 0));
    let problem = rules.check().unwrap_err().to_string();
    assert!(problem.starts_with("the tariff from the beginning: window 0 has"), "{problem}");
}
