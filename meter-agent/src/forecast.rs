//! Forecast of the net position: how much a household will feed in or draw in a delivery period.
//!
//! Two views are blended. *Habit*: the exponentially weighted mean of what was metered at the same
//! time of day, which knows the sun and the evening meal. *Persistence*: what was metered just now,
//! which knows today's clouds. The more often a time of day has been seen, the more habit counts;
//! and today's deviation from habit is carried into the next periods, fading. Without any history
//! the power of this moment goes on.
//!
//! The market never sees these floats: a strategy turns them into whole watt-hours.

use borsh::{BorshDeserialize, BorshSerialize};
use market::time::{DeliveryPeriod, PeriodLength};
use std::collections::BTreeMap;

/// Weight of the newest day in the mean of a time of day.
const HABIT_WEIGHT: f64 = 0.3;
/// How many days a habit needs to count as much as persistence.
const HABIT_DAYS: f64 = 1.5;
/// How much of today's deviation from habit is left after one period.
const FADING: f64 = 0.85;
/// Weight of the newest period in the mean error of persistence.
const ERROR_WEIGHT: f64 = 0.1;
/// Persistence is no worse after this many periods than after twice as many.
const HORIZON_MAX: f64 = 16.0;
/// No forecast is more certain than this share of itself, plus [`DEVIATION_MIN_WH`].
const DEVIATION_SHARE_MIN: f64 = 0.05;
/// See [`DEVIATION_SHARE_MIN`]; in Wh.
const DEVIATION_MIN_WH: f64 = 5.0;
const DAY_MS: i64 = 86_400_000;

/// What a household expects to have in one delivery period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetPosition {
    /// The period.
    pub period: DeliveryPeriod,
    /// Expected export minus import in Wh: above zero a surplus, below zero a deficit.
    pub expected_wh: f64,
    /// Standard deviation of the expectation, in Wh; above zero.
    pub deviation_wh: f64,
}

/// What is going on now, for the first forecasts of a new household and today's weather.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Now {
    /// Net power in W, positive while feeding in.
    pub fed_in_w: Option<f64>,
}

/// What has been learnt about a household. Kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Forecaster {
    /// By milliseconds since midnight UTC.
    habits: BTreeMap<i64, Habit>,
    last: Option<Last>,
    /// Mean square of how far one period lies from the one before, in Wh².
    step_variance: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, BorshSerialize, BorshDeserialize)]
struct Habit {
    mean_wh: f64,
    variance: f64,
    days: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, BorshSerialize, BorshDeserialize)]
struct Last {
    period: DeliveryPeriod,
    net_wh: f64,
    /// How far it lay from habit, in Wh.
    surprise_wh: f64,
}

impl Forecaster {
    /// Learns what was metered: export minus import in Wh.
    pub fn learn(&mut self, period: DeliveryPeriod, net_wh: i64) {
        let net_wh = net_wh as f64;
        if let Some(last) = self.last.filter(|last| last.period.end() == period.start()) {
            let square = (net_wh - last.net_wh).powi(2);
            let variance = self.step_variance.unwrap_or(square);
            self.step_variance = Some(variance + ERROR_WEIGHT * (square - variance));
        }
        let habit = self.habits.entry(time_of_day(period));
        let mut surprise_wh = 0.0;
        habit
            .and_modify(|habit| {
                surprise_wh = net_wh - habit.mean_wh;
                let weight = HABIT_WEIGHT.max(1.0 / (habit.days + 1.0));
                habit.mean_wh += weight * surprise_wh;
                habit.variance = (1.0 - weight) * (habit.variance + weight * surprise_wh.powi(2));
                habit.days += 1.0;
            })
            .or_insert(Habit { mean_wh: net_wh, variance: 0.0, days: 1.0 });
        self.last = Some(Last { period, net_wh, surprise_wh });
    }

    /// What to expect in a period that has not begun.
    pub fn forecast(&self, period: DeliveryPeriod, now: Now) -> NetPosition {
        let periods_ahead = self.last.map_or(1.0, |last| {
            let ahead_ms = period.start().millis_since(last.period.start()).max(0);
            (ahead_ms as f64 / period.length().as_millis() as f64).max(1.0)
        });
        let (persistent_wh, persistent_variance) =
            self.persistence(period.length(), now, periods_ahead);
        let (expected_wh, variance) = match self.habits.get(&time_of_day(period)) {
            None => (persistent_wh, persistent_variance),
            Some(habit) => {
                let trust = habit.days / (habit.days + HABIT_DAYS);
                let fading = FADING.powf(periods_ahead);
                let surprise_wh = self.last.map_or(0.0, |last| last.surprise_wh);
                let habitual_wh = habit.mean_wh + fading * surprise_wh;
                let unfaded = 1.0 - 0.5 * fading;
                let expected = trust * habitual_wh + (1.0 - trust) * persistent_wh;
                // What the two views disagree about is uncertain too.
                let apart = trust * (1.0 - trust) * (habitual_wh - persistent_wh).powi(2);
                let spread = trust * habit.variance * unfaded + (1.0 - trust) * persistent_variance;
                (expected, spread + apart)
            }
        };
        let floor = DEVIATION_SHARE_MIN * expected_wh.abs() + DEVIATION_MIN_WH;
        NetPosition { period, expected_wh, deviation_wh: variance.sqrt().max(floor) }
    }

