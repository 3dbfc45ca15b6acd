//! Whatever a device answers, no false watt-hour gets past the endpoint and the interval machine.

use market::reading::Quality;
use market::time::{Clock, PeriodLength, Timestamp};
use meter_agent::interval::{GAP_MAX_MS, IntervalMeter, IntervalRules, SeriesState, Verdict};
use meter_agent::modbus::{Address, Device, Endpoint, MeterEvent};
use meter_agent::profile::Profile;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::meter::{Manner, Meter, Shown};

/// A clock that the meter's requests move on: a second of market time for each.
#[derive(Default)]
pub(crate) struct RequestClock(pub(crate) AtomicI64);

impl Clock for RequestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(at.millis_since(self.now())).unwrap_or_default())
    }
}

/// An SDM630 that is waited for but shortly, and not asked who it is.
pub(crate) fn hasty_profile() -> Profile {
    let number = |table: &str, address: u16, more: &str| {
        format!(
            "[{table}]\naddress = {address}\ntype = \"f32\"\nword_order = \"high_first\"\nscale = 1\n\
             {more}\n"
        )
    };
    let text = format!(
        "name = \"hasty\"\n[connection]\nport = 502\nconnect_delay_ms = 0\nmin_gap_ms = 1\n\
         timeout_ms = 60\n[[request]]\nfunction = \"input\"\naddress = 52\ncount = 24\n{}{}{}{}",
        number("import", 72, "unit = \"kWh\""),
        number("export", 74, "unit = \"kWh\""),
        number("power", 52, "unit = \"W\"\npositive = \"import\""),
        number("frequency", 70, ""),
    );
    Profile::from_toml(&text, Path::new("hasty.toml")).unwrap()
}

