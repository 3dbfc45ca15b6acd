//! From the simulated meters' words to the agents' figures: nothing but what was counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use market::reading::Quality;
use market::time::{Clock, PeriodLength, Timestamp};
use meter_agent::interval::{ClosedInterval, GAP_MAX_MS, IntervalMeter, IntervalRules};
use meter_agent::modbus::{Address, Device, Endpoint, MeterEvent};
use meter_agent::profile::Profile;
use simulators::faults::FaultSwitch;
use simulators::household::{Household, HouseholdPlan, neighbourhood};
use simulators::modbus_server::{MeterServer, SharedMeter, UNIT_ID};
use simulators::place::Place;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// 2026-06-15 05:00 UTC, on the edge of a period: breakfast, and the sun is rising.
const MORNING: Timestamp = Timestamp::from_millis(1_781_499_600_000);
const PERIODS: usize = 12;
const PERIOD_MS: i64 = 15 * 60_000;

/// A clock that stands still until it is set.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn real_time_until(&self, _at: Timestamp) -> Duration {
        Duration::ZERO
    }
}

/// Reads stand on the edges here, so that nothing has to be drawn between them: every figure of
/// every household and period is to the watt-hour what that meter counted in that period.
#[tokio::test]
async fn every_interval_is_what_that_meter_counted_in_that_period() {
    let place = Place::new(48.14, 11.58, "Europe/Berlin").expect("Munich");
    let plans = neighbourhood(1, 12, 3, &place).expect("a street");
    let mut houses = JoinSet::new();
    for plan in plans {
        houses.spawn(async move {
            let closed = metered(&plan).await;
            let mut household = Household::new(&plan, MORNING).expect("a household");
            assert_eq!(closed.len(), PERIODS, "{}", plan.label);
            let mut start = household.readout();
            for interval in closed {
                household.advance(interval.period.end()).expect("it lives");
                let end = household.readout();
                let counted = |after: u64, before: u64| i64::try_from(after - before);
                let imported = counted(end.import_wh(), start.import_wh()).expect("small");
                let exported = counted(end.export_wh(), start.export_wh()).expect("small");
                let found = (interval.imported.wh(), interval.exported.wh(), interval.quality);
                let place = format!("{} in {:?}", plan.label, interval.period);
                assert_eq!(found, (imported, exported, Quality::Ok), "{place}");
                start = end;
            }
        });
    }
    let judged = houses.join_all().await.len();
    assert_eq!(judged, 12);
}

/// What an agent makes of a meter that it reads over Modbus TCP once a minute of market time.
async fn metered(plan: &HouseholdPlan) -> Vec<ClosedInterval> {
    let clock = Arc::new(HandClock(AtomicI64::new(MORNING.as_millis())));
    let shutdown = CancellationToken::new();
    let household = Household::new(plan, MORNING).expect("a household");
    let server = MeterServer::start(
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        SharedMeter::new(household),
        FaultSwitch::healthy(),
        clock.clone(),
        shutdown.clone(),
    )
    .expect("a server");
    let mut profile = Profile::built_in("eastron-sdm630").expect("known").expect("sound");
    // Courtesies to real devices.
    (profile.connect_delay, profile.min_gap) = (Duration::ZERO, Duration::ZERO);
    let rules = IntervalRules {
        period_length: PeriodLength::Minutes15,
        rated_power_w: 24_000,
        gap_max_ms: GAP_MAX_MS,
        rollovers_wh: profile.rollovers_wh(),
    };
    let (events, mut heard) = mpsc::channel(1);
    let endpoint = Endpoint {
        address: Address::tcp("127.0.0.1", server.address().port()),
        devices: vec![Device {
            unit: UNIT_ID,
            profile,
            poll_interval: Duration::from_millis(1),
            events,
        }],
        gap_max_ms: GAP_MAX_MS,
    };
    tokio::spawn(endpoint.run(clock.clone(), shutdown.clone()));

    let mut meter = IntervalMeter::resume(rules, Default::default());
    let mut closed = Vec::new();
    while closed.len() < PERIODS {
        let event = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await;
        let reading = match event.expect("in time").expect("a meter") {
            MeterEvent::Reading(reading) => reading,
            MeterEvent::Identified(_) => continue,
            other => panic!("the meter cannot be read: {other:?}"),
        };
        // Of an exchange during which the clock was set nobody knows when the counter was read.
        if reading.at == clock.now() {
            closed.extend(meter.take(&reading).closed);
            clock.0.fetch_add(PERIOD_MS / 15, Ordering::SeqCst);
        }
    }
    shutdown.cancel();
    closed
}
