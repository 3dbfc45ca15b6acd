//! Attackers that do not keep to the protocol, and roles that do not keep up.

use std::time::Duration;

use libp2p::swarm::SwarmEvent;
use mesh::{Mesh, MeshEvent, PAYLOAD_BYTES_MAX, Topic, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::attacker::Attacker;
use crate::node::{Node, Role, config, eventually};

#[tokio::test]
async fn oversized_messages_are_counted_or_never_read_and_stop_nothing() {
    let mut victim = Node::start(&[]).await;
    let mut attacker = Attacker::connect(&victim.address()).await;
    attacker.shout(vec![1; PAYLOAD_BYTES_MAX + 1]);
    let counters = victim.mesh.counters();
    attacker.meanwhile(eventually("it is counted", || counters.snapshot().oversized == 1)).await;
    assert_eq!(counters.snapshot().rejected, 1);

    let mut brute = Attacker::connect(&victim.address()).await;
    for number in 0..8 {
        brute.shout(vec![number; 1024 * 1024]);
        brute.linger(Duration::from_millis(50)).await;
    }
    let honest = Node::start(&[victim.address()]).await;
    honest.says(Topic::Orders, b"an honest order").await;
    assert_eq!(victim.hears().await, (Topic::Orders, b"an honest order".to_vec()));
    assert!(victim.heard.try_recv().is_err());
}

#[tokio::test]
async fn who_sends_bad_messages_is_cut_off_and_stays_out() {
    let judge = |payload: &[u8]| {
        Some(if payload.starts_with(b"bad") { Verdict::Reject } else { Verdict::Accept })
    };
    let victim = Node::with(config(&[]), Role { judge, ..Role::default() }).await;
    let mut attacker = Attacker::connect(&victim.address()).await;
    attacker.shout(b"bad 1".to_vec());
    attacker.shout(b"bad 2".to_vec());
    attacker.until_thrown_out().await;
    let counters = victim.mesh.counters();
    assert_eq!(counters.snapshot().cut_off, 1);
    assert_eq!(counters.snapshot().rejected, 2);
    attacker.dial(&victim.address());
    let outcome = attacker
        .until(|event| {
            matches!(
                event,
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. }
            )
        })
        .await;
    drop(outcome);
    eventually("no connection is left", || counters.snapshot().connections == 0).await;
}

#[tokio::test]
async fn a_role_that_does_not_judge_is_not_buried_and_others_keep_their_share() {
    let shutdown = CancellationToken::new();
    let (idle, mut events) =
        Mesh::start(config(&[]), shutdown.clone()).await.expect("the mesh starts");
    let address = idle.listening().remove(0);
    let mut flooder = Attacker::connect(&address).await;
    for number in 0..1000_u32 {
        flooder.shout(number.to_be_bytes().to_vec());
    }
    let counters = idle.counters();
    flooder
        .meanwhile(eventually("all have come in", || {
            let counts = counters.snapshot();
            counts.topics[0].received + counts.crowded_out == 1000
        }))
        .await;
    // One neighbour's share of the queue.
    assert_eq!(counters.snapshot().topics[0].received, 512);

    let honest = Node::start(&[address]).await;
    honest.says(Topic::Orders, b"an honest order").await;
    eventually("it has come in", || counters.snapshot().topics[0].received == 513).await;
    let mut delivered = 0;
    let mut honest_heard = false;
    while delivered < 513 {
        if let Some(MeshEvent::Message { payload, from, ticket, .. }) = events.recv().await {
            delivered += 1;
            honest_heard |= payload == b"an honest order" && from == honest.mesh.peer_id();
            idle.judge(ticket, Verdict::Ignore);
        }
    }
    assert!(honest_heard);

    // All judged: there is room again.
    flooder.shout(b"one more".to_vec());
    flooder
        .meanwhile(eventually("it has come in", || counters.snapshot().topics[0].received == 514))
        .await;
    shutdown.cancel();
    events.stopped().await.expect("the mesh ends");
}

#[tokio::test]
async fn garbage_and_half_open_connections_keep_no_member_out() {
    let mut victim = Node::start(&[]).await;
    let address = victim.address().to_string();
    let port: u16 = address.rsplit('/').next().expect("a port").parse().expect("a port");
    let mut held = Vec::new();
    for number in 0..200_u16 {
        // The listen queue may be full: refusing an attacker is as good as any other end.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            if number % 2 == 0 {
                let _ = stream.write_all(&number.to_be_bytes().repeat(500)).await;
            }
            held.push(stream);
        }
    }
    let member = Node::start(&[victim.address()]).await;
    member.says(Topic::Orders, b"an honest order").await;
    assert_eq!(victim.hears().await, (Topic::Orders, b"an honest order".to_vec()));
    let refused = || victim.mesh.counters().snapshot().connections_refused;
    eventually("the attackers are gone", || refused() >= 150).await;
    drop(held);
}
