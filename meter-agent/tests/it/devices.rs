//! What is in the market, and how it fails: each failure against a real server.

use market::time::Clock;
use meter_agent::interval::GAP_MAX_MS;
use meter_agent::modbus::{Address, Device as Unit, Endpoint, MeterEvent};
use meter_agent::profile::{Profile, RegisterReading};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::device::{Ask, Device, Framing, Reply, Words};
use crate::hostile_meter::{RequestClock, hasty_profile};

/// A built-in profile that waits but shortly.
pub(crate) fn hasty(name: &str) -> Profile {
    let profile = Profile::built_in(name).unwrap().unwrap();
    let (min_gap, timeout) = (Duration::from_millis(1), Duration::from_millis(150));
    Profile { min_gap, unit_gap: min_gap, timeout, connect_delay: Duration::ZERO, ..profile }
}

/// An endpoint at work.
pub(crate) struct Bench {
    pub(crate) events: Vec<mpsc::Receiver<MeterEvent>>,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    pub(crate) fn start(address: Address, units: Vec<(u8, Profile)>) -> Self {
        let (mut events, mut devices) = (Vec::new(), Vec::new());
        for (unit, profile) in units {
            let (sender, receiver) = mpsc::channel(64);
            let poll_interval = Duration::from_millis(5);
            devices.push(Unit { unit, profile, poll_interval, events: sender });
            events.push(receiver);
        }
        let endpoint = Endpoint { address, devices, gap_max_ms: GAP_MAX_MS };
        let stop = CancellationToken::new();
        let clock: Arc<dyn Clock> = Arc::new(RequestClock::default());
        tokio::spawn(endpoint.run(clock, stop.clone()));
        Self { events, stop }
    }

    fn one(device: &Device, profile: Profile) -> Self {
        Self::start(Address::tcp("127.0.0.1", device.address.port()), vec![(1, profile)])
    }

    pub(crate) async fn next(&mut self) -> MeterEvent {
        timeout(Duration::from_secs(20), self.events[0].recv()).await.unwrap().unwrap()
    }

    /// The next reading, past whatever else is told.
    pub(crate) async fn reading(&mut self) -> RegisterReading {
        loop {
            if let MeterEvent::Reading(reading) = self.next().await {
                return reading;
            }
        }
    }
}

/// A `SunSpec` device: common model, then these.
fn sunspec(base: u16, common_length: u16, models: &[(u16, Vec<u16>)]) -> Words {
    let mut words = Words::default();
    words.put(3, base, &[0x5375, 0x6E53]);
    let mut common = vec![1, common_length];
    common.resize(usize::from(common_length) + 2, 0);
    let serial: Vec<u16> =
        b"SN 4711\0".chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    common[50..54].copy_from_slice(&serial);
    words.put(3, base + 2, &common);
    let mut at = base + 4 + common_length;
    for (_, model) in models {
        words.put(3, at, model);
        at += u16::try_from(model.len()).unwrap();
    }
    words.put(3, at, &[0xFFFF, 0]);
    words
}

/// An integer meter (201-204): export, import in Wh / 10^factor; power in W.
fn meter_model(id: u16, export: u32, import: u32, factor: i16, power: i16) -> (u16, Vec<u16>) {
    let mut words = vec![0; 107];
    (words[0], words[1]) = (id, 105);
    (words[8], words[9], words[10], words[15]) = (2_301, 2_302, 2_303, 0xFFFF);
    (words[16], words[17]) = (5_001, 0xFFFE);
    (words[18], words[22]) = (power.cast_unsigned(), 0);
    for (at, value) in [(38, export), (46, import)] {
        let [a, b, c, d] = value.to_be_bytes();
        (words[at], words[at + 1]) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    }
    words[54] = factor.cast_unsigned();
    (id, words)
}

/// A float inverter (111-113).
fn inverter_model(id: u16, yield_wh: f32, power: f32, state: u16) -> (u16, Vec<u16>) {
    let mut words = vec![0; 62];
    (words[0], words[1], words[48]) = (id, 60, state);
    let values =
        [(16, 231.0), (18, f32::NAN), (20, f32::NAN), (22, power), (24, 50.0), (32, yield_wh)];
    for (at, value) in values {
        let [a, b, c, d] = value.to_bits().to_be_bytes();
        (words[at], words[at + 1]) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    }
    (id, words)
}

/// Failure 9: three bases, a common model of 66 or 65 words, other models before the wanted one.
#[tokio::test]
async fn sunspec_is_walked_from_whatever_base_and_length() {
    for (base, length) in [(40_000, 66), (0, 65), (50_000, 66)] {
        let skipped = (120, vec![120, 3, 1, 2, 3]);
        let words = sunspec(base, length, &[skipped, meter_model(203, 50, 1_234, 1, -77)]);
        let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
        let mut bench = Bench::one(&device, hasty("sunspec-meter"));
        assert_eq!(bench.next().await, MeterEvent::Identified("SN 4711".to_owned()));
        let read = bench.reading().await;
        assert_eq!((read.import_wh, read.export_wh), (12_340, 500), "base {base}");
        assert_eq!((read.power_w, read.step_wh), (Some(-77), 10));
    }
}

