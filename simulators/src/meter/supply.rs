//! The grid as a meter feels it: voltage and frequency, plausible and the same for all neighbours.

use std::f64::consts::TAU;

use market::time::Timestamp;

/// Nominal voltage between phase and neutral, V.
pub const NOMINAL_VOLTAGE_V: f64 = 230.0;

/// Nominal frequency, Hz.
pub const NOMINAL_FREQUENCY_HZ: f64 = 50.0;

/// Resistance from the transformer to the house, ohm: 100 m of 95 mm2 aluminium and the service
/// line.
const LINE_OHM: f64 = 0.12;

/// Grid frequency at an instant: nominal, wandering by up to 0.05 Hz over minutes, with the dip or
/// rise around full hours that scheduled trade causes in the European grid.
#[must_use]
pub fn frequency_hz(at: Timestamp) -> f64 {
    let second = at.as_millis() as f64 / 1_000.0;
    let wander = 0.013 * (second / 97.0 * TAU).sin()
        + 0.011 * (second / 411.0 * TAU + 1.0).sin()
        + 0.008 * (second / 1_733.0 * TAU + 2.0).sin();
    let around_full_hour = 0.015 * (second / 3_600.0 * TAU).sin();
    NOMINAL_FREQUENCY_HZ + wander + around_full_hour
}

/// Voltage of a phase (0..=2) while `phase_power_w` flows from it into the house: lower under load,
/// higher when the house feeds in.
#[must_use]
pub fn voltage_v(at: Timestamp, phase: u8, phase_power_w: f64) -> f64 {
    let second = at.as_millis() as f64 / 1_000.0;
    let turn = f64::from(phase) * TAU / 3.0;
    let day_swing = 1.6 * (second / 86_400.0 * TAU + turn).cos();
    let tap_wander = 0.7 * (second / 1_277.0 * TAU + turn).sin();
    let drop = LINE_OHM * phase_power_w / NOMINAL_VOLTAGE_V;
    (NOMINAL_VOLTAGE_V + 1.5 + day_swing + tap_wander - drop).clamp(207.0, 253.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voltage_and_frequency_stay_within_the_quality_limits_of_en_50160() {
        for hour in 0..2_000 {
            let at = Timestamp::from_millis(1_772_366_400_000 + hour * 1_234_567);
            assert!((49.9..50.1).contains(&frequency_hz(at)));
            for (phase, watts) in [(0, -5_000.0), (1, 0.0), (2, 5_000.0)] {
                assert!((215.0..245.0).contains(&voltage_v(at, phase, watts)));
            }
        }
    }

    #[test]
    fn load_lowers_the_voltage_and_feeding_in_raises_it() {
        let at = Timestamp::from_millis(1_772_366_400_000);
        let idle = voltage_v(at, 0, 0.0);
        assert!(voltage_v(at, 0, 3_000.0) < idle);
        assert!(voltage_v(at, 0, -3_000.0) > idle);
    }
}
