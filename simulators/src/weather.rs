//! The sky over a neighbourhood: one weather for all, reaching each roof a little earlier or later.
//!
//! A day is clear, broken or overcast. Days follow each other with some persistence (weather
//! systems last a few days) and with a season. Within a day the *clear-sky index* - sunlight
//! relative to a clear sky - is a mean-reverting (Ornstein-Uhlenbeck) process in steps of one
//! minute. Under a broken sky its mean alternates between gap and cloud, each lasting an
//! exponentially distributed time; the edges of a gap are brighter than a clear sky, because
//! clouds reflect light into it.
//!
//! A day's sky is a function of (seed, day) alone: every household, in whichever process, sees the
//! same clouds, from whatever instant on it is simulated.

use std::f64::consts::TAU;

use rand::Rng;

use crate::place::{LocalDay, Place};
use crate::random::{COMMUNITY, Purpose, between, chance, exponential, normal, stream};

/// What kind of sky a day has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkyKind {
    /// Hardly a cloud.
    Clear,
    /// Sun and clouds in turn.
    Broken,
    /// A closed layer of cloud.
    Overcast,
}

/// The sky over a neighbourhood on one local day.
#[derive(Clone, Debug)]
pub struct SkyDay {
    kind: SkyKind,
    /// Clear-sky index at each full minute of the day, and one more.
    by_minute: Vec<f64>,
    air_mean_c: f64,
    air_swing_c: f64,
    /// How much later than the neighbourhood's mean the clouds arrive, seconds.
    delay_s: f64,
}

impl SkyDay {
    /// The sky that the neighbourhood of this seed has on `day`.
    #[must_use]
    pub fn over_neighbourhood(seed: u64, place: &Place, day: &LocalDay) -> Self {
        let summer = summer_share(place, day);
        let kind = kind_of_day(seed, day.number(), summer);
        let mut rng = stream(seed, COMMUNITY, Purpose::Clouds, day.number());
        let warmth = normal(&mut rng) * 3.0;
        let minutes = usize::try_from(day.length_s() / 60).unwrap_or(0) + 1;
        Self {
            kind,
            by_minute: cloud_course(kind, minutes, &mut rng),
            air_mean_c: 1.0 + 18.0 * summer + warmth,
            air_swing_c: match kind {
                SkyKind::Clear => 6.0,
                SkyKind::Broken => 4.0,
                SkyKind::Overcast => 1.5,
            },
            delay_s: 0.0,
        }
    }

    /// The same sky as one household's roofs see it: clouds come up to two minutes earlier or
    /// later, depending on where the house stands, and shade the roofs a little differently.
    #[must_use]
    pub fn over_roof(&self, seed: u64, household: u32, day: &LocalDay) -> Self {
        let mut place_in_street = stream(seed, household, Purpose::RoofSky, 0);
        let delay_s = between(&mut place_in_street, -120.0, 120.0);
        let mut rng = stream(seed, household, Purpose::RoofSky, day.number());
        let by_minute =
            self.by_minute.iter().map(|index| index * (1.0 + 0.02 * normal(&mut rng))).collect();
        Self { by_minute, delay_s, ..self.clone() }
    }

    /// The kind of this day.
    #[must_use]
    pub fn kind(&self) -> SkyKind {
        self.kind
    }

    /// Sunlight on level ground relative to a clear sky, 0.02..=1.25, `second` seconds into the
    /// day.
    #[must_use]
    pub fn clear_sky_index(&self, second: f64) -> f64 {
        let minutes = ((second - self.delay_s) / 60.0).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and a float cast saturates"
        )]
        let before = minutes as usize;
        let last = self.by_minute.last().copied().unwrap_or(0.0);
        let from = self.by_minute.get(before).copied().unwrap_or(last);
        let to = self.by_minute.get(before + 1).copied().unwrap_or(last);
        (from + (to - from) * minutes.fract()).clamp(0.02, 1.25)
    }

    /// Air temperature in degrees Celsius: lowest before sunrise, highest in the afternoon.
    #[must_use]
    pub fn air_temperature_c(&self, second: f64) -> f64 {
        let hours_after_warmest = second / 3_600.0 - 15.0;
        self.air_mean_c + self.air_swing_c * (hours_after_warmest / 24.0 * TAU).cos()
    }
}

/// 0 in the middle of winter, 1 in the middle of summer, in either hemisphere.
fn summer_share(place: &Place, day: &LocalDay) -> f64 {
    // The warmest time of the northern year is the middle of July, day 196.
    let phase = f64::from(day.day_of_year() - 196) / 365.0 * TAU;
    0.5 + 0.5 * phase.cos() * place.latitude_deg().signum()
}

/// Days up to two before and after share a part of their weather.
const PERSISTENCE: [f64; 5] = [0.25, 0.50, 0.6124, 0.50, 0.25];

fn kind_of_day(seed: u64, day_number: i64, summer: f64) -> SkyKind {
    let weather_system: f64 = (-2..=2)
        .zip(PERSISTENCE)
        .map(|(away, weight)| {
            let mut rng = stream(seed, COMMUNITY, Purpose::SkyKind, day_number + away);
            weight * normal(&mut rng)
        })
        .sum();
    // The logistic curve is the normal distribution's to within 0.01: this is uniform on 0..1.
    let rank = 1.0 / (1.0 + (-1.702 * weather_system).exp());
    let clear_share = 0.15 + 0.15 * summer;
    let overcast_share = 0.48 - 0.24 * summer;
    if rank < clear_share {
        SkyKind::Clear
    } else if rank > 1.0 - overcast_share {
        SkyKind::Overcast
    } else {
        SkyKind::Broken
    }
}

