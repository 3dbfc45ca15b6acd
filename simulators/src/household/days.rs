//! The local days of a household, worked out one at a time.

use market::time::Timestamp;

use super::HouseholdPlan;
use crate::appliances::{Character, load_series_mw};
use crate::error::SimulatorError;
use crate::power::STEP_MS;
use crate::weather::SkyDay;

/// Works out the day that is asked for and keeps it until another one is.
#[derive(Clone, Debug)]
pub(super) struct Days {
    plan: HouseholdPlan,
    character: Character,
    present: Option<DayRecord>,
}

/// Load and solar power of one local day, step by step.
#[derive(Clone, Debug)]
pub(super) struct DayRecord {
    start: Timestamp,
    end: Timestamp,
    load_mw: Vec<i32>,
    solar_mw: Vec<i32>,
}

impl Days {
    pub(super) fn of(plan: &HouseholdPlan) -> Self {
        let character = Character::draw(plan.seed, plan.household, plan.residents, plan.routine);
        Self { plan: plan.clone(), character, present: None }
    }

    pub(super) fn character(&self) -> &Character {
        &self.character
    }

    /// The day that contains `at`.
    pub(super) fn at(&mut self, at: Timestamp) -> Result<&DayRecord, SimulatorError> {
        let kept = self.present.take().filter(|day| day.start <= at && at < day.end);
        let day = match kept {
            Some(day) => day,
            None => self.work_out(at)?,
        };
        Ok(self.present.insert(day))
    }

    fn work_out(&self, at: Timestamp) -> Result<DayRecord, SimulatorError> {
        let HouseholdPlan { seed, household, place, solar, .. } = &self.plan;
        let day = place.local_day(at)?;
        let solar_mw = solar.as_ref().map_or_else(Vec::new, |plant| {
            let sky = SkyDay::over_neighbourhood(*seed, place, &day);
            plant.day_series_mw(place, &day, &sky.over_roof(*seed, *household, &day))
        });
        Ok(DayRecord {
            start: day.start(),
            end: day.end(),
            load_mw: load_series_mw(*seed, *household, &self.character, place, &day)?,
            solar_mw,
        })
    }
}

impl DayRecord {
    pub(super) fn load_mw(&self, at: Timestamp) -> i64 {
        self.step_of(&self.load_mw, at)
    }

    pub(super) fn solar_mw(&self, at: Timestamp) -> i64 {
        self.step_of(&self.solar_mw, at)
    }

    fn step_of(&self, series: &[i32], at: Timestamp) -> i64 {
        let step = at.millis_since(self.start).div_euclid(STEP_MS);
        let value = usize::try_from(step).ok().and_then(|step| series.get(step));
        value.copied().map_or(0, i64::from).max(0)
    }
}
