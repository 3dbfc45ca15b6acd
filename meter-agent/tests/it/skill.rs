//! How good forecasts are: simulated households in Munich, held-out days.
//!
//! Each household lives for six weeks from 1 May 2026; the forecast learns all the time and is judged
//! on the last two weeks. *Persistence* is the better of two, for each household and lead: what was
//! metered last goes on, or the same time of the day before comes again. Skill is one minus the ratio
//! of the root mean square errors.

#![expect(clippy::print_stdout, reason = "the figures of docs/agent.md")]

use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use meter_agent::forecast::{Forecaster, Now, Place, Surroundings};
use simulators::household::{Household, HouseholdPlan, neighbourhood};
use std::fmt::Write as _;

/// 2026-05-01T00:00:00Z
const STARTS_AT_MS: i64 = 1_777_593_600_000;
const QUARTER_MS: i64 = 900_000;
const DAY: usize = 96;
const DAYS: usize = 42;
const JUDGED_FROM: usize = 28 * DAY;
/// A quarter of an hour, one hour, four hours and a day ahead.
const LEADS: [usize; 4] = [1, 4, 16, 96];

const MUNICH: Place = Place { latitude_deg: 48.14, longitude_deg: 11.58 };

fn plans() -> Vec<HouseholdPlan> {
    let place = simulators::place::Place::new(48.14, 11.58, "Europe/Berlin").unwrap();
    neighbourhood(7, 12, 3, &place).unwrap()
}

fn quarter(index: usize) -> DeliveryPeriod {
    let start = STARTS_AT_MS + QUARTER_MS * i64::try_from(index).unwrap();
    DeliveryPeriod::starting_at(Timestamp::from_millis(start), PeriodLength::Minutes15).unwrap()
}

/// Export minus import of each quarter of an hour, in Wh.
fn life(plan: &HouseholdPlan) -> Vec<i64> {
    life_of(plan, DAYS)
}

fn life_of(plan: &HouseholdPlan, days: usize) -> Vec<i64> {
    let mut household = Household::new(plan, quarter(0).start()).unwrap();
    let shown = |household: &Household| {
        let readout = household.readout();
        i128::from(readout.export_uj) - i128::from(readout.import_uj)
    };
    let mut before = shown(&household);
    let net = (0..days * DAY).map(|index| {
        household.advance(quarter(index).end()).unwrap();
        let after = shown(&household);
        let net_uj = after - std::mem::replace(&mut before, after);
        i64::try_from(net_uj / 3_600_000_000).unwrap()
    });
    net.collect()
}

/// Sums over the forecasts of one household at one lead.
#[derive(Debug, Clone, Copy, Default)]
struct Score {
    /// Errors of the median, of the last period going on, and of yesterday coming again, in Wh.
    errors: [f64; 3],
    /// Squares of the errors, of the mean instead of the median.
    squares: [f64; 3],
    /// How often the truth lay between the 5 and the 95 percent quantiles.
    covered: f64,
    count: f64,
}

impl Score {
    fn skill(&self) -> f64 {
        let [own, last, yesterday] = self.squares;
        1.0 - (own / last.min(yesterday)).sqrt()
    }
}

fn judge(life: &[i64], around: &Surroundings, judged_from: usize) -> [Score; 4] {
    let mut forecaster = Forecaster::default();
    let mut scores = [Score::default(); 4];
    for (index, net_wh) in life.iter().enumerate() {
        forecaster.learn(quarter(index), *net_wh, around);
        if index < judged_from {
            continue;
        }
        for (score, lead) in scores.iter_mut().zip(LEADS) {
            let Some(truth) = life.get(index + lead).map(|wh| *wh as f64) else { continue };
            let position = forecaster.forecast(quarter(index + lead), Now::default(), around);
            let (last, yesterday) = (*net_wh as f64, life[index + lead - DAY] as f64);
            let (median, mean) = (position.quantile(0.5), position.expected_wh);
            for (sum, guess) in score.errors.iter_mut().zip([median, last, yesterday]) {
                *sum += (guess - truth).abs();
            }
            for (sum, guess) in score.squares.iter_mut().zip([mean, last, yesterday]) {
                *sum += (guess - truth).powi(2);
            }
            let inside = (position.quantile(0.05)..=position.quantile(0.95)).contains(&truth);
            score.covered += f64::from(u8::from(inside));
            score.count += 1.0;
        }
    }
    scores
}

fn around() -> Surroundings {
    Surroundings::new("Europe/Berlin", Some(MUNICH))
}

/// The mean over households.
fn mean(scores: &[Score], of: impl Fn(&Score) -> f64) -> f64 {
    scores.iter().map(of).sum::<f64>() / scores.len() as f64
}

fn group(plan: &HouseholdPlan) -> &'static str {
    match (&plan.solar, &plan.battery) {
        (None, _) => "load alone",
        (Some(_), None) => "solar",
        (Some(_), Some(_)) => "solar and battery",
    }
}

/// Tolerances, for the mean over the households of each group: skill of at least 0.08, 0.20, 0.12
/// and 0.06 at the four leads, and nine of ten truths within the 90 percent interval, give or take
/// six of a hundred.
#[test]
fn forecasts_beat_persistence_on_held_out_days() {
    let mut table = String::new();
    let least = [0.08, 0.20, 0.12, 0.06];
    let plans = plans();
    let mut failures = Vec::new();
    for name in ["load alone", "solar", "solar and battery"] {
        let own = plans.iter().filter(|plan| group(plan) == name);
        let judged: Vec<_> = own.map(|plan| judge(&life(plan), &around(), JUDGED_FROM)).collect();
        for (index, lead) in LEADS.into_iter().enumerate() {
            let scores: Vec<_> = judged.iter().map(|scores| scores[index]).collect();
            let skill = mean(&scores, Score::skill);
            let covered = mean(&scores, |score| score.covered / score.count);
            let [own, last, yesterday] =
                [0, 1, 2].map(|who| mean(&scores, |score| score.errors[who] / score.count));
            writeln!(
                table,
                "| {name} | {lead} | {own:.0} | {last:.0} | {yesterday:.0} | {skill:.2} | {covered:.2} |"
            )
            .unwrap();
            if skill < least[index] || (covered - 0.9).abs() > 0.06 {
                failures.push((name, lead, skill, covered));
            }
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "{failures:?}\n{table}");
}

/// From the second day to the seventh, forecasts are no worse than persistence at any lead, on
/// average over all households.
#[test]
fn a_new_household_is_forecast_as_well_as_by_persistence() {
    let lives: Vec<_> = plans().iter().map(|plan| life_of(plan, 7)).collect();
    let judged: Vec<_> = lives.iter().map(|life| judge(life, &around(), DAY)).collect();
    for index in 0..LEADS.len() {
        let scores: Vec<_> = judged.iter().map(|scores| scores[index]).collect();
        let skill = mean(&scores, Score::skill);
        println!("lead {}: skill {skill:.2}", LEADS[index]);
        assert!(skill > 0.0, "lead {}: {skill}", LEADS[index]);
    }
}