fn cloud_course(kind: SkyKind, minutes: usize, rng: &mut impl Rng) -> Vec<f64> {
    // Per minute: how strongly the index returns to its mean, and how far chance moves it.
    let (reversion, noise) = match kind {
        SkyKind::Clear => (0.10, 0.004),
        SkyKind::Broken => (0.45, 0.035),
        SkyKind::Overcast => (0.04, 0.012),
    };
    let mut mean = MeanIndex::of_day(kind, rng);
    let mut index = mean.now();
    let mut course = Vec::with_capacity(minutes);
    for _ in 0..minutes {
        course.push(index);
        index += reversion * (mean.next(rng) - index) + noise * normal(rng);
        index = index.clamp(0.05, 1.2);
    }
    course
}

/// The value that the clear-sky index of a day tends to at each moment.
enum MeanIndex {
    /// The same all day.
    Steady(f64),
    /// In turn behind clouds and in gaps between them.
    Broken {
        behind_cloud: f64,
        in_gap: f64,
        cloud_min: f64,
        gap_min: f64,
        cloud: bool,
        left_min: f64,
    },
}

impl MeanIndex {
    fn of_day(kind: SkyKind, rng: &mut impl Rng) -> Self {
        match kind {
            SkyKind::Clear => Self::Steady(between(rng, 0.94, 1.01)),
            SkyKind::Overcast => Self::Steady(between(rng, 0.14, 0.46)),
            SkyKind::Broken => Self::Broken {
                behind_cloud: between(rng, 0.30, 0.50),
                in_gap: between(rng, 0.98, 1.08),
                cloud_min: between(rng, 4.0, 14.0),
                gap_min: between(rng, 4.0, 18.0),
                cloud: chance(rng, 0.5),
                left_min: 0.0,
            },
        }
    }

    fn now(&self) -> f64 {
        match self {
            Self::Steady(mean) => *mean,
            Self::Broken { behind_cloud, cloud: true, .. } => *behind_cloud,
            Self::Broken { in_gap, .. } => *in_gap,
        }
    }

    fn next(&mut self, rng: &mut impl Rng) -> f64 {
        if let Self::Broken { cloud_min, gap_min, cloud, left_min, .. } = self {
            *left_min -= 1.0;
            if *left_min <= 0.0 {
                *cloud = !*cloud;
                *left_min = exponential(rng, if *cloud { *cloud_min } else { *gap_min });
            }
        }
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::Timestamp;

    const DAY_MS: i64 = 86_400_000;
    const SPRING_2026_MS: i64 = 1_772_366_400_000;

    fn sky_days(seed: u64, count: i64) -> Vec<SkyDay> {
        let place = Place::new(48.14, 11.58, "Europe/Berlin").expect("a place");
        (0..count)
            .map(|day| {
                let at = Timestamp::from_millis(SPRING_2026_MS + day * DAY_MS);
                let day = place.local_day(at).expect("a day");
                SkyDay::over_neighbourhood(seed, &place, &day)
            })
            .collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    #[test]
    fn a_year_has_days_of_every_kind_in_plausible_shares() {
        for seed in [1, 2, 3] {
            let days = sky_days(seed, 365);
            for kind in [SkyKind::Clear, SkyKind::Broken, SkyKind::Overcast] {
                let share = days.iter().filter(|day| day.kind() == kind).count();
                assert!((40..=220).contains(&share), "{kind:?}: {share} of 365 days");
            }
        }
    }

    #[test]
    fn each_kind_of_day_looks_like_its_name() {
        for day in sky_days(5, 365) {
            let index = mean(day.by_minute.iter().copied());
            let wander = mean(day.by_minute.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
            match day.kind() {
                SkyKind::Clear => assert!(index > 0.9 && wander < 0.01, "{index} {wander}"),
                SkyKind::Broken => {
                    assert!((0.4..1.0).contains(&index) && wander > 0.02, "{index} {wander}");
                }
                SkyKind::Overcast => assert!(index < 0.65 && wander < 0.02, "{index} {wander}"),
            }
        }
    }

    #[test]
    fn neighbours_share_the_clouds_but_not_to_the_second() {
        let place = Place::new(48.14, 11.58, "Europe/Berlin").expect("a place");
        let day = place.local_day(Timestamp::from_millis(SPRING_2026_MS)).expect("a day");
        let shared = (0..64)
            .map(|seed| SkyDay::over_neighbourhood(seed, &place, &day))
            .find(|sky| sky.kind() == SkyKind::Broken)
            .expect("one of 64 seeds has a broken sky that day");
        let (one, other) = (shared.over_roof(9, 0, &day), shared.over_roof(9, 1, &day));
        let noon_to_one = || (43_200..46_800).step_by(60).map(f64::from);
        let apart = mean(
            noon_to_one()
                .map(|s| (one.clear_sky_index(s) - other.clear_sky_index(s)).abs())
                .collect::<Vec<_>>()
                .into_iter(),
        );
        assert!(apart > 0.001 && apart < 0.3, "{apart}");
    }

    #[test]
    fn the_same_seed_gives_the_same_sky() {
        let (first, second) = (sky_days(11, 3), sky_days(11, 3));
        for (one, other) in first.iter().zip(&second) {
            assert_eq!(one.by_minute, other.by_minute);
        }
        assert_ne!(first[0].by_minute, sky_days(12, 1)[0].by_minute);
    }
}
