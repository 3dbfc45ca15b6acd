//! What the tests share: a clock they turn, a street, and a meter on a free port.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use market::time::{Clock, Timestamp};
use simulators::faults::FaultSwitch;
use simulators::household::{Household, HouseholdPlan, neighbourhood};
use simulators::modbus_server::{MeterServer, SharedMeter};
use simulators::place::Place;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// 2026-06-15 09:00 UTC, a Monday in Munich.
pub(crate) const SUMMER_MORNING: Timestamp = Timestamp::from_millis(1_781_514_000_000);

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn at(instant: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(instant.as_millis())))
    }

    pub(crate) fn forward_ms(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn real_time_until(&self, _at: Timestamp) -> Duration {
        Duration::ZERO
    }
}

pub(crate) fn munich() -> Place {
    Place::new(48.14, 11.58, "Europe/Berlin").expect("Munich exists")
}

pub(crate) fn street(seed: u64) -> Vec<HouseholdPlan> {
    neighbourhood(seed, 12, 3, &munich()).expect("twelve households on three feeders")
}

/// One meter, served on a free port of this machine.
pub(crate) struct Served {
    pub(crate) server: MeterServer,
    pub(crate) meter: SharedMeter,
    pub(crate) faults: FaultSwitch,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) plan: HouseholdPlan,
}

/// Serves the first household of a street that has solar power.
pub(crate) async fn serve_solar_house() -> Served {
    let plan = street(1).into_iter().find(|plan| plan.solar.is_some()).expect("a solar house");
    let clock = HandClock::at(SUMMER_MORNING);
    let meter = SharedMeter::new(Household::new(&plan, SUMMER_MORNING).expect("a household"));
    let faults = FaultSwitch::healthy();
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = MeterServer::start(
        listener,
        meter.clone(),
        faults.clone(),
        clock.clone(),
        shutdown.clone(),
    )
    .expect("the server starts");
    Served { server, meter, faults, clock, shutdown, plan }
}
