//! The meter at a household's grid connection.
//!
//! It sees nothing but the power that flows between house and grid, and integrates it into two
//! counters that never fall. Power is constant within a simulation step and counted in mW x ms =
//! microjoule, so the counters are its exact integral, without rounding, however often the meter is
//! read. The three phases are netted before they are counted (as billing meters in the German-
//! speaking countries do): at every moment at most one counter moves.

mod supply;
mod words;

pub use supply::{NOMINAL_FREQUENCY_HZ, NOMINAL_VOLTAGE_V, frequency_hz, voltage_v};
pub use words::{MAX_WORDS, WordsError, holding_words, input_words};

use crate::power::{UJ_PER_WH, microjoules};

/// The counters of a meter, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    serial: u32,
    import_uj: u64,
    export_uj: u64,
}

impl Meter {
    /// A meter whose counters show so many watt-hours when it is put in.
    #[must_use]
    pub fn new(serial: u32, import_wh: u64, export_wh: u64) -> Self {
        Self {
            serial,
            import_uj: import_wh.saturating_mul(UJ_PER_WH),
            export_uj: export_wh.saturating_mul(UJ_PER_WH),
        }
    }

    /// Counts a constant power (mW, positive = import) that flowed for `duration_ms`.
    pub fn count(&mut self, power_mw: i64, duration_ms: u64) {
        let imported_uj = microjoules(power_mw, duration_ms);
        let exported_uj = microjoules(power_mw.saturating_neg(), duration_ms);
        self.import_uj = self.import_uj.saturating_add(imported_uj);
        self.export_uj = self.export_uj.saturating_add(exported_uj);
    }

    /// Serial number, as on the name plate.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// `ActiveImport` in microjoules.
    #[must_use]
    pub fn import_uj(&self) -> u64 {
        self.import_uj
    }

    /// `ActiveExport` in microjoules.
    #[must_use]
    pub fn export_uj(&self) -> u64 {
        self.export_uj
    }
}

/// What the meter shows at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterReadout {
    /// Serial number.
    pub serial: u32,
    /// Net power in mW, positive = import.
    pub power_mw: i64,
    /// Power of each phase in mW; their sum is `power_mw`.
    pub phase_power_mw: [i64; 3],
    /// Voltage of each phase against neutral, V.
    pub voltage_v: [f64; 3],
    /// Grid frequency, Hz.
    pub frequency_hz: f64,
    /// `ActiveImport` in microjoules.
    pub import_uj: u64,
    /// `ActiveExport` in microjoules.
    pub export_uj: u64,
}

impl MeterReadout {
    /// `ActiveImport` in whole watt-hours, as the device shows it (rounded down).
    #[must_use]
    pub fn import_wh(&self) -> u64 {
        self.import_uj / UJ_PER_WH
    }

    /// `ActiveExport` in whole watt-hours, as the device shows it (rounded down).
    #[must_use]
    pub fn export_wh(&self) -> u64 {
        self.export_uj / UJ_PER_WH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counters_are_the_exact_integral_of_power(
            course in prop::collection::vec((-20_000_000_i64..20_000_000, 0_u64..900_000), 0..80),
        ) {
            let mut meter = Meter::new(1, 250_000, 1_000);
            let (import_before, export_before) = (meter.import_uj(), meter.export_uj());
            let mut integral = 0_i128;
            for (power_mw, duration_ms) in course {
                let before = meter.clone();
                meter.count(power_mw, duration_ms);
                integral += i128::from(power_mw) * i128::from(duration_ms);
                prop_assert!(meter.import_uj() >= before.import_uj());
                prop_assert!(meter.export_uj() >= before.export_uj());
                prop_assert!(
                    meter.import_uj() == before.import_uj()
                        || meter.export_uj() == before.export_uj()
                );
            }
            let imported = i128::from(meter.import_uj() - import_before);
            let exported = i128::from(meter.export_uj() - export_before);
            prop_assert_eq!(imported - exported, integral);
        }
    }
}
