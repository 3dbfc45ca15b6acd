//! Scan and check against real servers.

use market::time::{Clock, Timestamp};
use meter_agent::commission::{CheckOptions, Finding, Flow, Outcome, Report, check};
use meter_agent::config::MeterSettings;
use meter_agent::modbus::Address;
use meter_agent::profile::{Profile, WordOrder};
use meter_agent::scan::{ScanOptions, scan};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::device::{Device, Framing, Reply, Words};
use crate::devices::hasty;
use crate::hostile_meter::RequestClock;

/// A kettle is on: what the meter makes of 2 kW for so many market seconds.
type Makes = fn(i64) -> Words;

fn options(owner: Option<Flow>) -> CheckOptions {
    CheckOptions { rated_power_w: 10_000, duration: Duration::from_millis(1_500), owner }
}

/// Checks an SDM630 on which every poll takes three market seconds.
async fn checked(makes: Makes, profile: Profile, owner: Option<Flow>) -> Report {
    let clock = Arc::new(RequestClock(AtomicI64::new(1_781_517_660_000)));
    let (moved, begun) = (Arc::clone(&clock), clock.now());
    let device = Device::start(Framing::Tcp, move |ask| {
        let step = if ask.count == 24 { 3_000 } else { 0 };
        moved.0.fetch_add(step, Ordering::SeqCst);
        makes(moved.now().millis_since(begun) / 1_000).reply(ask)
    })
    .await;
    let settings = MeterSettings {
        address: Address::tcp("127.0.0.1", device.address.port()),
        profile,
        unit: 1,
        poll_interval: Duration::from_millis(1),
    };
    check(&settings, options(owner), &*clock, |_| {}).await
}

fn counted(seconds: i64) -> i64 {
    seconds * 2_000 / 3_600
}

fn sound(seconds: i64) -> Words {
    Words::sdm630(1_000_000 + counted(seconds), 500_000, 2_000.0)
}

fn importing() -> Option<Flow> {
    Some(Flow::Importing)
}

#[tokio::test]
async fn a_sound_meter_passes() {
    let report = checked(sound, hasty("eastron-sdm630"), importing()).await;
    assert_eq!(report.outcome(), Outcome::Passed, "{:?}", report.findings);
    let last = report.last.unwrap();
    assert_eq!(last.vitals.serial.as_deref(), Some("20304050"));
    assert_eq!((last.reading.power_w, last.vitals.voltages_v.len()), (Some(2_000), 3));
}

#[tokio::test]
async fn what_the_owner_does_not_say_stays_open() {
    let report = checked(sound, hasty("eastron-sdm630"), None).await;
    assert_eq!(report.findings, [Finding::DirectionUnproved]);
    assert_eq!(report.outcome(), Outcome::Open);
    assert_eq!(report.record().objection(), None);
}

#[tokio::test]
async fn each_mistake_of_an_installer_is_named() {
    let swapped: Makes = |seconds| Words::sdm630(1_000_000, 500_000 + counted(seconds), 2_000.0);
    let backwards: Makes = |seconds| Words::sdm630(1_000_000, 500_000 + counted(seconds), -2_000.0);
    let sign: Makes = |seconds| Words::sdm630(1_000_000 + counted(seconds), 500_000, -2_000.0);
    let owner = Flow::Importing;
    let cases = [
        (swapped, Finding::CountersSwapped { owner }, "exchange the addresses"),
        (backwards, Finding::MountedBackwards { owner }, "reversed = true"),
        (sign, Finding::PowerReversed { owner }, "`positive`"),
    ];
    for (makes, expected, words) in cases {
        let report = checked(makes, hasty("eastron-sdm630"), importing()).await;
        assert_eq!(report.findings.first(), Some(&expected), "{:?}", report.findings);
        assert_eq!(report.outcome(), Outcome::Failed);
        assert!(expected.to_string().contains(words), "{expected}");
        assert!(report.record().objection().is_some());
    }
    // `reversed = true` is the cure for a meter that is mounted backwards.
    let cured = checked(backwards, hasty("eastron-sdm630").reversed(), importing()).await;
    assert_eq!(cured.outcome(), Outcome::Passed, "{:?}", cured.findings);
}

