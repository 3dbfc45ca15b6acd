//! Power and energy as the simulation keeps them: integers, so that sums are exact.
//!
//! Power is in milliwatts, time in milliseconds; their product is the microjoule, and a counter of
//! microjoules is the exact integral of a power that is constant within each step.

/// Length of a simulation step in seconds. Steps start at multiples of it after 1970 (UTC), whoever
/// asks and whenever, so that a household's course does not depend on how often it is looked at.
pub const STEP_S: usize = 10;

/// Length of a simulation step in milliseconds.
pub const STEP_MS: i64 = 10_000;

/// Microjoules in a watt-hour.
pub const UJ_PER_WH: u64 = 3_600_000_000;

/// The nearest whole milliwatt. Values beyond 2 MW end at the limit, NaN becomes zero.
#[must_use]
pub fn milliwatts(watts: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, NaN gives 0")]
    let nearest = (watts * 1_000.0).round() as i32;
    nearest
}

/// Energy of a power that flows for a time, in microjoules; nothing for a negative power.
#[must_use]
pub fn microjoules(power_mw: i64, duration_ms: u64) -> u64 {
    u64::try_from(power_mw).unwrap_or(0).saturating_mul(duration_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kilowatt_for_an_hour_is_a_kilowatt_hour() {
        assert_eq!(microjoules(1_000_000, 3_600_000), 1_000 * UJ_PER_WH);
        assert_eq!(microjoules(-1, 1_000), 0);
    }

    #[test]
    fn rounding_to_milliwatts_takes_any_float() {
        assert_eq!(milliwatts(1.000_4), 1_000);
        assert_eq!(milliwatts(f64::NAN), 0);
        assert_eq!(milliwatts(f64::INFINITY), i32::MAX);
    }
}
