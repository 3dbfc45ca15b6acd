//! Forecast of the net position: how much a household will feed in or draw in a delivery period, and
//! how sure that is.
//!
//! ```text
//! expected = habit + Σ weight x clue            (before there is a habit: what flows now goes on)
//! ```
//!
//! *Habit* is what was metered at the same local time of day, smoothed over its neighbours, newer
//! days counting more. The clues say how this day differs: weekday or weekend, yesterday, how far
//! the last hours lay beside habit (in standard deviations of their time of day, so that a cloudy
//! morning dims a whole afternoon), the same scaled by the height of the sun, and the weather file's
//! light against its usual light. What each clue is worth at each lead is learnt from the
//! household's own history (`blend`), and how uncertain the sum is from its own past errors
//! (`errors`).
//!
//! The market never sees these floats: a strategy turns them into whole watt-hours.

mod blend;
mod errors;
mod habit;
mod position;
mod sun;
mod surroundings;
pub mod weather;

use borsh::{BorshDeserialize, BorshSerialize};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use std::collections::VecDeque;

use self::blend::{Blend, CLUES, Clues};
use self::errors::Errors;
use self::habit::{Habits, Usual};

pub use position::{LEVELS, NetPosition};
pub use surroundings::{Place, Surroundings};

/// For how many periods ahead weights and errors are learnt, each lead by itself; the leads between
/// them use the next.
const LEADS: [u32; 7] = [1, 2, 4, 8, 16, 32, 96];
/// How much of a surprise is thought to be left after one period, before anything is learnt.
const FADING: f64 = 0.85;
/// The latest periods that tell how this day differs: the last hour, and the last three.
const SHORT: usize = 4;
const LONG: usize = 12;
/// A day further beside habit than this many standard deviations tells no more.
const STANDARD_MAX: f64 = 3.0;
/// Less light than this tells nothing about clouds, in W/m².
const LIGHT_MIN: f64 = 80.0;
/// Weight of the newest period in the mean error of persistence.
const STEP_WEIGHT: f64 = 0.1;
/// Persistence is no worse after this many periods than after twice as many.
const HORIZON_MAX: f64 = 16.0;
/// No forecast is more certain than this share of itself, plus [`DEVIATION_MIN_WH`].
const DEVIATION_SHARE_MIN: f64 = 0.03;
/// See [`DEVIATION_SHARE_MIN`]; in Wh.
const DEVIATION_MIN_WH: f64 = 5.0;

/// What is going on now, for the first forecasts of a new household.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Now {
    /// Net power in W, positive while feeding in.
    pub fed_in_w: Option<f64>,
}

/// What has been learnt about a household. Kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Forecaster {
    habits: Habits,
    /// The latest periods, newest last.
    recent: VecDeque<Recent>,
    /// Mean square of how far one period lies from the one before, in Wh².
    step_variance: Option<f64>,
    /// One for each of [`LEADS`].
    leads: Vec<Lead>,
}

#[derive(Debug, Clone, Copy, PartialEq, BorshSerialize, BorshDeserialize)]
struct Recent {
    period: DeliveryPeriod,
    net_wh: f64,
    /// How far it lay from habit, in Wh.
    surprise_wh: f64,
    /// How far days usually do then.
    deviation_wh: f64,
    /// Light under a clear sky, in W/m².
    clear_sky: f64,
}

/// What is learnt about one lead.
#[derive(Debug, Clone, Default, PartialEq, BorshSerialize, BorshDeserialize)]
struct Lead {
    blend: Blend,
    errors: Errors,
    /// Forecasts whose periods are still to be metered, oldest first.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug, Clone, Copy, PartialEq, BorshSerialize, BorshDeserialize)]
struct Waiting {
    start: Timestamp,
    clues: [f32; CLUES],
    habit_wh: f32,
    expected_wh: f32,
}

impl Forecaster {
    /// Learns what was metered: export minus import in Wh.
    pub fn learn(&mut self, period: DeliveryPeriod, net_wh: i64, around: &Surroundings) {
        let net_wh = net_wh as f64;
        let time = around.local(period);
        self.learn_step(period, net_wh);
        self.learn_from_errors(period, net_wh, time.hour());
        let usual = self.habits.usual(time);
        self.recent.push_back(Recent {
            period,
            net_wh,
            surprise_wh: usual.map_or(0.0, |usual| net_wh - usual.net_wh),
            deviation_wh: usual.map_or(0.0, |usual| usual.deviation_wh),
            clear_sky: around.clear_sky(period),
        });
        if self.recent.len() > LONG {
            self.recent.pop_front();
        }
        self.habits.take(time, net_wh, around.light(period));
        self.await_next(period, around);
    }