#[tokio::test]
async fn a_counter_off_by_a_thousand_and_a_wrong_word_order_are_named() {
    let fast: Makes = |seconds| Words::sdm630(10_000 + 10 * counted(seconds), 500, 2_000.0);
    let report = checked(fast, hasty("eastron-sdm630"), importing()).await;
    let words = report.findings.iter().map(Finding::to_string).collect::<String>();
    assert!(words.contains("1e-1"), "{words}");
    assert!(words.contains("rated_power_w is 10000"), "{words}");

    let swapped = hasty("eastron-sdm630").with_word_order(WordOrder::LowFirst);
    let report = checked(sound, swapped, importing()).await;
    assert_eq!(report.findings, [Finding::WordOrder { instead: WordOrder::HighFirst }]);
}

#[tokio::test]
async fn a_meter_that_is_not_there_fails() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = MeterSettings {
        address: Address::tcp("127.0.0.1", unused.local_addr().unwrap().port()),
        profile: hasty("eastron-sdm630"),
        unit: 1,
        poll_interval: Duration::from_millis(1),
    };
    drop(unused);
    let report = check(&settings, options(None), &RequestClock::default(), |_| {}).await;
    assert!(matches!(report.findings[..], [Finding::Unreachable { .. }]), "{report:?}");
}

/// The clock of a Shelly that is an hour off is told, and is no reason not to trade.
#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let makes: Makes = |seconds| {
        let low_first = |bits: u32| {
            let [a, b, c, d] = bits.to_be_bytes();
            [u16::from_be_bytes([c, d]), u16::from_be_bytes([a, b])]
        };
        let mut words = Words::default();
        words.put(4, 1_013, &low_first(2_000.0_f32.to_bits()));
        let import = (1_000_000 + counted(seconds)) as f32;
        words.put(4, 1_162, &low_first(import.to_bits()));
        words.put(4, 1_164, &low_first(0));
        words.put(4, 1_000, &[&low_first(1_781_521_260)[..], &[0]].concat());
        words.put(4, 1_020, &[0; 8]);
        words.put(4, 1_020, &low_first(230.0_f32.to_bits()));
        words
    };
    let report = checked(makes, hasty("shelly-pro-3em"), importing()).await;
    let ahead = report.clock_ahead_ms.unwrap();
    assert!((3_000_000..=3_600_000).contains(&ahead), "{ahead}");
    let told = |finding: &Finding| matches!(finding, Finding::ClockSkew { .. });
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    assert_ne!(report.outcome(), Outcome::Failed);
}

#[tokio::test]
async fn a_scan_finds_every_unit_and_proposes_its_profile() {
    let mut gavazzi = Words::default();
    let low_first = |value: u32| {
        let [a, b, c, d] = value.to_be_bytes();
        [u16::from_be_bytes([c, d]), u16::from_be_bytes([a, b])]
    };
    gavazzi.put(4, 0, &[0; 90]);
    for (at, value) in [(0, 2_301), (2, 2_302), (4, 2_303), (40, 5_000), (52, 12_345), (78, 67)] {
        gavazzi.put(4, at, &low_first(value));
    }
    gavazzi.put(4, 51, &[500]);
    gavazzi.put(3, 11, &[1_650]);
    let device = Device::start(Framing::Rtu, move |ask| match ask.unit {
        1 => Words::sdm630(1_000_000, 500_000, 2_000.0).reply(ask),
        3 => gavazzi.reply(ask),
        _ => Reply::Silence,
    })
    .await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Address::tcp("127.0.0.1", closed.local_addr().unwrap().port());
    drop(closed);
    let gateway = Address::RtuOverTcp {
        host: "127.0.0.1".to_owned(),
        port: device.address.port(),
        strip_echo: false,
    };
    let options = ScanOptions {
        addresses: vec![nobody.clone(), gateway],
        units: vec![1, 2, 3],
        timeout: Duration::from_millis(300),
    };
    let mut steps = Vec::new();
    let clock = RequestClock::default();
    let scanned = scan(&options, &clock, |progress| steps.push(progress.done)).await;
    assert_eq!((scanned.unreachable.len(), &scanned.unreachable[0].0), (1, &nobody));
    let best = |index: usize| {
        let found = &scanned.found[index];
        (found.unit, found.candidates[0].profile.as_str(), found.candidates[0].certain)
    };
    assert_eq!(scanned.found.len(), 2, "{:?}", scanned.found);
    assert_eq!(best(0), (1, "eastron-sdm630", false));
    assert_eq!(best(1), (3, "carlo-gavazzi-em24-e1", true));
    assert_eq!(scanned.found[1].candidates[0].reading.import_wh, 1_234_500);
    assert_eq!(steps, [0, 3, 4, 5], "the unreachable endpoint is given up at once");
    assert!(clock.now() >= Timestamp::from_millis(0));
}
