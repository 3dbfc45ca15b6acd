//! A home battery and its controller.
//!
//! Law, exact in integers: charged x efficiency - discharged = change of the stored energy. The
//! whole round-trip loss is taken while charging; it makes no difference seen from outside.

use crate::error::SimulatorError;

/// A battery as bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatterySize {
    /// Usable capacity, Wh.
    pub capacity_wh: u32,
    /// Most that it takes or gives, W.
    pub power_limit_w: u32,
    /// Energy that comes out again of what is put in, in thousandths (1..=1000).
    pub round_trip_permille: u16,
}

/// A battery in operation: it stores surplus and covers load, and never trades with the grid.
#[derive(Clone, Debug)]
pub struct Battery {
    capacity_nj: u64,
    limit_mw: i64,
    round_trip_permille: u64,
    /// Stored energy in nanojoule: thousandths of the microjoules that power and time multiply to,
    /// so that an efficiency in thousandths leaves no remainder.
    stored_nj: u64,
}

const NJ_PER_UJ: u64 = 1_000;
const NJ_PER_WH: u64 = 3_600_000_000_000;

impl Battery {
    /// A battery of the given size, charged to `state_of_charge` (0..=1).
    ///
    /// # Errors
    ///
    /// [`SimulatorError::ImpossibleBattery`] if it has no capacity, no power, or an efficiency that
    /// is zero or above one.
    pub fn new(size: BatterySize, state_of_charge: f64) -> Result<Self, SimulatorError> {
        let impossible = |what| Err(SimulatorError::ImpossibleBattery { what });
        if size.capacity_wh == 0 {
            return impossible("no capacity");
        }
        if size.power_limit_w == 0 {
            return impossible("no power");
        }
        if !(1..=1_000).contains(&size.round_trip_permille) {
            return impossible("an efficiency of nothing or of more than one");
        }
        let capacity_nj = u64::from(size.capacity_wh) * NJ_PER_WH;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between zero and the capacity; a float cast saturates"
        )]
        let stored_nj = (capacity_nj as f64 * state_of_charge.clamp(0.0, 1.0)) as u64;
        Ok(Self {
            capacity_nj,
            limit_mw: i64::from(size.power_limit_w) * 1_000,
            round_trip_permille: u64::from(size.round_trip_permille),
            stored_nj: stored_nj.min(capacity_nj),
        })
    }

    /// The power that the controller sets for the next `duration_ms`, in mW: positive = charging.
    ///
    /// A surplus (positive, mW) charges, a deficit (negative) is covered; neither beyond the power
    /// limit, nor beyond what fits in or is left.
    #[must_use]
    pub fn set_power_mw(&self, surplus_mw: i64, duration_ms: u64) -> i64 {
        let duration_ms = duration_ms.max(1);
        let wanted_mw = surplus_mw.clamp(-self.limit_mw, self.limit_mw);
        let most_mw = if wanted_mw >= 0 {
            let room_nj = self.capacity_nj - self.stored_nj;
            room_nj / (duration_ms * self.round_trip_permille)
        } else {
            self.stored_nj / (duration_ms * NJ_PER_UJ)
        };
        let most_mw = i64::try_from(most_mw).unwrap_or(i64::MAX);
        wanted_mw.clamp(-most_mw, most_mw)
    }

    /// Charges (positive) or discharges (negative, both mW) for `duration_ms`, within what
    /// [`set_power_mw`](Self::set_power_mw) allowed for at least that long.
    pub fn run(&mut self, power_mw: i64, duration_ms: u64) {
        let moved_uj = power_mw.unsigned_abs().saturating_mul(duration_ms);
        let stored_nj = if power_mw >= 0 {
            self.stored_nj.saturating_add(moved_uj.saturating_mul(self.round_trip_permille))
        } else {
            self.stored_nj.saturating_sub(moved_uj.saturating_mul(NJ_PER_UJ))
        };
        self.stored_nj = stored_nj.min(self.capacity_nj);
    }

    /// Stored energy in nanojoule.
    #[must_use]
    pub fn stored_nj(&self) -> u64 {
        self.stored_nj
    }

    /// Stored energy as a share of the capacity, 0..=1.
    #[must_use]
    pub fn state_of_charge(&self) -> f64 {
        self.stored_nj as f64 / self.capacity_nj as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: BatterySize =
        BatterySize { capacity_wh: 6_000, power_limit_w: 3_000, round_trip_permille: 900 };

    proptest! {
        #[test]
        fn stored_energy_changes_by_charge_times_efficiency_minus_discharge(
            start in 0.0..=1.0_f64,
            efficiency in 1_u16..=1_000,
            course in prop::collection::vec((-8_000_000_i64..8_000_000, 1_u64..3_600_000), 1..60),
        ) {
            let size = BatterySize { round_trip_permille: efficiency, ..SIZE };
            let mut battery = Battery::new(size, start).expect("a battery");
            let before = i128::from(battery.stored_nj());
            let (mut charged_uj, mut discharged_uj) = (0_i128, 0_i128);
            for (surplus_mw, duration_ms) in course {
                let power_mw = battery.set_power_mw(surplus_mw, duration_ms);
                // It helps, never harms: never against the surplus, never beyond it or its limit.
                prop_assert!(power_mw == 0 || power_mw.signum() == surplus_mw.signum());
                prop_assert!(power_mw.abs() <= surplus_mw.abs().min(3_000_000));
                battery.run(power_mw, duration_ms);
                let moved_uj = i128::from(power_mw) * i128::from(duration_ms);
                charged_uj += moved_uj.max(0);
                discharged_uj += (-moved_uj).max(0);
                prop_assert!((0.0..=1.0).contains(&battery.state_of_charge()));
            }
            let change_nj = i128::from(battery.stored_nj()) - before;
            prop_assert_eq!(charged_uj * i128::from(efficiency) - discharged_uj * 1_000, change_nj);
        }
    }

    #[test]
    fn a_full_battery_takes_nothing_and_an_empty_one_gives_nothing() {
        let full = Battery::new(SIZE, 1.0).expect("a battery");
        assert_eq!(full.set_power_mw(2_000_000, 10_000), 0);
        assert_eq!(full.set_power_mw(-2_000_000, 10_000), -2_000_000);
        let empty = Battery::new(SIZE, 0.0).expect("a battery");
        assert_eq!(empty.set_power_mw(-2_000_000, 10_000), 0);
        assert_eq!(empty.set_power_mw(9_000_000, 10_000), 3_000_000);
    }

    #[test]
    fn impossible_batteries_are_refused() {
        for size in [
            BatterySize { capacity_wh: 0, ..SIZE },
            BatterySize { power_limit_w: 0, ..SIZE },
            BatterySize { round_trip_permille: 0, ..SIZE },
            BatterySize { round_trip_permille: 1_001, ..SIZE },
        ] {
            assert!(matches!(
                Battery::new(size, 0.5),
                Err(SimulatorError::ImpossibleBattery { .. })
            ));
        }
    }
}