#[tokio::test]
async fn a_device_without_the_model_or_the_mark_is_told_from_a_dead_one() {
    let words = sunspec(40_000, 66, &[inverter_model(113, 5.0, 0.0, 4)]);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let mut bench = Bench::one(&device, hasty("sunspec-meter"));
    let MeterEvent::NoReading(why) = bench.next().await else { panic!("no such model") };
    assert!(why.contains("[1, 113]") && why.contains("203"), "{why}");
    let device = Device::start(Framing::Tcp, |_| Reply::Exception(2)).await;
    let mut bench = Bench::one(&device, hasty("sunspec-meter"));
    let MeterEvent::NoReading(why) = bench.next().await else { panic!("no mark") };
    assert!(why.contains("[40000, 0, 50000]"), "{why}");
    assert_eq!(device.connections(), 1, "neither is an error of the communication");
}

/// Failure 10: the scale factor changes from read to read; value and factor come in one answer.
#[tokio::test]
async fn a_scale_factor_that_changes_changes_no_energy() {
    let turn = AtomicUsize::new(0);
    let device = Device::start(Framing::Tcp, move |ask| {
        let factor = turn.fetch_add(usize::from(ask.count == 107), Ordering::SeqCst) % 3;
        let divisor = 10_u32.pow(u32::try_from(factor).unwrap());
        let factor = i16::try_from(factor).unwrap();
        let model = meter_model(201, 9_000 / divisor, 4_321_000 / divisor, factor, 100);
        sunspec(40_000, 66, &[model]).reply(ask)
    })
    .await;
    let mut bench = Bench::one(&device, hasty("sunspec-meter"));
    let mut steps = Vec::new();
    for _ in 0..6 {
        let read = bench.reading().await;
        assert_eq!((read.import_wh, read.export_wh), (4_321_000, 9_000));
        steps.push(read.step_wh);
    }
    steps.sort_unstable();
    assert_eq!(steps, [1, 1, 10, 10, 100, 100]);
}

/// Failures 8 and 15: at night the inverter says that it sleeps, shows no counter, and is silent at
/// last; none of it is an outage, and none of it is zero.
#[tokio::test]
async fn a_sleeping_inverter_has_no_value_and_is_not_offline() {
    let turn = AtomicUsize::new(0);
    let device = Device::start(Framing::Tcp, move |ask| {
        let polls = turn.fetch_add(usize::from(ask.count == 62), Ordering::SeqCst);
        let model = match polls {
            0..3 => inverter_model(113, 7_000.0, 450.0, 4),
            3..5 => inverter_model(113, 0.0, f32::NAN, 2),
            _ => return Reply::Silence,
        };
        sunspec(40_000, 65, &[model]).reply(ask)
    })
    .await;
    let mut bench = Bench::one(&device, hasty("sunspec-inverter"));
    let read = bench.reading().await;
    assert_eq!((read.import_wh, read.export_wh, read.power_w), (0, 7_000, Some(-450)));
    let mut asleep = 0;
    while asleep < 3 {
        match bench.next().await {
            MeterEvent::Asleep(_) => asleep += 1,
            MeterEvent::Reading(read) => assert_eq!((asleep, read.export_wh), (0, 7_000)),
            other => panic!("{other:?}"),
        }
    }
}

/// Failure 14: exception 2 is a capability that is absent, asked for once on every connection.
#[tokio::test]
async fn words_that_a_variant_does_not_have_are_asked_for_once() {
    let mut words = Words::default();
    words.put(3, 20_480, &[0, 0, 0, 123, 0, 0, 0, 45]);
    words.put(3, 23_340, &[5_000]);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let mut bench = Bench::one(&device, hasty("abb-b23"));
    for _ in 0..5 {
        let read = bench.reading().await;
        assert_eq!((read.import_wh, read.export_wh, read.power_w), (1_230, 450, None));
    }
    let power = device.asked().iter().filter(|ask| ask.address == 23_316).count();
    assert_eq!((power, device.connections()), (1, 1));
}

#[tokio::test]
async fn a_counter_that_is_not_there_says_that_the_profile_is_wrong() {
    let mut words = Words::default();
    words.put(4, 0, &[0; 50]);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let mut bench = Bench::one(&device, hasty("eastron-sdm630"));
    let MeterEvent::NoReading(why) = bench.next().await else { panic!("no counters") };
    assert!(why.contains("another model") && why.contains("import"), "{why}");
}

/// Failure 7 at the start: voltages betray swapped words even where no frequency is measured.
#[tokio::test]
async fn a_voltage_that_no_socket_has_stops_the_reading() {
    let mut words = Words::default();
    words.put(3, 65, &[0, 0]);
    words.put(3, 801, &[0; 12]);
    // 230.0 V with its words swapped.
    words.put(3, 1, &[0x0000, 0x4366, 0x0000, 0x4366, 0x0000, 0x4366]);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let mut bench = Bench::one(&device, hasty("siemens-pac2200"));
    let MeterEvent::NoReading(why) = bench.next().await else { panic!("it must not be read") };
    assert!(why.contains("voltage"), "{why}");
}

