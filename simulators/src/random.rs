//! Seeded randomness: one independent stream per (community, household, purpose, day).
//!
//! Every random choice of the simulation comes from a `ChaCha12` stream whose 256-bit key is
//! exactly these four numbers. So a series depends on nothing but its own key: households may be
//! simulated in any order, in one process or in many, from any instant on, and each day comes out
//! the same.

use std::f64::consts::TAU;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// What a stream is for. Streams of different purposes are independent of each other.
///
/// The numbers are part of the key: changing one changes every series made with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The mix of households in a neighbourhood.
    Neighbourhood = 1,
    /// A household's size, equipment and habits.
    Character = 2,
    /// The kind of sky of one day.
    SkyKind = 3,
    /// The course of the clouds over one day.
    Clouds = 4,
    /// What differs between two roofs under the same sky.
    RoofSky = 5,
    /// What a household does on one day.
    Day = 6,
    /// Flicker of the base load on one day.
    Flicker = 7,
    /// The meter as delivered: serial number and counters.
    Meter = 8,
}

/// The household number used for what the whole community shares, such as the weather.
pub const COMMUNITY: u32 = u32::MAX;

/// The stream for one purpose of one household on one day.
///
/// `day` is the number of days since 1970-01-01, or 0 where the purpose has no day.
#[must_use]
pub fn stream(seed: u64, household: u32, purpose: Purpose, day: i64) -> ChaCha12Rng {
    let mut key = [0_u8; 32];
    let parts = [seed, u64::from(household), purpose as u64, day.cast_unsigned()];
    for (place, part) in key.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha12Rng::from_seed(key)
}

/// A number from the standard normal distribution (Box and Muller 1958).
pub fn normal(rng: &mut impl Rng) -> f64 {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// A number from the exponential distribution with the given mean.
pub fn exponential(rng: &mut impl Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// A number from `[low, high)`, or `low` if the range is empty.
pub fn between(rng: &mut impl Rng, low: f64, high: f64) -> f64 {
    low + (high - low).max(0.0) * rng.random::<f64>()
}

/// True with the given probability; anything at or above 1 is certain.
pub fn chance(rng: &mut impl Rng, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_every_part_of_its_key_and_on_nothing_else() {
        let first =
            |seed, household, purpose, day| stream(seed, household, purpose, day).random::<u64>();
        let reference = first(7, 3, Purpose::Day, 20_000);
        assert_eq!(reference, first(7, 3, Purpose::Day, 20_000));
        for other in [
            first(8, 3, Purpose::Day, 20_000),
            first(7, 4, Purpose::Day, 20_000),
            first(7, 3, Purpose::Flicker, 20_000),
            first(7, 3, Purpose::Day, 20_001),
        ] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn the_normal_and_exponential_draws_have_their_moments() {
        let mut rng = stream(1, 0, Purpose::Character, 0);
        let count = 20_000_u32;
        let (mut sum, mut squares, mut waits) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let draw = normal(&mut rng);
            sum += draw;
            squares += draw * draw;
            waits += exponential(&mut rng, 5.0);
        }
        let count = f64::from(count);
        assert!((sum / count).abs() < 0.03);
        assert!((squares / count - 1.0).abs() < 0.05);
        assert!((waits / count - 5.0).abs() < 0.2);
    }
}
