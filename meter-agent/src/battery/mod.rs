//! When to charge and discharge a battery, and when to charge a car: a linear programme over the
//! forecast's horizon.
//!
//! ```text
//! minimise   Σ buy g - sell e + wear d  -  worth of what is stored at the end
//! such that  net + d - c - k = e - g          in each period
//!            stored' = stored + efficiency c - d
//!            reserve <= stored <= capacity,   Σ k until the deadline = what the car needs
//! ```
//!
//! with energy charged `c`, discharged `d`, into the car `k`, imported `g` and exported `e`. The whole
//! loss of a round trip is taken while charging, as in the law of storage: charge x efficiency -
//! discharge = change of what is stored.
//!
//! The solution is rounded to whole watts and carried forward in integers ([`Storage`]), within hard
//! limits; if it then costs more than doing nothing, nothing is done. A pure function: it sends
//! nothing to any device.

mod programme;
mod storage;

use market::tariff::Rates;
use market::time::DeliveryPeriod;

use crate::forecast::NetPosition;

pub use storage::{BatterySize, Storage};

/// What a period of the horizon offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// What the household has without battery and car.
    pub position: NetPosition,
    /// What a kWh costs and brings: the tariffs, or what neighbours are expected to pay.
    pub prices: Prices,
}

/// What a kWh costs and brings, in currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// Paid for a kWh from the grid.
    pub buy: f64,
    /// Earned with a kWh fed in; not above `buy`.
    pub sell: f64,
}

impl Prices {
    /// Those of the supplier.
    pub fn of(rates: &Rates) -> Self {
        let number = |micros: i64| micros as f64 / 1e6;
        let sell = number(rates.feed_in.micros_per_kwh());
        Self { buy: number(rates.avoidable().micros_per_kwh()).max(sell), sell }
    }
}

/// A car that has to be charged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Car {
    /// How much it still needs, in Wh.
    pub needs_wh: f64,
    /// The most power that it takes, in W.
    pub power_max_w: u32,
    /// It has to be ready when this period begins.
    pub ready_before: DeliveryPeriod,
}

/// What to do in one period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setpoint {
    /// When.
    pub period: DeliveryPeriod,
    /// Into the battery in W; negative: out of it.
    pub battery_w: i64,
    /// Into the car in W; not negative.
    pub car_w: i64,
    /// What the household then expects to have: for the order curves of a strategy.
    pub position: NetPosition,
}

/// A plan for a horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// One for each period of the horizon.
    pub setpoints: Vec<Setpoint>,
    /// What is stored after each of them.
    pub stored: Vec<Storage>,
    /// What it costs by the forecast's own prices, less what is stored at the end is worth.
    pub cost: f64,
    /// The same if battery and plan did nothing, and the car charged as soon as it could.
    pub cost_of_nothing: f64,
}

/// Plans a horizon of periods that follow each other. `wear` is what a kWh of discharge costs the
/// battery, in currency.
pub fn plan(
    outlooks: &[Outlook],
    size: BatterySize,
    stored: Storage,
    wear: f64,
    car: Option<Car>,
) -> Plan {
    let household = Household { outlooks, size, stored, wear, car };
    let nothing = household.carry_forward(&household.nothing());
    let mut best = match programme::solve(&household) {
        Some(powers) => household.carry_forward(&powers),
        None => nothing.clone(),
    };
    let charged = |plan: &Plan| plan.setpoints.iter().map(|at| at.car_w).sum::<i64>();
    // A watt for each period is what rounding may cost the car.
    let rounding = i64::try_from(outlooks.len()).unwrap_or(i64::MAX);
    let fuller = charged(&best).saturating_add(rounding) >= charged(&nothing);
    if !fuller || best.cost > nothing.cost {
        best = nothing.clone();
    }
    Plan { cost_of_nothing: nothing.cost, ..best }
}

/// Power into battery and car, in W.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Powers {
    battery_w: f64,
    car_w: f64,
}

struct Household<'a> {
    outlooks: &'a [Outlook],
    size: BatterySize,
    stored: Storage,
    wear: f64,
    car: Option<Car>,
}

impl Household<'_> {
    /// The battery rests; the car charges at once.
    fn nothing(&self) -> Vec<Powers> {
        let mut left_wh = self.car.map_or(0.0, |car| car.needs_wh);
        let mut powers = Vec::with_capacity(self.outlooks.len());
        for outlook in self.outlooks {
            let hours = hours(outlook.position.period);
            let car_wh = left_wh.min(self.car_max_w(outlook.position.period) * hours).max(0.0);
            left_wh -= car_wh;
            powers.push(Powers { battery_w: 0.0, car_w: car_wh / hours });
        }
        powers
    }

    /// The most that the car may take in a period, in W.
    fn car_max_w(&self, period: DeliveryPeriod) -> f64 {
        let waiting = self.car.filter(|car| period.end() <= car.ready_before.start());
        waiting.map_or(0.0, |car| f64::from(car.power_max_w))
    }

    /// What a stored Wh is worth after the horizon: what selling it would bring on average, less
    /// wear; in currency per Wh.
    fn worth_of_stored(&self) -> f64 {
        let count = self.outlooks.len().max(1) as f64;
        let mean = self.outlooks.iter().map(|outlook| outlook.prices.sell).sum::<f64>() / count;
        (mean - self.wear).max(0.0) / 1_000.0
    }

    /// Whole watts within hard limits, one period after the other, and what they cost.
    fn carry_forward(&self, powers: &[Powers]) -> Plan {
        let (mut stored, mut cost) = (self.stored, 0.0);
        let mut plan =
            Plan { setpoints: Vec::new(), stored: Vec::new(), cost: 0.0, cost_of_nothing: 0.0 };
        for (outlook, powers) in self.outlooks.iter().zip(powers) {
            let period = outlook.position.period;
            let wanted_w = whole(powers.battery_w);
            let battery_w = stored.possible_w(&self.size, wanted_w, period.length().as_millis());
            stored = stored.after(&self.size, battery_w, period.length().as_millis());
            let car_w = whole(powers.car_w.clamp(0.0, self.car_max_w(period)));
            let used_wh = (battery_w.saturating_add(car_w)) as f64 * hours(period);
            let position = outlook.position.shifted(-used_wh);
            let net_wh = position.expected_wh;
            let price = if net_wh < 0.0 { outlook.prices.buy } else { outlook.prices.sell };
            let discharged_wh = battery_w.min(0).abs() as f64 * hours(period);
            cost += (-net_wh * price + discharged_wh * self.wear) / 1_000.0;
            plan.setpoints.push(Setpoint { period, battery_w, car_w, position });
            plan.stored.push(stored);
        }
        Plan { cost: cost - stored.wh() * self.worth_of_stored(), ..plan }
    }
}

fn hours(period: DeliveryPeriod) -> f64 {
    period.length().as_millis() as f64 / 3_600_000.0
}

/// Towards zero: what is rounded is not more than what was meant.
fn whole(watts: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a household's power")]
    {
        watts as i64
    }
}

#[cfg(test)]
mod tests;
