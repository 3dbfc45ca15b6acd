//! What a household does on one day, as a series of power.

use market::time::Timestamp;
use rand::Rng;

use super::character::{Character, Routine};
use super::{
    Programme, breakfast_device, dishwasher, hob, kettle, microwave, oven, screen, tumble_dryer,
    vacuum_cleaner, washing_machine,
};
use crate::error::SimulatorError;
use crate::place::{LocalDay, Place};
use crate::power::{STEP_S, milliwatts};
use crate::random::{Purpose, between, chance, normal, stream};
use crate::solar::{Daylight, daylight};

const HOUR_S: f64 = 3_600.0;

/// Load of a household over one local day, in mW, one value per simulation step.
///
/// Programmes that began on the day before and run past midnight are part of it.
///
/// # Errors
///
/// [`SimulatorError::OutsideCalendar`] at the beginning of the calendar.
pub fn load_series_mw(
    seed: u64,
    household: u32,
    character: &Character,
    place: &Place,
    day: &LocalDay,
) -> Result<Vec<i32>, SimulatorError> {
    let mut series = base_load_w(seed, household, character, day);
    let yesterday = place.day_before(day)?;
    for (of_day, shift_s) in [(&yesterday, -yesterday.length_s()), (day, 0)] {
        let mut diary = Diary::new(character, of_day);
        diary.fill(&mut stream(seed, household, Purpose::Day, of_day.number()));
        diary.light_lamps(place);
        for use_of in diary.uses {
            paint(&mut series, use_of.start_s + shift_s, &use_of.programme);
        }
    }
    Ok(series.into_iter().map(milliwatts).collect())
}

fn base_load_w(seed: u64, household: u32, character: &Character, day: &LocalDay) -> Vec<f64> {
    let mut rng = stream(seed, household, Purpose::Flicker, day.number());
    let first_second = day.start().as_millis() / 1_000;
    let mut flicker = 0.0;
    (0..day.length_s())
        .step_by(STEP_S)
        .map(|second| {
            if second % 60 == 0 {
                flicker += -0.1 * flicker + 0.02 * normal(&mut rng);
            }
            character.base_w(first_second + second) * (1.0 + flicker)
        })
        .collect()
}

/// Adds a programme's power to the steps in which it runs; a step belongs to the stage at its
/// start.
fn paint(series: &mut [f64], start_s: i64, programme: &Programme) {
    let step_s = i64::try_from(STEP_S).unwrap_or(1);
    let first_step_at = |second: i64| {
        usize::try_from(second.max(0).saturating_add(step_s - 1) / step_s).unwrap_or(usize::MAX)
    };
    let mut from_s = start_s;
    for stage in programme.stages() {
        let to_s = from_s + stage.seconds;
        let steps = first_step_at(from_s)..first_step_at(to_s).min(series.len());
        for power in series.get_mut(steps).unwrap_or_default() {
            *power += stage.watts;
        }
        from_s = to_s;
    }
}

struct Use {
    start_s: i64,
    programme: Programme,
}

/// The uses of one day, while they are being written down.
struct Diary<'a> {
    character: &'a Character,
    day: &'a LocalDay,
    wake_s: f64,
    leave_s: f64,
    return_s: f64,
    bed_s: f64,
    /// Somebody is at home through the day.
    at_home: bool,
    uses: Vec<Use>,
}

impl<'a> Diary<'a> {
    fn new(character: &'a Character, day: &'a LocalDay) -> Self {
        let lie_in_s = if day.is_weekend() { 1.3 * HOUR_S } else { 0.0 };
        let wake_s = character.wake_s + lie_in_s;
        Self {
            character,
            day,
            wake_s,
            leave_s: wake_s + 1.2 * HOUR_S,
            return_s: 17.0 * HOUR_S,
            bed_s: character.bed_s,
            at_home: false,
            uses: Vec::new(),
        }
    }

