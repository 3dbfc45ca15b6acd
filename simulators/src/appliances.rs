//! What stands in a household and how it draws power.
//!
//! A [`Programme`] is one use of one appliance: powers, each held for a time. The figures are typical
//! of European appliances of the 2020s.

mod character;
mod routine_day;

pub use character::{Character, Routine};
pub use routine_day::load_series_mw;

use rand::Rng;

use crate::random::between;

/// One stretch of constant power within a programme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Power drawn, W.
    pub watts: f64,
    /// For how long, seconds.
    pub seconds: i64,
}

/// One use of an appliance: its stages in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Programme {
    stages: Vec<Stage>,
}

impl Programme {
    /// The stages in their order.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// How long it runs, seconds.
    #[must_use]
    pub fn length_s(&self) -> i64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }

    /// Energy of the whole programme, Wh.
    #[must_use]
    pub fn energy_wh(&self) -> f64 {
        self.stages.iter().map(|stage| stage.watts * stage.seconds as f64 / 3_600.0).sum()
    }

    fn then(mut self, watts: f64, minutes: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "minutes of a household programme")]
        let seconds = (minutes * 60.0).round() as i64;
        self.stages.push(Stage { watts, seconds });
        self
    }

    /// A thermostat: full power for the given share of each cycle.
    fn cycling(mut self, watts: f64, minutes: f64, share: f64, cycle_min: f64) -> Self {
        let mut left_min = minutes;
        while left_min > 0.0 {
            let on_min = (cycle_min * share).min(left_min);
            let off_min = (cycle_min - on_min).min(left_min - on_min).max(0.0);
            self = self.then(watts, on_min).then(0.0, off_min);
            left_min -= cycle_min;
        }
        self
    }
}

/// Water for tea or coffee.
pub fn kettle(rng: &mut impl Rng) -> Programme {
    Programme::default().then(between(rng, 1_800.0, 2_200.0), between(rng, 1.5, 4.0))
}

/// Toaster or coffee machine.
pub fn breakfast_device(rng: &mut impl Rng) -> Programme {
    Programme::default().then(between(rng, 800.0, 1_200.0), between(rng, 3.0, 8.0))
}

/// A warmed-up meal.
pub fn microwave(rng: &mut impl Rng) -> Programme {
    Programme::default().then(between(rng, 1_100.0, 1_400.0), between(rng, 3.0, 7.0))
}

/// Cooking on `plates` plates of an electric hob.
pub fn hob(rng: &mut impl Rng, plates: f64) -> Programme {
    let heating_up = between(rng, 4.0, 7.0);
    let cooking = between(rng, 14.0, 34.0);
    let share = between(rng, 0.35, 0.55);
    let watts = 1_500.0 * plates;
    Programme::default().then(watts, heating_up).cycling(watts, cooking, share, 1.5)
}

/// Baking.
pub fn oven(rng: &mut impl Rng) -> Programme {
    let minutes = between(rng, 25.0, 50.0);
    let watts = between(rng, 2_000.0, 2_600.0);
    Programme::default().then(watts, 10.0).cycling(watts, minutes, 0.3, 4.0)
}

/// A wash at 30 to 60 degrees: 0.5 to 1.1 kWh, most of it for hot water at the beginning.
pub fn washing_machine(rng: &mut impl Rng) -> Programme {
    let heating = between(rng, 10.0, 26.0);
    Programme::default()
        .then(120.0, 5.0)
        .then(2_050.0, heating)
        .cycling(220.0, between(rng, 45.0, 70.0), 0.7, 2.0)
        .then(480.0, 9.0)
}

/// A heat-pump tumble dryer: 1 to 1.5 kWh.
pub fn tumble_dryer(rng: &mut impl Rng) -> Programme {
    Programme::default().then(750.0, between(rng, 80.0, 120.0))
}

/// An eco programme: 0.8 to 1.1 kWh in two heating phases.
pub fn dishwasher(rng: &mut impl Rng) -> Programme {
    Programme::default()
        .then(70.0, 15.0)
        .then(1_950.0, between(rng, 13.0, 17.0))
        .then(80.0, between(rng, 55.0, 75.0))
        .then(1_950.0, between(rng, 10.0, 14.0))
        .then(10.0, 30.0)
}

/// Cleaning the floors.
pub fn vacuum_cleaner(rng: &mut impl Rng) -> Programme {
    Programme::default().then(between(rng, 600.0, 850.0), between(rng, 10.0, 25.0))
}

/// Something of steady power that people sit at: television, computer, games.
pub fn screen(watts: f64, hours: f64) -> Programme {
    Programme::default().then(watts, hours * 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    type Range = std::ops::RangeInclusive<f64>;

    #[test]
    fn programmes_take_the_energy_and_time_of_their_data_sheets() {
        let mut rng = stream(3, 0, Purpose::Day, 0);
        for _ in 0..200 {
            let cases: [(&str, Programme, Range, Range); 7] = [
                ("kettle", kettle(&mut rng), 40.0..=150.0, 1.0..=5.0),
                ("hob", hob(&mut rng, 1.0), 150.0..=700.0, 15.0..=45.0),
                ("oven", oven(&mut rng), 450.0..=1_300.0, 30.0..=65.0),
                ("washing", washing_machine(&mut rng), 500.0..=1_300.0, 65.0..=115.0),
                ("dryer", tumble_dryer(&mut rng), 950.0..=1_550.0, 75.0..=125.0),
                ("dishwasher", dishwasher(&mut rng), 800.0..=1_200.0, 120.0..=155.0),
                ("vacuum", vacuum_cleaner(&mut rng), 90.0..=360.0, 9.0..=26.0),
            ];
            for (name, programme, energy_wh, minutes) in cases {
                let (wh, min) = (programme.energy_wh(), programme.length_s() as f64 / 60.0);
                assert!(energy_wh.contains(&wh), "{name}: {wh} Wh");
                assert!(minutes.contains(&min), "{name}: {min} min");
            }
        }
    }
}
