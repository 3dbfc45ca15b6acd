//! Households look like households: a year's energy, the shape of a day, the sun's yield.

use market::time::Timestamp;
use simulators::appliances::{Character, Routine, load_series_mw};
use simulators::place::{LocalDay, Place};
use simulators::power::STEP_S;
use simulators::solar::{Roof, SolarPlant};
use simulators::weather::SkyDay;

use crate::stage::munich;

/// 2026-01-01 12:00 UTC.
const NEW_YEAR: Timestamp = Timestamp::from_millis(1_767_268_800_000);
const STEPS_AN_HOUR: usize = 3_600 / STEP_S;

/// Every `stride`-th day of 2026.
fn days_of_2026(place: &Place, stride: usize) -> Vec<LocalDay> {
    (0..365)
        .step_by(stride)
        .map(|day| place.local_day(NEW_YEAR.plus_millis(day * 86_400_000)).expect("a day"))
        .collect()
}

fn energy_wh(series_mw: &[i32]) -> f64 {
    series_mw.iter().map(|power_mw| f64::from(*power_mw)).sum::<f64>() * STEP_S as f64 / 3.6e6
}

#[test]
fn a_years_consumption_suits_the_number_of_people() {
    // kWh a year without electric heating, hot water or car. The ranges overlap as those of real
    // households do; all of them together span 1,500 to 6,000.
    let ranges = [
        (1, 1_500.0..2_600.0),
        (2, 1_900.0..3_700.0),
        (3, 2_400.0..4_700.0),
        (4, 2_900.0..5_400.0),
        (5, 3_300.0..6_000.0),
    ];
    let place = munich();
    // Three and seven share no divisor: each weekday has its part.
    let days = days_of_2026(&place, 3);
    let mut means = Vec::new();
    for (residents, range) in ranges {
        let (mut sum, mut count) = (0.0, 0.0);
        for routine in [Routine::AtHome, Routine::DayOut, Routine::HalfDay] {
            for household in 0..4 {
                let character = Character::draw(17, household, residents, routine);
                let wh: f64 = days
                    .iter()
                    .map(|day| load_series_mw(17, household, &character, &place, day))
                    .map(|series| energy_wh(&series.expect("a day")))
                    .sum();
                let kwh = wh / 1_000.0 * 365.0 / days.len() as f64;
                assert!(range.contains(&kwh), "{residents} people, {routine:?}: {kwh:.0} kWh");
                sum += kwh;
                count += 1.0;
            }
        }
        means.push(sum / count);
    }
    println!("mean kWh a year for 1 to 5 people: {means:.0?}");
    assert!(means.is_sorted(), "{means:?}");
}

#[test]
fn a_south_roof_in_munich_yields_800_to_1200_full_load_hours() {
    let place = munich();
    let days = days_of_2026(&place, 1);
    let full_load_hours = |azimuth_deg, seed| {
        let plant = SolarPlant {
            roofs: vec![Roof { peak_w: 6_000.0, tilt_deg: 35.0, azimuth_deg }],
            inverter_limit_w: 6_000.0,
        };
        let mut by_month = [0.0; 12];
        for day in &days {
            let sky = SkyDay::over_neighbourhood(seed, &place, day).over_roof(seed, 0, day);
            let month = usize::try_from((day.day_of_year() - 1) * 12 / 366).expect("a month");
            by_month[month] += energy_wh(&plant.day_series_mw(&place, day, &sky)) / 6_000.0;
        }
        by_month
    };
    for seed in [1, 2, 3] {
        let by_month = full_load_hours(180.0, seed);
        let year: f64 = by_month.iter().sum();
        println!("south roof, seed {seed}: {year:.0} h/a, by month {by_month:.0?}");
        assert!((800.0..1_200.0).contains(&year), "{year}");
        let (summer, winter) = (by_month[4..8].iter().sum::<f64>(), by_month[10] + by_month[11]);
        assert!(summer > 0.4 * year && winter < 0.13 * year, "{by_month:?}");
    }
    let (east, south, west, north) = (
        full_load_hours(90.0, 1).iter().sum::<f64>(),
        full_load_hours(180.0, 1).iter().sum::<f64>(),
        full_load_hours(270.0, 1).iter().sum::<f64>(),
        full_load_hours(0.0, 1).iter().sum::<f64>(),
    );
    println!("east {east:.0}, south {south:.0}, west {west:.0}, north {north:.0}");
    assert!(south > east && south > west && east.min(west) > north);
    assert!((0.7..0.95).contains(&(east / south)) && (0.7..0.95).contains(&(west / south)));
}

#[test]
fn the_sun_feeds_nothing_at_night_and_less_than_the_modules_at_noon() {
    let place = munich();
    let plant = SolarPlant {
        roofs: vec![Roof { peak_w: 8_000.0, tilt_deg: 35.0, azimuth_deg: 180.0 }],
        inverter_limit_w: 6_000.0,
    };
    let mut highest_mw = 0;
    for day in days_of_2026(&place, 7) {
        let sky = SkyDay::over_neighbourhood(1, &place, &day);
        let series = plant.day_series_mw(&place, &day, &sky);
        assert_eq!(i64::try_from(series.len()), Ok(day.length_s() / 10));
        // Before 3 h and after 23 h wall time it is dark in Munich all year.
        assert!(series[..3 * STEPS_AN_HOUR].iter().all(|power_mw| *power_mw == 0));
        assert!(series[22 * STEPS_AN_HOUR + STEPS_AN_HOUR..].iter().all(|power_mw| *power_mw == 0));
        highest_mw = highest_mw.max(series.into_iter().max().unwrap_or(0));
    }
    assert_eq!(highest_mw, 6_000_000, "the inverter's limit is reached, never passed");
}

#[test]
fn a_street_uses_most_in_the_evening_and_least_at_night() {
    let place = munich();
    let mut by_hour = [0.0; 25];
    let plans = simulators::household::neighbourhood(5, 60, 3, &place).expect("a street");
    for plan in &plans {
        let character = Character::draw(plan.seed, plan.household, plan.residents, plan.routine);
        for day in days_of_2026(&place, 31) {
            let series =
                load_series_mw(plan.seed, plan.household, &character, &place, &day).expect("a day");
            for (hour, steps) in series.chunks(STEPS_AN_HOUR).enumerate() {
                by_hour[hour] += energy_wh(steps) / 60.0 / 12.0;
            }
        }
    }
    println!("mean load of a household by hour, W: {by_hour:.0?}");
    let night: f64 = by_hour[1..5].iter().sum::<f64>() / 4.0;
    let evening: f64 = by_hour[18..21].iter().sum::<f64>() / 3.0;
    let noon = by_hour[12];
    let forenoon = by_hour[10];
    let small_hours_to_morning = by_hour[7] / night;
    assert!(evening > 2.5 * night, "evening {evening}, night {night}");
    assert!(noon > forenoon && evening > noon, "noon {noon}, forenoon {forenoon}");
    assert!(small_hours_to_morning > 1.3);
}