/// Failure 4: a gateway that does not echo the transaction is named, with what to do.
#[tokio::test]
async fn a_gateway_that_forgets_transactions_is_told_what_to_do() {
    let words = Words::sdm630(5_000, 0, 10.0);
    let device = Device::start(Framing::Tcp, move |ask| match words.reply(ask) {
        Reply::Words(words) => Reply::ForgetsTransaction(words),
        other => other,
    })
    .await;
    let mut bench = Bench::one(&device, hasty_profile());
    let first = bench.next().await;
    assert!(matches!(first, MeterEvent::Offline(_)), "{first:?}");
    let MeterEvent::Offline(why) = bench.next().await else { panic!("offline") };
    assert!(why.contains("rtu_over_tcp"), "{why}");
}

/// Failures 17 and 22: never faster than the device wants, and slower from unit to unit.
#[tokio::test]
async fn requests_keep_their_distance() {
    let words = Words::sdm630(5_000, 0, 10.0);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let profile = Profile {
        min_gap: Duration::from_millis(20),
        unit_gap: Duration::from_millis(60),
        ..hasty("eastron-sdm630")
    };
    let address = Address::tcp("127.0.0.1", device.address.port());
    let mut bench = Bench::start(address, vec![(1, profile.clone()), (2, profile)]);
    for _ in 0..4 {
        bench.reading().await;
    }
    let asked = device.asked();
    let changes = asked.windows(2).filter(|pair| pair[0].unit != pair[1].unit).count();
    assert!(changes >= 4, "both units are polled");
    for pair in asked.windows(2) {
        let least = if pair[0].unit == pair[1].unit { 20 } else { 60 };
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(least), "{gap:?} between {pair:?}");
    }
    assert_eq!(device.connections(), 1, "one connection for both (failures 1 and 5)");
}

/// Failure 6: a dongle that is deaf for a while after connecting, and busy between requests.
#[tokio::test]
async fn a_dongle_that_wakes_slowly_is_left_alone_first() {
    let busy = AtomicUsize::new(0);
    let mut words = Words::default();
    words.put(3, 37_101, &[0; 22]);
    words.put_u32(3, 37_119, (-500_i32).cast_unsigned());
    words.put_u32(3, 37_121, 700);
    let device =
        Device::start(Framing::Tcp, move |ask| match busy.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Exception(6),
            1 => Reply::Exception(5),
            _ => words.reply(ask),
        })
        .await;
    let delay = Duration::from_millis(120);
    let profile = Profile { connect_delay: delay, ..hasty("huawei-sun2000-meter") };
    let begun = Instant::now();
    let mut bench = Bench::one(&device, profile);
    let first = bench.next().await;
    let MeterEvent::Reading(read) = first else { panic!("{first:?}") };
    // Some firmware counts export below zero.
    assert_eq!((read.import_wh, read.export_wh), (7_000, 5_000));
    assert!(device.asked()[0].at - begun >= delay);
    assert_eq!(device.connections(), 1);
}

/// A meter exchanged behind a gateway that stays connected to us shows its number after the next
/// connection; one wrong number is not enough.
#[tokio::test]
async fn another_serial_number_has_to_be_shown_twice() {
    let device = Device::start(Framing::Tcp, |ask: Ask| {
        let mut words = Words::sdm630(5_000, 0, 10.0);
        if ask.connection > 1 {
            words.put_u32(3, 64_512, 99);
        }
        let cut = ask.connection == 1 && ask.count == 24;
        if cut { Reply::Silence } else { words.reply(ask) }
    })
    .await;
    let mut bench = Bench::one(&device, hasty("eastron-sdm630"));
    assert_eq!(bench.next().await, MeterEvent::Identified("20304050".to_owned()));
    assert!(matches!(bench.next().await, MeterEvent::Offline(_)));
    assert_eq!(bench.next().await, MeterEvent::Identified("99".to_owned()));
    let serials = device.asked().iter().filter(|ask| ask.function == 3).count();
    assert_eq!(serials, 3, "once on the first connection, twice on the second");
}

#[tokio::test]
async fn another_model_than_the_profile_s_is_not_read() {
    let mut words = Words::default();
    for (at, count) in [(40, 14), (78, 2), (0, 6)] {
        words.put(4, at, &vec![0; count]);
    }
    words.put(3, 11, &[340]);
    let device = Device::start(Framing::Tcp, move |ask| words.reply(ask)).await;
    let mut bench = Bench::one(&device, hasty("carlo-gavazzi-em24-e1"));
    let MeterEvent::NoReading(why) = bench.next().await else { panic!("another model") };
    assert!(why.contains("340") && why.contains("1648"), "{why}");
}
