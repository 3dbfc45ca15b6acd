//! A household in operation: loads, roofs, battery and meter, carried forward in market time.

mod days;
mod neighbourhood;
mod plan;

pub use neighbourhood::neighbourhood;
pub use plan::{BATTERY_START_CHARGE, HouseholdPlan};

use market::time::Timestamp;

use self::days::Days;
use crate::appliances::Character;
use crate::battery::Battery;
use crate::error::SimulatorError;
use crate::meter::{Meter, MeterReadout, frequency_hz, voltage_v};
use crate::power::{STEP_MS, microjoules};

/// Longest time that a household lives through in one call, in days.
pub const LEAP_LIMIT_DAYS: i64 = 400;

/// Power inside a household at an instant, in mW. For the stage; no meter shows it.
///
/// Law: `solar + grid = load + battery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// Fed by the inverter, never negative.
    pub solar_mw: i64,
    /// Drawn by the appliances, never negative.
    pub load_mw: i64,
    /// Into the battery; negative = out of it.
    pub battery_mw: i64,
    /// From the grid; negative = into it.
    pub grid_mw: i64,
}

/// Energy since the household's start, in microjoules. For the stage; no meter shows it.
///
/// Law: `solar + discharged + import = load + charged + export`, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnergyTotals {
    /// Fed by the inverter.
    pub solar_uj: u64,
    /// Drawn by the appliances.
    pub load_uj: u64,
    /// Put into the battery.
    pub charged_uj: u64,
    /// Taken out of the battery.
    pub discharged_uj: u64,
    /// Drawn from the grid.
    pub import_uj: u64,
    /// Fed into the grid.
    pub export_uj: u64,
}

/// A household in operation.
///
/// Its power changes only at the instants of a fixed grid ([`STEP_MS`]), so its counters at an
/// instant do not depend on when it was looked at before.
#[derive(Clone, Debug)]
pub struct Household {
    days: Days,
    phase_shares: [f64; 3],
    battery: Option<Battery>,
    meter: Meter,
    totals: EnergyTotals,
    flows: Flows,
    now: Timestamp,
    step_end: Timestamp,
}

impl Household {
    /// A household that begins its life at `start`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::ImpossibleBattery`] if the plan's battery is impossible,
    /// [`SimulatorError::OutsideCalendar`] if `start` has no civil date.
    pub fn new(plan: &HouseholdPlan, start: Timestamp) -> Result<Self, SimulatorError> {
        let battery =
            plan.battery.map(|size| Battery::new(size, BATTERY_START_CHARGE)).transpose()?;
        let (import_wh, export_wh) = plan.counters_at_start_wh();
        let mut household = Self {
            days: Days::of(plan),
            phase_shares: plan.phase_shares(),
            battery,
            meter: Meter::new(plan.meter_serial, import_wh, export_wh),
            totals: EnergyTotals::default(),
            flows: Flows::default(),
            now: start,
            step_end: start,
        };
        household.begin_step()?;
        Ok(household)
    }

    /// Lives on until `to`. An instant that has passed already changes nothing: counters never
    /// fall.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::LeapTooLong`] beyond [`LEAP_LIMIT_DAYS`], and
    /// [`SimulatorError::OutsideCalendar`] if an instant has no civil date. The household then
    /// stands where it got to.
    pub fn advance(&mut self, to: Timestamp) -> Result<(), SimulatorError> {
        if to.millis_since(self.now) > LEAP_LIMIT_DAYS * 86_400_000 {
            return Err(SimulatorError::LeapTooLong {
                from: self.now,
                to,
                limit_days: LEAP_LIMIT_DAYS,
            });
        }
        while self.now < to {
            if self.now >= self.step_end {
                self.begin_step()?;
            }
            let until = to.min(self.step_end);
            self.flow_until(until);
        }
        if self.now >= self.step_end {
            self.begin_step()?;
        }
        Ok(())
    }

    /// Sets the power of the step that begins now.
    fn begin_step(&mut self) -> Result<(), SimulatorError> {
        let into_step_ms = self.now.as_millis().rem_euclid(STEP_MS);
        let step_end = self.now.plus_millis(STEP_MS - into_step_ms);
        let day = self.days.at(self.now)?;
        let (solar_mw, load_mw) = (day.solar_mw(self.now), day.load_mw(self.now));
        let surplus_mw = solar_mw - load_mw;
        let battery_mw = self
            .battery
            .as_ref()
            .map_or(0, |battery| battery.set_power_mw(surplus_mw, millis(self.now, step_end)));
        self.flows = Flows { solar_mw, load_mw, battery_mw, grid_mw: battery_mw - surplus_mw };
        self.step_end = step_end;
        Ok(())
    }

    /// Lets the present power flow until an instant of the present step.
    fn flow_until(&mut self, until: Timestamp) {
        let duration_ms = millis(self.now, until);
        let Flows { solar_mw, load_mw, battery_mw, grid_mw } = self.flows;
        self.meter.count(grid_mw, duration_ms);
        if let Some(battery) = &mut self.battery {
            battery.run(battery_mw, duration_ms);
        }
        let totals = &mut self.totals;
        totals.solar_uj += microjoules(solar_mw, duration_ms);
        totals.load_uj += microjoules(load_mw, duration_ms);
        totals.charged_uj += microjoules(battery_mw, duration_ms);
        totals.discharged_uj += microjoules(-battery_mw, duration_ms);
        totals.import_uj += microjoules(grid_mw, duration_ms);
        totals.export_uj += microjoules(-grid_mw, duration_ms);
        self.now = until;
    }

    /// Where the household stands in time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The power that flows now, for the stage.
    #[must_use]
    pub fn flows(&self) -> Flows {
        self.flows
    }

    /// The energy that has flowed since the start, for the stage.
    #[must_use]
    pub fn totals(&self) -> EnergyTotals {
        self.totals
    }

    /// The battery's charge as a share of its capacity, 0..=1, if there is one; for the stage.
    #[must_use]
    pub fn state_of_charge(&self) -> Option<f64> {
        self.battery.as_ref().map(Battery::state_of_charge)
    }

    /// The battery's stored energy in nanojoule, if there is one; for the stage.
    #[must_use]
    pub fn stored_nj(&self) -> Option<u64> {
        self.battery.as_ref().map(Battery::stored_nj)
    }

    /// The habits of the people who live here, for the stage.
    #[must_use]
    pub fn character(&self) -> &Character {
        self.days.character()
    }

    /// What the meter shows now.
    #[must_use]
    pub fn readout(&self) -> MeterReadout {
        let phase_power_mw = self.split_to_phases(self.flows.grid_mw);
        let mut voltages = [0.0; 3];
        for (phase, (voltage, power_mw)) in (0_u8..).zip(voltages.iter_mut().zip(phase_power_mw)) {
            *voltage = voltage_v(self.now, phase, power_mw as f64 / 1_000.0);
        }
        MeterReadout {
            serial: self.meter.serial(),
            power_mw: self.flows.grid_mw,
            phase_power_mw,
            voltage_v: voltages,
            frequency_hz: frequency_hz(self.now),
            import_uj: self.meter.import_uj(),
            export_uj: self.meter.export_uj(),
        }
    }

    /// Divides a power among the phases; the parts add up to it exactly.
    fn split_to_phases(&self, power_mw: i64) -> [i64; 3] {
        let part = |share: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a share of an existing power")]
            let part_mw = (power_mw as f64 * share).round() as i64;
            part_mw
        };
        let [first, second, _] = self.phase_shares;
        let (first, second) = (part(first), part(second));
        [first, second, power_mw - first - second]
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.millis_since(from)).unwrap_or(0)
}
