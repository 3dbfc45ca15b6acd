//! A household's habits and equipment, drawn once from its seed.

use crate::random::{Purpose, between, chance, normal, stream};

/// When the people of a household are at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Routine {
    /// Somebody is at home on most days: retired, or working from home. Cooks at noon.
    AtHome,
    /// Everybody is out on weekdays: little load by day, a high evening peak.
    DayOut,
    /// Out in the morning, home from early afternoon: school children, part-time work.
    HalfDay,
}

/// Habits and equipment of one household.
#[derive(Clone, Debug, PartialEq)]
pub struct Character {
    /// Number of people, 1..=5.
    pub residents: u8,
    /// When they are at home.
    pub routine: Routine,
    /// How freely they use electricity: 1 is the average, 0.85..=1.2.
    pub appetite: f64,
    /// Router, clocks, standby, circulation pump, ventilation: always on, W.
    pub standby_w: f64,
    /// Fridge and freezer while the compressors run, W.
    pub fridge_w: f64,
    /// One compressor cycle, seconds.
    pub fridge_cycle_s: i64,
    /// Share of the cycle in which the compressor runs.
    pub fridge_share: f64,
    /// Offset of this household's cycle, seconds.
    pub fridge_phase_s: i64,
    /// They get up on weekdays at, seconds after midnight.
    pub wake_s: f64,
    /// They go to bed at, seconds after midnight.
    pub bed_s: f64,
    /// They own a tumble dryer.
    pub has_dryer: bool,
    /// They own a dishwasher.
    pub has_dishwasher: bool,
    /// Power of television and set-top box, W.
    pub television_w: f64,
    /// Power of all lamps usually lit at once, W.
    pub lamps_w: f64,
}

impl Character {
    /// The household number `household` of the community of this seed.
    ///
    /// `residents` beyond 1..=5 counts as the nearest of these.
    #[must_use]
    pub fn draw(seed: u64, household: u32, residents: u8, routine: Routine) -> Self {
        let mut rng = stream(seed, household, Purpose::Character, 0);
        let rng = &mut rng;
        let residents = residents.clamp(1, 5);
        let people = f64::from(residents);
        let wake_hour = match routine {
            Routine::AtHome => between(rng, 6.8, 8.2),
            Routine::DayOut | Routine::HalfDay => between(rng, 5.9, 7.0),
        };
        let fridge_cycle_s = between(rng, 35.0, 65.0) * 60.0;
        #[expect(clippy::cast_possible_truncation, reason = "a cycle of about an hour")]
        let (fridge_cycle_s, fridge_phase_s) =
            (fridge_cycle_s as i64, between(rng, 0.0, fridge_cycle_s) as i64);
        Self {
            residents,
            routine,
            appetite: (1.0 + 0.07 * normal(rng)).clamp(0.85, 1.2),
            standby_w: between(rng, 42.0, 62.0) + 16.0 * people,
            fridge_w: between(rng, 75.0, 110.0) + if people > 2.0 { 60.0 } else { 0.0 },
            fridge_cycle_s,
            fridge_share: between(rng, 0.28, 0.40),
            fridge_phase_s,
            wake_s: wake_hour * 3_600.0,
            bed_s: between(rng, 22.2, 23.6) * 3_600.0,
            has_dryer: chance(rng, 0.15 + 0.12 * people),
            has_dishwasher: chance(rng, 0.45 + 0.2 * people),
            television_w: between(rng, 70.0, 140.0),
            lamps_w: between(rng, 30.0, 60.0) + 18.0 * people,
        }
    }

    /// Power of standby and, in its turn, the fridge, `second` seconds after 1970, W.
    #[must_use]
    pub fn base_w(&self, second: i64) -> f64 {
        let into_cycle = (second + self.fridge_phase_s).rem_euclid(self.fridge_cycle_s.max(1));
        let running = into_cycle as f64 / self.fridge_cycle_s as f64 <= self.fridge_share;
        self.standby_w * self.appetite + if running { self.fridge_w } else { 0.0 }
    }

    /// How likely somebody is at home during the day.
    #[must_use]
    pub fn home_by_day(&self, weekend: bool) -> f64 {
        match (self.routine, weekend) {
            (Routine::AtHome, _) => 0.9,
            (_, true) => 0.75,
            (Routine::HalfDay, false) => 0.25,
            (Routine::DayOut, false) => 0.08,
        }
    }
}
