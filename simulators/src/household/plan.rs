//! What a household consists of, before it is put into operation.

use rand::RngExt;

use crate::appliances::Routine;
use crate::battery::BatterySize;
use crate::place::Place;
use crate::random::{Purpose, between, stream};
use crate::solar::SolarPlant;

/// Charge of every battery at the start of a household's life.
pub const BATTERY_START_CHARGE: f64 = 0.35;

/// A household as planned: who lives there, what is on the roof, where the meter hangs.
#[derive(Clone, Debug)]
pub struct HouseholdPlan {
    /// Seed of the community.
    pub seed: u64,
    /// Number of the household within the community, counted from 0.
    pub household: u32,
    /// A name for the stage, such as "House 01". The market never sees it.
    pub label: String,
    /// Feeder to which the house is connected, counted from 0.
    pub feeder: u32,
    /// Where it stands.
    pub place: Place,
    /// Number of people, 1..=5.
    pub residents: u8,
    /// When they are at home.
    pub routine: Routine,
    /// Modules and inverter, if any.
    pub solar: Option<SolarPlant>,
    /// The battery, if any.
    pub battery: Option<BatterySize>,
    /// Serial number of the meter.
    pub meter_serial: u32,
}

impl HouseholdPlan {
    /// `ActiveImport` and `ActiveExport` at the start of the household's life, Wh: a meter that was
    /// put in some months ago. Low, so that the device's 32-bit floats stay exact for years.
    #[must_use]
    pub fn counters_at_start_wh(&self) -> (u64, u64) {
        let mut rng = stream(self.seed, self.household, Purpose::Meter, 0);
        let import_wh = rng.random_range(100_000..3_000_000);
        let export_wh = if self.solar.is_some() { rng.random_range(100_000..3_000_000) } else { 0 };
        (import_wh, export_wh)
    }

    /// Shares of the three phases in the house's power; they add up to 1.
    pub(super) fn phase_shares(&self) -> [f64; 3] {
        let mut rng = stream(self.seed, self.household, Purpose::Meter, 1);
        let first = between(&mut rng, 0.28, 0.45);
        let second = between(&mut rng, 0.25, 0.40);
        [first, second, 1.0 - first - second]
    }
}