struct Bench {
    _meter: Meter,
    events: mpsc::Receiver<MeterEvent>,
    connections: Arc<std::sync::Mutex<usize>>,
    requests: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Shows 1 Wh more import with every request; the manner of each request is given.
async fn bench(manner: impl Fn(usize) -> Manner + Send + Sync + 'static) -> Bench {
    let (clock, requests) = (Arc::new(RequestClock::default()), Arc::new(AtomicUsize::new(0)));
    let (moved, counted) = (Arc::clone(&clock), Arc::clone(&requests));
    let meter = Meter::start(move |_| {
        let index = counted.fetch_add(1, Ordering::SeqCst);
        moved.0.fetch_add(1_000, Ordering::SeqCst);
        let import_wh = 1_000_000 + i64::try_from(index).unwrap();
        (Shown { import_wh, export_wh: 500, power_w: 3_600.0 }, manner(index))
    })
    .await;
    let (sender, events) = mpsc::channel(1);
    let device = Device {
        unit: 1,
        profile: hasty_profile(),
        poll_interval: Duration::from_millis(5),
        events: sender,
    };
    let endpoint = Endpoint {
        address: Address::tcp("127.0.0.1", meter.address.port()),
        devices: vec![device],
        gap_max_ms: GAP_MAX_MS,
    };
    let stop = CancellationToken::new();
    tokio::spawn(endpoint.run(clock, stop.clone()));
    let connections = Arc::clone(&meter.connections);
    Bench { _meter: meter, events, connections, requests, stop }
}

impl Bench {
    async fn next(&mut self) -> MeterEvent {
        timeout(Duration::from_secs(20), self.events.recv()).await.unwrap().unwrap()
    }
}

/// Faults that poison the connection: it is dropped, and the next reading is true again.
#[tokio::test]
async fn after_a_bad_answer_the_connection_is_new_and_the_reading_true() {
    let poisons = [
        Manner::Late(Duration::from_millis(200)),
        Manner::Short,
        Manner::Long,
        Manner::OddByteCount,
        Manner::ByteCountBeyondData,
        Manner::WrongTransaction,
        Manner::WrongUnit,
        Manner::WrongFunction,
        Manner::Junk,
        Manner::EndOfFile,
        Manner::Silent,
    ];
    for fault in poisons {
        let mut bench = bench(move |index| if index == 2 { fault } else { Manner::Sound }).await;
        let mut seen = Vec::new();
        while seen.len() < 5 {
            let event = bench.next().await;
            if let MeterEvent::Reading(reading) = &event {
                let newest =
                    1_000_000 + i64::try_from(bench.requests.load(Ordering::SeqCst)).unwrap();
                assert!(
                    (newest - 2..newest).contains(&reading.import_wh),
                    "{fault:?}: {reading:?}"
                );
            }
            seen.push(event);
        }
        let offline = seen.iter().filter(|event| matches!(event, MeterEvent::Offline(_))).count();
        assert_eq!(offline, 1, "{fault:?}: {seen:?}");
        assert_eq!(*bench.connections.lock().unwrap(), 2, "{fault:?}");
    }
}

/// Faults that the device states itself: the connection stays, and there is no reading.
#[tokio::test]
async fn an_answer_without_a_value_keeps_the_connection_and_gives_no_reading() {
    for fault in [Manner::NotANumber, Manner::UnknownException, Manner::SwappedWords] {
        let mut bench = bench(move |index| if index == 2 { fault } else { Manner::Sound }).await;
        let mut none = 0;
        for _ in 0..5 {
            none += usize::from(matches!(bench.next().await, MeterEvent::NoReading(_)));
        }
        assert_eq!(none, 1, "{fault:?}");
        assert_eq!(*bench.connections.lock().unwrap(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_busy_device_is_asked_again_within_the_same_poll() {
    let busy = |index| if (2..4).contains(&index) { Manner::Busy } else { Manner::Sound };
    let mut bench = bench(busy).await;
    for _ in 0..4 {
        assert!(matches!(bench.next().await, MeterEvent::Reading(_)));
    }
}

#[tokio::test]
async fn a_meter_that_is_not_there_is_waited_for() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let (sender, mut events) = mpsc::channel(1);
    let device = Device {
        unit: 1,
        profile: hasty_profile(),
        poll_interval: Duration::from_millis(5),
        events: sender,
    };
    let endpoint = Endpoint {
        address: Address::tcp("127.0.0.1", port),
        devices: vec![device],
        gap_max_ms: GAP_MAX_MS,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(endpoint.run(Arc::new(RequestClock::default()), stop.clone()));
    for _ in 0..2 {
        let event = timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
        assert!(matches!(event, MeterEvent::Offline(_)), "{event:?}");
    }
    stop.cancel();
    timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
}

/// A silent unit behind a gateway costs its neighbours three reconnections, then one a minute.
#[tokio::test]
async fn a_dead_unit_does_not_block_its_neighbours() {
    let meter = Meter::start(|unit| {
        let manner = if unit == 2 { Manner::Silent } else { Manner::Sound };
        (Shown { import_wh: 5, export_wh: 6, power_w: 7.0 }, manner)
    })
    .await;
    let (alive, mut events) = mpsc::channel(1);
    let (dead, mut silence) = mpsc::channel(100);
    let device = |unit, events| Device {
        unit,
        profile: hasty_profile(),
        poll_interval: Duration::from_millis(20),
        events,
    };
    let endpoint = Endpoint {
        address: Address::tcp("127.0.0.1", meter.address.port()),
        devices: vec![device(1, alive), device(2, dead)],
        gap_max_ms: GAP_MAX_MS,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(endpoint.run(Arc::new(RequestClock::default()), stop.clone()));
    for _ in 0..100 {
        let event = timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
        assert!(matches!(event, MeterEvent::Reading(_)), "{event:?}");
    }
    stop.cancel();
    task.await.unwrap();
    let mut silences = 0;
    while let Some(event) = silence.recv().await {
        assert!(matches!(event, MeterEvent::Offline(_)), "{event:?}");
        silences += 1;
    }
    assert_eq!((silences, *meter.connections.lock().unwrap()), (3, 4));
}

/// All faults mixed over an hour of market time: what is closed never exceeds what was counted.
#[tokio::test]
async fn no_false_watt_hour_leaves_a_hostile_meter() {
    let faults = [
        Manner::NotANumber,
        Manner::ZeroCounters,
        Manner::Leap,
        Manner::UnknownException,
        Manner::SwappedWords,
        Manner::Short,
        Manner::ZeroCounters,
        Manner::ZeroCounters,
    ];
    let manner = move |index: usize| {
        if index.is_multiple_of(3) && !index.is_multiple_of(60) {
            // Those that cost a reconnection are rare, or the test would take long.
            let fault = faults[index / 3 % faults.len()];
            if fault == Manner::Short && !index.is_multiple_of(400) { Manner::Leap } else { fault }
        } else {
            Manner::Sound
        }
    };
    let mut bench = bench(manner).await;
    let rules = IntervalRules {
        period_length: PeriodLength::Minutes15,
        rated_power_w: 10_000,
        gap_max_ms: GAP_MAX_MS,
        rollovers_wh: (None, None),
    };
    let mut machine = IntervalMeter::resume(rules, SeriesState::default());
    let mut closed = Vec::new();
    while closed.len() < 2 {
        if let MeterEvent::Reading(reading) = bench.next().await {
            let taken = machine.take(&reading);
            assert_ne!(taken.verdict, Verdict::NewSeries);
            closed.extend(taken.closed);
        }
    }
    for interval in &closed {
        assert!((898..=902).contains(&interval.imported.wh()), "{interval:?}");
        assert!(interval.exported.is_zero(), "{interval:?}");
        assert_eq!(interval.quality, Quality::Ok);
    }
}