    /// What to expect in a period that has not begun.
    pub fn forecast(&self, period: DeliveryPeriod, now: Now, around: &Surroundings) -> NetPosition {
        let ahead = self.recent.back().map_or(1.0, |last| {
            let ahead_ms = period.start().millis_since(last.period.start()).max(0);
            (ahead_ms as f64 / period.length().as_millis() as f64).max(1.0)
        });
        let (persistent_wh, persistent_variance) = self.persistence(period.length(), now, ahead);
        let time = around.local(period);
        let Some(usual) = self.habits.usual(time) else {
            return settled(period, persistent_wh, persistent_variance, None);
        };
        let (index, lead_periods) = lead_for(ahead);
        let lead = self.leads.get(index);
        let start = start_weights(lead_periods);
        let weights = lead.map_or(start, |lead| lead.blend.weights(&start));
        let clues = self.clues(period, &usual, around);
        let habitual_wh = usual.net_wh + dot(&weights, &clues);
        let deviation_wh = lead
            .and_then(|lead| lead.errors.deviation_wh(time.hour()))
            .unwrap_or_else(|| usual.deviation_wh.max(persistent_variance.sqrt()));
        // Each day halves what persistence has to say.
        let doubt = 0.5_f64.powf(usual.days);
        let expected_wh = habitual_wh + doubt * (persistent_wh - habitual_wh);
        // What the two views disagree about is uncertain too.
        let apart = doubt * (1.0 - doubt) * (habitual_wh - persistent_wh).powi(2);
        let variance = (1.0 - doubt) * deviation_wh.powi(2) + doubt * persistent_variance + apart;
        settled(period, expected_wh, variance, lead.map(|lead| lead.errors.quantiles()))
    }

    fn learn_step(&mut self, period: DeliveryPeriod, net_wh: f64) {
        match self.recent.back().filter(|last| last.period.end() == period.start()) {
            Some(last) => {
                let square = (net_wh - last.net_wh).powi(2);
                let variance = self.step_variance.unwrap_or(square);
                self.step_variance = Some(variance + STEP_WEIGHT * (square - variance));
            }
            // After a gap nothing that was going on goes on.
            None => self.recent.clear(),
        }
    }

    /// Holds what was expected of a period against what was metered in it.
    fn learn_from_errors(&mut self, period: DeliveryPeriod, net_wh: f64, hour: usize) {
        for lead in &mut self.leads {
            while let Some(waiting) = lead.waiting.front().copied() {
                if waiting.start > period.start() {
                    break;
                }
                lead.waiting.pop_front();
                if waiting.start == period.start() {
                    let above_habit_wh = net_wh - f64::from(waiting.habit_wh);
                    lead.blend.take(&waiting.clues.map(f64::from), above_habit_wh);
                    lead.errors.take(hour, net_wh - f64::from(waiting.expected_wh));
                }
            }
        }
    }

    /// Writes down what is expected of the periods that lie the leads ahead.
    fn await_next(&mut self, period: DeliveryPeriod, around: &Surroundings) {
        self.leads.resize_with(LEADS.len(), Lead::default);
        let length_ms = period.length().as_millis();
        let mut leads = std::mem::take(&mut self.leads);
        for (lead, periods) in leads.iter_mut().zip(LEADS) {
            let start = period.start().plus_millis(length_ms.saturating_mul(i64::from(periods)));
            let Ok(target) = DeliveryPeriod::starting_at(start, period.length()) else { continue };
            let Some(usual) = self.habits.usual(around.local(target)) else { continue };
            let clues = self.clues(target, &usual, around);
            let weights = lead.blend.weights(&start_weights(periods));
            let expected_wh = usual.net_wh + dot(&weights, &clues);
            #[expect(clippy::cast_possible_truncation, reason = "to fewer digits, on purpose")]
            lead.waiting.push_back(Waiting {
                start,
                clues: clues.map(|clue| clue as f32),
                habit_wh: usual.net_wh as f32,
                expected_wh: expected_wh as f32,
            });
        }
        self.leads = leads;
    }