    /// The last period and the power of this moment go on; with the variance of that guess.
    fn persistence(&self, length: PeriodLength, now: Now, periods_ahead: f64) -> (f64, f64) {
        let hours = length.as_millis() as f64 / 3_600_000.0;
        let now_wh = now.fed_in_w.map(|watts| watts * hours);
        let expected = match (self.last, now_wh) {
            (Some(last), Some(now_wh)) => (last.net_wh + now_wh) / 2.0,
            (Some(last), None) => last.net_wh,
            (None, Some(now_wh)) => now_wh,
            (None, None) => 0.0,
        };
        let guess = (0.5 * expected.abs() + 6.0 * DEVIATION_MIN_WH).powi(2);
        let variance =
            self.step_variance.map_or(guess, |variance| variance * periods_ahead.min(HORIZON_MAX));
        (expected, variance)
    }
}

fn time_of_day(period: DeliveryPeriod) -> i64 {
    period.start().as_millis().rem_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::Timestamp;
    use proptest::prelude::*;

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
        let position = Forecaster::default().forecast(quarter(5), Now { fed_in_w: Some(2_000.0) });
        assert!((position.expected_wh - 500.0).abs() < 1e-9);
        assert!(position.deviation_wh > 100.0);
        let blind = Forecaster::default().forecast(quarter(5), Now::default());
        assert!(blind.expected_wh == 0.0 && blind.deviation_wh > 0.0);
    }

    #[test]
    fn after_a_week_habit_beats_persistence_a_few_hours_ahead() {
        let mut forecaster = Forecaster::default();
        let days = [1.0, 0.8, 1.1, 0.9, 1.0, 0.7, 1.0];
        for (day, factor) in (0..).zip(days) {
            for index in day * QUARTERS_A_DAY..(day + 1) * QUARTERS_A_DAY {
                forecaster.learn(quarter(index), sunny(index, factor));
            }
        }
        let (mut habit_error, mut persistence_error) = (0.0, 0.0);
        for index in 7 * QUARTERS_A_DAY..8 * QUARTERS_A_DAY {
            let target = index + 12;
            let truth = sunny(target, 0.95) as f64;
            let position = forecaster.forecast(quarter(target), Now::default());
            habit_error += (position.expected_wh - truth).abs();
            persistence_error += (sunny(index - 1, 0.95) as f64 - truth).abs();
            forecaster.learn(quarter(index), sunny(index, 0.95));
        }
        assert!(habit_error < 0.4 * persistence_error, "{habit_error} {persistence_error}");
    }

    #[test]
    fn a_cloudy_morning_lowers_the_next_hours_and_not_tomorrow() {
        let mut forecaster = Forecaster::default();
        for index in 0..5 * QUARTERS_A_DAY {
            forecaster.learn(quarter(index), sunny(index, 1.0));
        }
        let noon = 5 * QUARTERS_A_DAY + 48;
        let sunny_noon = forecaster.forecast(quarter(noon), Now::default()).expected_wh;
        for index in 5 * QUARTERS_A_DAY..noon - 2 {
            forecaster.learn(quarter(index), sunny(index, 0.2));
        }
        let cloudy_noon = forecaster.forecast(quarter(noon), Now::default()).expected_wh;
        assert!(cloudy_noon < 0.7 * sunny_noon, "{cloudy_noon} {sunny_noon}");
        let tomorrow = forecaster.forecast(quarter(noon + QUARTERS_A_DAY), Now::default());
        assert!(tomorrow.expected_wh > 0.75 * sunny_noon, "{tomorrow:?}");
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
                forecaster.learn(quarter(index), net_wh);
            }
            let position = forecaster.forecast(quarter(target), Now { fed_in_w });
            prop_assert!(position.expected_wh.is_finite());
            prop_assert!(position.deviation_wh.is_finite() && position.deviation_wh > 0.0);
            let bytes = borsh::to_vec(&forecaster).unwrap();
            prop_assert_eq!(borsh::from_slice::<Forecaster>(&bytes).unwrap(), forecaster);
        }
    }
}
