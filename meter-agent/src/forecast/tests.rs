use super::*;
use proptest::prelude::*;

fn anywhere() -> Surroundings {
    Surroundings::new("UTC", None)
}

const QUARTERS_A_DAY: i64 = 96;

fn quarter(index: i64) -> DeliveryPeriod {
    let start = Timestamp::from_millis(index * 900_000);
    DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap()
}

/// A sunny household: draws 100 Wh at night, feeds in up to 900 Wh at noon, times a factor.
fn sunny(index: i64, factor: f64) -> i64 {
    let turn = (index.rem_euclid(QUARTERS_A_DAY) as f64) / 96.0 * std::f64::consts::TAU;
    #[expect(clippy::cast_possible_truncation, reason = "within a thousand")]
    let fed_in_wh = (-(turn.cos()) * 1_000.0 * factor).max(0.0).round() as i64;
    fed_in_wh - 100
}

#[test]
fn without_history_the_power_of_this_moment_goes_on() {
    let position =
        Forecaster::default().forecast(quarter(5), Now { fed_in_w: Some(2_000.0) }, &anywhere());
    assert!((position.expected_wh - 500.0).abs() < 1e-9);
    assert!(position.deviation_wh > 100.0);
    let blind = Forecaster::default().forecast(quarter(5), Now::default(), &anywhere());
    assert!(blind.expected_wh == 0.0 && blind.deviation_wh > 0.0);
}

#[test]
fn after_a_week_habit_beats_persistence_a_few_hours_ahead() {
    let mut forecaster = Forecaster::default();
    let days = [1.0, 0.8, 1.1, 0.9, 1.0, 0.7, 1.0];
    for (day, factor) in (0..).zip(days) {
        for index in day * QUARTERS_A_DAY..(day + 1) * QUARTERS_A_DAY {
            forecaster.learn(quarter(index), sunny(index, factor), &anywhere());
        }
    }
    let (mut habit_error, mut persistence_error) = (0.0, 0.0);
    for index in 7 * QUARTERS_A_DAY..8 * QUARTERS_A_DAY {
        let target = index + 12;
        let truth = sunny(target, 0.95) as f64;
        let position = forecaster.forecast(quarter(target), Now::default(), &anywhere());
        habit_error += (position.expected_wh - truth).abs();
        persistence_error += (sunny(index - 1, 0.95) as f64 - truth).abs();
        forecaster.learn(quarter(index), sunny(index, 0.95), &anywhere());
    }
    assert!(habit_error < 0.4 * persistence_error, "{habit_error} {persistence_error}");
}

#[test]
fn a_cloudy_morning_lowers_the_next_hours_and_not_tomorrow() {
    let mut forecaster = Forecaster::default();
    for index in 0..5 * QUARTERS_A_DAY {
        forecaster.learn(quarter(index), sunny(index, 1.0), &anywhere());
    }
    let noon = 5 * QUARTERS_A_DAY + 48;
    let sunny_noon = forecaster.forecast(quarter(noon), Now::default(), &anywhere()).expected_wh;
    for index in 5 * QUARTERS_A_DAY..noon - 2 {
        forecaster.learn(quarter(index), sunny(index, 0.2), &anywhere());
    }
    let cloudy_noon = forecaster.forecast(quarter(noon), Now::default(), &anywhere()).expected_wh;
    assert!(cloudy_noon < 0.7 * sunny_noon, "{cloudy_noon} {sunny_noon}");
    let tomorrow = forecaster.forecast(quarter(noon + QUARTERS_A_DAY), Now::default(), &anywhere());
    assert!(tomorrow.expected_wh > 0.75 * sunny_noon, "{tomorrow:?}");
}

/// The light of a day that nothing but the weather file knows of beforehand.
fn brightness(day: i64) -> f64 {
    [1.0, 0.3, 0.9, 0.2, 0.6, 0.8, 0.4, 1.0, 0.1, 0.7][usize::try_from(day * 7 % 10).unwrap()]
}

#[test]
fn a_weather_file_tells_of_tomorrows_clouds() {
    let mut text = String::from("time,irradiance_w_m2\n");
    for hour in 0..40 * 24 {
        let turn = f64::from(i32::try_from(hour % 24).unwrap()) / 24.0 * std::f64::consts::TAU;
        let light = (-turn.cos() * 900.0 * brightness(hour / 24)).max(0.0);
        let at = jiff::Timestamp::from_second(hour * 3_600).unwrap();
        text += &format!("{at},{light:.0}\n");
    }
    let weather = weather::Weather::from_csv(&text, std::path::Path::new("weather.csv")).unwrap();
    let error = |around: &Surroundings| {
        let (mut forecaster, mut error) = (Forecaster::default(), 0.0);
        for index in 0..40 * QUARTERS_A_DAY {
            let day = index / QUARTERS_A_DAY;
            forecaster.learn(quarter(index), sunny(index, brightness(day)), around);
            if (25..38).contains(&day) {
                let target = index + QUARTERS_A_DAY;
                let position = forecaster.forecast(quarter(target), Now::default(), around);
                let truth = sunny(target, brightness(day + 1)) as f64;
                error += (position.expected_wh - truth).abs();
            }
        }
        error
    };
    let (without, with) = (error(&anywhere()), error(&anywhere().with_weather(weather)));
    assert!(with < 0.5 * without, "{with} {without}");
}

proptest! {
    #[test]
    fn a_forecast_is_always_finite_and_uncertain(
        history in prop::collection::vec((0_i64..500, -1_000_000_i64..1_000_000), 0..200),
        target in 0_i64..1_000,
        fed_in_w in prop::option::of(-1e6_f64..1e6),
    ) {
        let mut forecaster = Forecaster::default();
        for (index, net_wh) in history {
            forecaster.learn(quarter(index), net_wh, &anywhere());
        }
        let position = forecaster.forecast(quarter(target), Now { fed_in_w }, &anywhere());
        prop_assert!(position.expected_wh.is_finite());
        prop_assert!(position.deviation_wh.is_finite() && position.deviation_wh > 0.0);
        let bytes = borsh::to_vec(&forecaster).unwrap();
        prop_assert_eq!(borsh::from_slice::<Forecaster>(&bytes).unwrap(), forecaster);
    }
}