    fn fill(&mut self, rng: &mut impl Rng) {
        self.wake_s += 600.0 * normal(rng);
        self.bed_s += 900.0 * normal(rng);
        self.leave_s = self.wake_s + between(rng, 0.8, 1.5) * HOUR_S;
        self.at_home = chance(rng, self.character.home_by_day(self.day.is_weekend()));
        let home_again_hour = match self.character.routine {
            Routine::HalfDay => between(rng, 13.0, 14.5),
            Routine::AtHome | Routine::DayOut => between(rng, 16.6, 18.2),
        };
        self.return_s = home_again_hour * HOUR_S;
        self.breakfast(rng);
        self.noon(rng);
        self.dinner(rng);
        self.housework(rng);
        self.pastimes(rng);
    }

    fn people(&self) -> f64 {
        f64::from(self.character.residents)
    }

    /// Probability of something that an average household does so often, for this one.
    fn often(&self, probability: f64) -> f64 {
        probability * self.character.appetite
    }

    fn note(&mut self, wall_s: f64, programme: Programme) {
        self.uses.push(Use { start_s: self.elapsed_s(wall_s), programme });
    }

    fn elapsed_s(&self, wall_s: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a moment of a day")]
        let wall_s = wall_s as i64;
        self.day.elapsed_s(wall_s)
    }

    fn breakfast(&mut self, rng: &mut impl Rng) {
        for _ in 0..self.character.residents.div_ceil(2) {
            let at_s = self.wake_s + between(rng, 300.0, 2_700.0);
            if chance(rng, self.often(0.9)) {
                self.note(at_s, kettle(rng));
            }
            if chance(rng, self.often(0.6)) {
                self.note(at_s + 120.0, breakfast_device(rng));
            }
        }
    }

    fn noon(&mut self, rng: &mut impl Rng) {
        let home = self.at_home || self.return_s < 15.0 * HOUR_S;
        if !home {
            return;
        }
        let at_s =
            if self.at_home { between(rng, 11.4, 12.7) * HOUR_S } else { self.return_s + 900.0 };
        if chance(rng, self.often(0.7)) {
            self.note(at_s, hob(rng, self.plates()));
        } else {
            self.note(at_s, microwave(rng));
        }
        for _ in 0..self.character.residents {
            if chance(rng, self.often(0.6)) {
                self.note(between(rng, 9.0, 17.0) * HOUR_S, kettle(rng));
            }
        }
    }

    fn dinner(&mut self, rng: &mut impl Rng) {
        let at_s = (self.return_s + 1_200.0).max(between(rng, 17.6, 19.3) * HOUR_S);
        if chance(rng, self.often(0.85)) {
            self.note(at_s, hob(rng, self.plates()));
        }
        if chance(rng, self.often(0.16 + 0.07 * self.people())) {
            self.note(at_s + between(rng, -600.0, 600.0), oven(rng));
        }
        if chance(rng, self.often(0.7)) {
            self.note(at_s + between(rng, 1_800.0, 7_200.0), kettle(rng));
        }
    }

    /// Plates in use at once: larger households cook in larger pots.
    fn plates(&self) -> f64 {
        0.9 + 0.22 * self.people()
    }

    fn housework(&mut self, rng: &mut impl Rng) {
        let weekend = self.day.is_weekend();
        let by_day = self.at_home || weekend;
        let washes_a_day = (1.1 + 0.75 * self.people()) / 7.0 * if weekend { 1.4 } else { 0.85 };
        if chance(rng, self.often(washes_a_day)) {
            let hour = if by_day { between(rng, 8.5, 14.5) } else { between(rng, 17.8, 19.8) };
            let wash = washing_machine(rng);
            let done_s = hour * HOUR_S + wash.length_s() as f64;
            self.note(hour * HOUR_S, wash);
            if self.character.has_dryer && chance(rng, 0.6) {
                self.note(done_s + between(rng, 300.0, 2_400.0), tumble_dryer(rng));
            }
        }
        let dishes_a_day = self.often(0.15 + 0.17 * self.people());
        if self.character.has_dishwasher && chance(rng, dishes_a_day) {
            let after_lunch = by_day && chance(rng, 0.35);
            let hour =
                if after_lunch { between(rng, 13.0, 15.0) } else { between(rng, 19.2, 21.8) };
            self.note(hour * HOUR_S, dishwasher(rng));
        }
        if chance(rng, self.often(if weekend { 0.4 } else { 0.18 })) {
            let hour = if by_day { between(rng, 9.5, 16.0) } else { between(rng, 17.5, 19.0) };
            self.note(hour * HOUR_S, vacuum_cleaner(rng));
        }
    }

