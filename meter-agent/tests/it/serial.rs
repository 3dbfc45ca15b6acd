//! RTU: over TCP through a transparent gateway, and over a real line (a pseudo-terminal).

use meter_agent::modbus::{Address, MeterEvent};
use meter_agent::profile::SerialLine;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_serial::{SerialPort as _, SerialStream};

use crate::device::{Ask, Device, Framing, Reply, Words, serve};
use crate::devices::{Bench, hasty};
use crate::hostile_meter::hasty_profile;

/// Counts 1 Wh with every poll.
fn counting() -> impl Fn(Ask) -> (usize, Words) {
    let polls = AtomicUsize::new(0);
    move |ask| {
        let index = polls.fetch_add(usize::from(ask.count == 24), Ordering::SeqCst);
        (index, Words::sdm630(1_000_000 + i64::try_from(index).unwrap(), 500, 3_600.0))
    }
}

fn gateway(device: &Device, strip_echo: bool) -> Address {
    Address::RtuOverTcp { host: "127.0.0.1".to_owned(), port: device.address.port(), strip_echo }
}

/// A line with a device at its other end, which answers in this way.
fn line(answer: impl Fn(Ask) -> Reply + Send + Sync + 'static) -> (Address, SerialStream) {
    let (device, ours) = SerialStream::pair().unwrap();
    let path = PathBuf::from(ours.name().unwrap());
    tokio::spawn(serve(device, Framing::Rtu, 1, Arc::new(answer), Arc::default()));
    // Held open, so that bytes wait on the line while the agent is not there.
    (Address::Serial { path, line: SerialLine::default(), strip_echo: false }, ours)
}

#[tokio::test]
async fn several_units_share_one_line() {
    let (address, _held) = line(|ask| match ask.unit {
        1 | 2 => Words::sdm630(i64::from(ask.unit) * 1_000, 7, 12.0).reply(ask),
        _ => Reply::Silence,
    });
    let units = vec![(1, hasty("eastron-sdm630")), (2, hasty("eastron-sdm630"))];
    let mut bench = Bench::start(address, units);
    for _ in 0..3 {
        assert_eq!(bench.reading().await.import_wh, 1_000);
    }
    let second = loop {
        match bench.events[1].recv().await.unwrap() {
            MeterEvent::Reading(read) => break read,
            MeterEvent::Identified(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(second.import_wh, 2_000);
}

/// Failure 3: a late answer waits on the line; it is never taken for the next request's.
#[tokio::test]
async fn a_late_answer_on_a_line_is_thrown_away() {
    let shown = counting();
    let (address, _held) = line(move |ask| {
        let (index, words) = shown(ask);
        match words.reply(ask) {
            Reply::Words(words) if index == 2 && ask.count == 24 => {
                Reply::Late(Duration::from_millis(400), words)
            }
            reply => reply,
        }
    });
    let mut bench = Bench::start(address, vec![(1, hasty("eastron-sdm630"))]);
    let (mut seen, mut offline) = (Vec::new(), 0);
    while seen.len() < 6 {
        match bench.next().await {
            MeterEvent::Reading(read) => seen.push(read.import_wh - 1_000_000),
            MeterEvent::Offline(_) => offline += 1,
            MeterEvent::Identified(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // The answer to the third poll came while nobody waited for it.
    assert_eq!((seen, offline), (vec![0, 1, 3, 4, 5, 6], 1));
}

/// Failures 18 and 25: noise before an answer costs a poll at most, and nothing false is read.
#[tokio::test]
async fn noise_on_a_line_brings_nothing_false() {
    let shown = counting();
    let (address, _held) = line(move |ask| {
        let (index, words) = shown(ask);
        match words.reply(ask) {
            Reply::Words(words) if index % 3 == 1 => Reply::Noise(vec![0x01, 0x99, 0xFF], words),
            reply => reply,
        }
    });
    let mut bench = Bench::start(address, vec![(1, hasty_profile())]);
    let mut last = 0;
    for _ in 0..4 {
        let read = bench.reading().await;
        assert!((1_000_000..1_000_100).contains(&read.import_wh), "{read:?}");
        assert!(read.import_wh > last);
        assert_eq!(read.export_wh, 500);
        last = read.import_wh;
    }
}

/// Failure 19: an adapter that repeats what is sent.
#[tokio::test]
async fn an_echo_is_taken_off() {
    let shown = counting();
    let answer = move |ask| shown(ask).1.reply(ask);
    let device = Device::start(Framing::RtuWithEcho, answer).await;
    let mut bench = Bench::start(gateway(&device, true), vec![(1, hasty("eastron-sdm630"))]);
    for _ in 0..4 {
        let read = bench.reading().await;
        assert_eq!((read.export_wh, read.power_w), (500, Some(3_600)));
    }
    assert_eq!(device.connections(), 1);
}

#[tokio::test]
async fn an_echo_that_is_not_taken_off_brings_nothing_false() {
    let device = Device::start(Framing::RtuWithEcho, |ask| {
        Words::sdm630(1_000_000, 500, 3_600.0).reply(ask)
    })
    .await;
    let mut bench = Bench::start(gateway(&device, false), vec![(1, hasty_profile())]);
    for _ in 0..2 {
        match bench.next().await {
            MeterEvent::Reading(read) => {
                assert_eq!((read.import_wh, read.export_wh), (1_000_000, 500));
            }
            MeterEvent::Offline(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_wrong_length_or_unit_on_a_gateway_ends_the_connection() {
    for wrong in ["short", "long", "unit"] {
        let shown = counting();
        let device = Device::start(Framing::Rtu, move |ask| {
            let (index, words) = shown(ask);
            match (words.reply(ask), index, wrong) {
                (Reply::Words(words), 2, "short") => Reply::Words(words[2..].to_vec()),
                (Reply::Words(words), 2, "long") => Reply::Words([words, vec![1, 2]].concat()),
                // An exception of 5 bytes instead of an answer, then a healthy device.
                (_, 2, "unit") => Reply::Exception(4),
                (reply, _, _) => reply,
            }
        })
        .await;
        let mut bench = Bench::start(gateway(&device, false), vec![(1, hasty_profile())]);
        for _ in 0..5 {
            let read = bench.reading().await;
            assert_eq!((read.export_wh, read.power_w), (500, Some(3_600)), "{wrong}");
        }
        let expected = if wrong == "unit" { 1 } else { 2 };
        assert_eq!(device.connections(), expected, "{wrong}");
    }
}

#[tokio::test]
async fn a_line_that_is_not_plugged_in_is_waited_for() {
    let path = PathBuf::from("/dev/hidamari-no-such-line");
    let address = Address::Serial { path, line: SerialLine::default(), strip_echo: false };
    let mut bench = Bench::start(address, vec![(1, hasty_profile())]);
    for _ in 0..2 {
        let MeterEvent::Offline(why) = bench.next().await else { panic!("it is not there") };
        assert!(why.contains("/dev/hidamari-no-such-line"), "{why}");
    }
}
