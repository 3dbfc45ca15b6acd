//! One simulated meter as a service of its own: `hidamari simulate meter`.

use std::sync::Arc;

use market::time::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::SimulatorError;
use crate::faults::FaultSwitch;
use crate::household::{Household, neighbourhood};
use crate::modbus_server::{MeterServer, SharedMeter};
use crate::place::Place;

/// Which household's meter to simulate.
///
/// The household is the same that a whole simulated neighbourhood of this seed and size has.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedMeterConfig {
    /// Seed of the neighbourhood.
    pub seed: u64,
    /// Households in the neighbourhood.
    pub households: u32,
    /// Feeders in the neighbourhood.
    pub feeders: u32,
    /// Number of the household, counted from 0.
    pub household: u32,
    /// Latitude in degrees, north positive.
    pub latitude_deg: f64,
    /// Longitude in degrees, east positive.
    pub longitude_deg: f64,
    /// IANA name of the time zone that the people's clocks follow.
    pub time_zone: String,
    /// When the household's life began, at most
    /// [`LEAP_LIMIT_DAYS`](crate::household::LEAP_LIMIT_DAYS) ago; a meter started again with the
    /// same instant goes on counting where it would be. `None` = now.
    pub since: Option<Timestamp>,
}

impl Default for SimulatedMeterConfig {
    /// The first of twelve households in Munich, beginning now.
    fn default() -> Self {
        Self {
            seed: 1,
            households: 12,
            feeders: 3,
            household: 0,
            latitude_deg: 48.14,
            longitude_deg: 11.58,
            time_zone: "Europe/Berlin".to_owned(),
            since: None,
        }
    }
}

/// Serves one simulated meter on `listener` until `shutdown`.
///
/// # Errors
///
/// [`SimulatorError`] if the configuration is impossible or the listening socket unusable.
pub async fn run_meter(
    config: SimulatedMeterConfig,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), SimulatorError> {
    let SimulatedMeterConfig { seed, households, feeders, household, .. } = config;
    let place = Place::new(config.latitude_deg, config.longitude_deg, &config.time_zone)?;
    let plan = neighbourhood(seed, households, feeders, &place)?
        .into_iter()
        .find(|plan| plan.household == household)
        .ok_or(SimulatorError::NoSuchHousehold { household, households })?;
    let now = clock.now();
    let mut home = Household::new(&plan, config.since.unwrap_or(now))?;
    home.advance(now)?;

    let meter = SharedMeter::new(home);
    let server = MeterServer::start(listener, meter, FaultSwitch::healthy(), clock, shutdown)?;
    tracing::info!(
        address = %server.address(),
        household = %plan.label,
        serial = plan.meter_serial,
        solar_kwp = plan.solar.as_ref().map(|plant| plant.peak_w() / 1_000.0),
        battery_wh = plan.battery.map(|battery| battery.capacity_wh),
        "simulated SDM630 is up"
    );
    server.ended().await
}