    fn pastimes(&mut self, rng: &mut impl Rng) {
        let evening_h = ((self.bed_s - 18.8 * HOUR_S) / HOUR_S).max(1.0);
        let watching_h = between(rng, 0.5, 1.0) * evening_h;
        let television = screen(self.character.television_w, watching_h);
        self.note(self.bed_s - watching_h * HOUR_S, television);
        if self.at_home && chance(rng, self.often(0.75)) {
            let watts = between(rng, 60.0, 130.0);
            let start_s = between(rng, 8.5, 10.5) * HOUR_S;
            self.note(start_s, screen(watts, between(rng, 3.0, 7.0)));
        }
        for _ in 0..self.character.residents {
            if chance(rng, self.often(0.65)) {
                let start_s = self.return_s + between(rng, 0.0, 3.0) * HOUR_S;
                let watts = between(rng, 50.0, 160.0);
                self.note(start_s, screen(watts, between(rng, 1.0, 3.5)));
            }
        }
    }

    /// Lamps burn while people are up, at home and it is dark outside.
    fn light_lamps(&mut self, place: &Place) {
        let noon_s = self.day.elapsed_s(43_200);
        let noon = self.day.start().plus_millis(noon_s * 1_000);
        let into_day = |at: Timestamp| at.millis_since(self.day.start()) / 1_000;
        let (light_from_s, light_to_s) = match daylight(place, noon) {
            Daylight::PolarNight => (i64::MAX, i64::MIN),
            Daylight::PolarDay => (i64::MIN, i64::MAX),
            Daylight::Between { sunrise, sunset } => (into_day(sunrise), into_day(sunset)),
        };
        let wake_s = self.elapsed_s(self.wake_s);
        let bed_s = self.elapsed_s(self.bed_s);
        let (out_from_s, back_s) = if self.at_home {
            (bed_s, wake_s)
        } else {
            (self.elapsed_s(self.leave_s), self.elapsed_s(self.return_s))
        };
        let morning_end_s = out_from_s.min(light_from_s).min(bed_s);
        let evening_start_s = light_to_s.max(back_s).max(morning_end_s);
        for (start_s, end_s) in [(wake_s, morning_end_s), (evening_start_s, bed_s)] {
            if end_s > start_s {
                let hours = (end_s - start_s) as f64 / HOUR_S;
                let programme = screen(self.character.lamps_w, hours);
                self.uses.push(Use { start_s, programme });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painting_adds_each_stage_once_and_stays_inside_the_day() {
        let programme = Programme::default().then(100.0, 1.0).then(50.0, 0.5);
        let mut series = vec![0.0; 12];
        paint(&mut series, 20, &programme);
        let expected = [0., 0., 100., 100., 100., 100., 100., 100., 50., 50., 50., 0.];
        assert_eq!(series, expected);
        let mut series = vec![0.0; 4];
        paint(&mut series, -60, &programme);
        assert_eq!(series, [50.0, 50.0, 50.0, 0.0]);
        paint(&mut series, 30, &programme);
        assert_eq!(series, [50.0, 50.0, 50.0, 100.0]);
        paint(&mut series, 4_000, &programme);
        assert_eq!(series, [50.0, 50.0, 50.0, 100.0]);
    }
}
