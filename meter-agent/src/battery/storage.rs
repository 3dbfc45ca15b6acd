//! What a battery can hold, and how its charge changes: exact, in integers.

/// A battery, and how much of it its owner lets the agent use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatterySize {
    /// Usable capacity, in Wh.
    pub capacity_wh: u32,
    /// Kept for the owner: a plan never discharges below this, in Wh.
    pub reserve_wh: u32,
    /// The most power that goes in, in W.
    pub charge_max_w: u32,
    /// The most power that comes out, in W.
    pub discharge_max_w: u32,
    /// What comes out again of what goes in, in thousandths; 1..=1000.
    pub round_trip_permille: u16,
}

/// Stored energy, as it will come out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Storage {
    /// In thousandths of watt-milliseconds, so that an efficiency in thousandths leaves no rest.
    units: i64,
}

const UNITS_PER_WH: i64 = 3_600_000 * 1_000;

impl Storage {
    /// So many Wh.
    pub fn from_wh(wh: u32) -> Self {
        Self { units: i64::from(wh).saturating_mul(UNITS_PER_WH) }
    }

    /// In Wh.
    pub fn wh(self) -> f64 {
        self.units as f64 / UNITS_PER_WH as f64
    }

    /// As much of a power as the battery can do for so long: within its power limits, not beyond
    /// what fits in, and not below the reserve. Positive charges.
    pub fn possible_w(self, size: &BatterySize, wanted_w: i64, duration_ms: i64) -> i64 {
        let duration_ms = duration_ms.max(1);
        let (full, reserve) = (Self::from_wh(size.capacity_wh), Self::from_wh(size.reserve_wh));
        let room = full.units.saturating_sub(self.units).max(0);
        let there = self.units.saturating_sub(reserve.units).max(0);
        let permille = i64::from(size.round_trip_permille.clamp(1, 1_000));
        let charge_w = room / duration_ms.saturating_mul(permille);
        let discharge_w = there / duration_ms.saturating_mul(1_000);
        let most_in = charge_w.min(i64::from(size.charge_max_w));
        let most_out = discharge_w.min(i64::from(size.discharge_max_w));
        wanted_w.clamp(most_out.saturating_neg(), most_in)
    }

    /// After a power that [`possible_w`](Self::possible_w) allowed: charge x efficiency - discharge
    /// = change.
    #[must_use]
    pub fn after(self, size: &BatterySize, power_w: i64, duration_ms: i64) -> Self {
        let permille = i64::from(size.round_trip_permille.clamp(1, 1_000));
        let factor = if power_w >= 0 { permille } else { 1_000 };
        let change = power_w.saturating_mul(duration_ms).saturating_mul(factor);
        Self { units: self.units.saturating_add(change) }
    }
}
