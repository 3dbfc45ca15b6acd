//! Every fault does what it says on the wire, and is gone when switched off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use simulators::faults::Fault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::modbus::{connect, read_float};
use crate::stage::{Served, serve_solar_house};

/// Transaction 0x0102, unit 1, function 4: two words from 0x48 (import).
const REQUEST: [u8; 12] = [1, 2, 0, 0, 0, 6, 1, 4, 0, 0x48, 0, 2];
/// Long enough for any answer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to listen when nothing more is expected.
const LISTEN: Duration = Duration::from_millis(50);

/// What came back, and whether the device closed the connection.
type Outcome = (Vec<u8>, bool);

/// Sends the request on a new connection and waits for what is expected; what came back then, and
/// shortly after.
async fn exchange(address: SocketAddr, expected: &Outcome) -> Outcome {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut answer = Vec::new();
    if stream.write_all(&REQUEST).await.is_err() {
        return (answer, true);
    }
    let mut buffer = [0; 256];
    loop {
        let complete = answer.len() >= expected.0.len() && !expected.1;
        let wait = if complete { LISTEN } else { PATIENCE };
        match timeout(wait, stream.read(&mut buffer)).await {
            Err(_) => return (answer, false),
            Ok(Err(_) | Ok(0)) => return (answer, true),
            Ok(Ok(count)) => answer.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The outcome under a fault. Afterwards the meter must be healthy again.
async fn under(served: &Served, fault: Fault, expected: &Outcome) -> Outcome {
    served.faults.set(Some(fault));
    let outcome = exchange(served.server.address(), expected).await;
    served.faults.set(None);
    let mut client = connect(served.server.address()).await;
    assert!(read_float(&mut client, 0x46).await > 49.0, "healthy again after {fault:?}");
    outcome
}

#[tokio::test]
async fn each_fault_has_its_own_face_on_the_wire() {
    let served = serve_solar_house().await;
    let (healthy, _) = exchange(served.server.address(), &(vec![0; 13], false)).await;
    assert_eq!(healthy[..9], [1, 2, 0, 0, 0, 7, 1, 4, 4]);
    let value = healthy[9..].to_vec();
    let framed = |head: &[u8], data: &[u8]| [head, data].concat();

    let cases = [
        (Fault::Silence, vec![], false),
        (Fault::Busy, vec![1, 2, 0, 0, 0, 3, 1, 0x84, 6], false),
        (Fault::UnknownException, vec![1, 2, 0, 0, 0, 3, 1, 0x84, 0x63], false),
        (Fault::ShortAnswer, framed(&[1, 2, 0, 0, 0, 5, 1, 4, 2], &value[..2]), false),
        (
            Fault::LongAnswer,
            framed(&[1, 2, 0, 0, 0, 9, 1, 4, 6], &[&value[..], &[0, 0]].concat()),
            false,
        ),
        (Fault::NanWords, vec![1, 2, 0, 0, 0, 7, 1, 4, 4, 0x7F, 0xC0, 0, 0], false),
        (Fault::CounterZero, vec![1, 2, 0, 0, 0, 7, 1, 4, 4, 0, 0, 0, 0], false),
        (Fault::WrongTransaction, framed(&[1, 1, 0, 0, 0, 7, 1, 4, 4], &value), false),
        (Fault::WrongUnit, framed(&[1, 2, 0, 0, 0, 7, 2, 4, 4], &value), false),
        (Fault::WrongFunction, framed(&[1, 2, 0, 0, 0, 7, 1, 5, 4], &value), false),
        (Fault::ByteCountTooLarge, framed(&[1, 2, 0, 0, 0, 7, 1, 4, 6], &value), false),
        (Fault::OddByteCount, framed(&[1, 2, 0, 0, 0, 6, 1, 4, 3], &value[..3]), false),
        (Fault::CutOff, healthy[..7].to_vec(), true),
        (Fault::ResetConnections, vec![], true),
    ];
    for (fault, answer, closed) in cases {
        let expected = (answer, closed);
        assert_eq!(under(&served, fault, &expected).await, expected, "{fault:?}");
    }
    let (junk, closed) = under(&served, Fault::Junk, &(vec![0; 14], false)).await;
    assert!(junk.len() > 13 && !closed);
    assert_ne!(junk[..7], healthy[..7]);
}

#[tokio::test]
async fn a_late_answer_is_right_but_late() {
    let served = serve_solar_house().await;
    served.faults.set(Some(Fault::LateAnswer { delay_ms: 150 }));
    let mut client = connect(served.server.address()).await;
    let asked = Instant::now();
    assert!(read_float(&mut client, 0x46).await > 49.0);
    assert!(asked.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_stuck_meter_shows_what_it_last_showed_and_counts_on_unseen() {
    let served = serve_solar_house().await;
    let mut client = connect(served.server.address()).await;
    let before = read_float(&mut client, 0x48).await + read_float(&mut client, 0x4A).await;
    served.faults.set(Some(Fault::StuckValues));
    served.clock.forward_ms(6 * 3_600_000);
    let stuck = read_float(&mut client, 0x48).await + read_float(&mut client, 0x4A).await;
    assert_eq!(before.to_bits(), stuck.to_bits());
    served.faults.set(None);
    let after = read_float(&mut client, 0x48).await + read_float(&mut client, 0x4A).await;
    assert!(after > before);
}

#[tokio::test]
async fn faults_also_strike_connections_that_stand() {
    let served = serve_solar_house().await;
    let mut stream = TcpStream::connect(served.server.address()).await.expect("a connection");
    stream.write_all(&REQUEST).await.expect("sent");
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).await.expect("an honest answer");
    served.faults.set(Some(Fault::ResetConnections));
    stream.write_all(&REQUEST).await.expect("sent");
    let ended = timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
}

#[tokio::test]
async fn one_client_only_turns_the_second_away_until_the_first_leaves() {
    let served = serve_solar_house().await;
    served.faults.set(Some(Fault::OneClientOnly));
    let mut first = connect(served.server.address()).await;
    assert!(read_float(&mut first, 0x46).await > 49.0);
    let turned_away = (vec![], true);
    assert_eq!(exchange(served.server.address(), &turned_away).await, turned_away);
    drop(first);
    let freed = async {
        while exchange(served.server.address(), &(vec![0; 13], false)).await == turned_away {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), freed).await.expect("the place is free again");
}