    /// How the day of a period differs from habit, in Wh each.
    fn clues(&self, period: DeliveryPeriod, usual: &Usual, around: &Surroundings) -> Clues {
        let surprise_wh = self.recent.back().map_or(0.0, |last| last.surprise_wh);
        let light = around.light(period).zip(usual.light);
        let brighter = light.map_or(0.0, |(light, usual)| (light - usual) / 1_000.0);
        [
            surprise_wh,
            self.standard(SHORT) * usual.deviation_wh,
            self.standard(LONG) * usual.deviation_wh,
            self.by_sun() * around.clear_sky(period),
            usual.day_type_wh,
            usual.latest_wh,
            // In the order of magnitude of the others, whatever the size of the roof.
            brighter * 4.0 * usual.deviation_wh,
            usual.deviation_wh,
        ]
    }

    /// How far the latest periods lay above habit, in standard deviations of their times of day.
    fn standard(&self, periods: usize) -> f64 {
        let latest = || self.recent.iter().rev().take(periods);
        let usual: f64 = latest().map(|recent| recent.deviation_wh).sum();
        let surprise: f64 = latest().map(|recent| recent.surprise_wh).sum();
        if usual < DEVIATION_MIN_WH {
            return 0.0;
        }
        (surprise / usual).clamp(-STANDARD_MAX, STANDARD_MAX)
    }

    /// How far the latest hours lay above habit, for each W/m² of a clear sky.
    fn by_sun(&self) -> f64 {
        let lit = || self.recent.iter().filter(|recent| recent.clear_sky >= LIGHT_MIN);
        let light: f64 = lit().map(|recent| recent.clear_sky).sum();
        let surprise: f64 = lit().map(|recent| recent.surprise_wh).sum();
        if light > 0.0 { surprise / light } else { 0.0 }
    }

    /// The last period and the power of this moment go on; with the variance of that guess.
    fn persistence(&self, length: PeriodLength, now: Now, ahead: f64) -> (f64, f64) {
        let hours = length.as_millis() as f64 / 3_600_000.0;
        let last_wh = self.recent.back().map(|last| last.net_wh);
        let now_wh = now.fed_in_w.map(|watts| watts * hours);
        let expected = match (last_wh, now_wh) {
            (Some(last_wh), Some(now_wh)) => (last_wh + now_wh) / 2.0,
            (Some(wh), None) | (None, Some(wh)) => wh,
            (None, None) => 0.0,
        };
        let guess = (0.5 * expected.abs() + 6.0 * DEVIATION_MIN_WH).powi(2);
        let variance =
            self.step_variance.map_or(guess, |variance| variance * ahead.min(HORIZON_MAX));
        (expected, variance)
    }
}

/// The weights before anything is learnt: a surprise fades, and nothing else is believed.
fn start_weights(periods: u32) -> Clues {
    let mut weights = [0.0; CLUES];
    weights[0] = FADING.powf(f64::from(periods));
    weights
}

/// The lead whose learning holds for so many periods ahead.
fn lead_for(ahead: f64) -> (usize, u32) {
    let near = |periods: &(usize, u32)| f64::from(periods.1) * 1.4 >= ahead;
    let last = (LEADS.len().saturating_sub(1), LEADS[LEADS.len() - 1]);
    LEADS.into_iter().enumerate().find(near).unwrap_or(last)
}

fn dot(weights: &Clues, clues: &Clues) -> f64 {
    weights.iter().zip(clues).map(|(weight, clue)| weight * clue).sum()
}

/// A position that is never quite certain.
fn settled(
    period: DeliveryPeriod,
    expected_wh: f64,
    variance: f64,
    shape: Option<[f64; 7]>,
) -> NetPosition {
    let floor = DEVIATION_SHARE_MIN * expected_wh.abs() + DEVIATION_MIN_WH;
    let deviation_wh = variance.sqrt().max(floor);
    match shape {
        Some(shape) => NetPosition::scaled(period, expected_wh, deviation_wh, &shape),
        None => NetPosition::normal(period, expected_wh, deviation_wh),
    }
}

#[cfg(test)]
mod tests;
