//! Messages: who gets them, who does not.

use std::collections::BTreeSet;
use std::time::Duration;

use mesh::{DUPLICATE_WINDOW, MeshError, PAYLOAD_BYTES_MAX, Topic, Verdict};
use tokio::time::sleep;

use crate::attacker::Attacker;
use crate::node::{Node, Role, config, eventually};

#[tokio::test]
async fn what_one_says_reaches_all_once() {
    let hub = Node::start(&[]).await;
    let bootstrap = [hub.address()];
    let mut nodes = vec![hub];
    for _ in 0..4 {
        nodes.push(Node::start(&bootstrap).await);
    }
    eventually("all nodes know the hub", || {
        nodes.iter().skip(1).all(|node| node.knows(&nodes[0]) && nodes[0].knows(node))
    })
    .await;
    for (index, topic) in [(3, Topic::Orders), (0, Topic::Blocks), (1, Topic::Readings)] {
        let payload = format!("from {index}").into_bytes();
        nodes[index].says(topic, &payload).await;
        for (_, node) in nodes.iter_mut().enumerate().filter(|(other, _)| *other != index) {
            assert_eq!(node.hears().await, (topic, payload.clone()));
        }
    }
    for node in &mut nodes {
        assert!(node.heard.try_recv().is_err(), "heard twice, or its own message");
        let counts = node.mesh.counters().snapshot();
        assert_eq!(counts.topics.iter().map(|topic| topic.received).sum::<u64>(), counts.accepted);
    }
}

#[tokio::test]
async fn a_rejected_or_ignored_message_goes_no_further() {
    let judge = |payload: &[u8]| match payload {
        b"bad" => Some(Verdict::Reject),
        b"late" => Some(Verdict::Ignore),
        // Dropped unjudged.
        b"forgotten" => None,
        _ => Some(Verdict::Accept),
    };
    let mut middle = Node::with(config(&[]), Role { judge, ..Role::default() }).await;
    let mut end = Node::start(&[middle.address()]).await;
    eventually("the middle knows the end", || middle.knows(&end)).await;
    let mut attacker = Attacker::connect(&middle.address()).await;
    for payload in ["late", "forgotten", "bad", "good"] {
        attacker.shout(payload.as_bytes().to_vec());
    }
    let at_middle = attacker
        .meanwhile(async {
            let mut heard = BTreeSet::new();
            for _ in 0..4 {
                heard.insert(middle.hears().await.1);
            }
            heard
        })
        .await;
    assert_eq!(at_middle.len(), 4);
    let at_end = attacker.meanwhile(end.hears()).await;
    assert_eq!(at_end, (Topic::Orders, b"good".to_vec()));
    attacker.linger(Duration::from_secs(2)).await;
    assert!(end.heard.try_recv().is_err(), "heard what was not accepted");
    let counts = middle.mesh.counters().snapshot();
    assert_eq!((counts.accepted, counts.rejected, counts.ignored), (1, 1, 2));
}

#[tokio::test]
async fn nobody_to_hear_and_too_much_to_say_have_names() {
    let alone = Node::start(&[]).await;
    let error = alone.mesh.publish(Topic::Orders, vec![1]).await;
    assert!(matches!(error, Err(MeshError::NoPeers { topic: Topic::Orders })));
    let error = alone.mesh.publish(Topic::Orders, vec![1; PAYLOAD_BYTES_MAX + 1]).await;
    assert!(matches!(error, Err(MeshError::PayloadTooLarge { .. })));
    assert_eq!(alone.mesh.counters().snapshot().oversized, 1);

    let mut other = Node::start(&[alone.address()]).await;
    let longest = vec![7; PAYLOAD_BYTES_MAX];
    alone.says(Topic::Orders, &longest).await;
    assert_eq!(other.hears().await, (Topic::Orders, longest));

    let mesh = alone.mesh.clone();
    alone.stop().await;
    let error = mesh.publish(Topic::Orders, vec![2]).await;
    assert!(matches!(error, Err(MeshError::Stopped)));
}

/// Waits in real time, because the window is gossipsub's: a sender that repeats itself on an
/// otherwise silent mesh must come through once per window.
#[tokio::test]
async fn a_repetition_is_suppressed_within_the_window_and_sent_after_it() {
    let speaker = Node::start(&[]).await;
    let mut listener = Node::start(&[speaker.address()]).await;
    speaker.says(Topic::Orders, b"again").await;
    assert_eq!(listener.hears().await.1, b"again");
    speaker.says(Topic::Orders, b"again").await;
    assert_eq!(speaker.mesh.counters().snapshot().repeated, 1);
    sleep(DUPLICATE_WINDOW + Duration::from_secs(1)).await;
    assert!(listener.heard.try_recv().is_err(), "heard within the window");
    speaker.says(Topic::Orders, b"again").await;
    assert_eq!(listener.hears().await.1, b"again");
    let counts = listener.mesh.counters().snapshot();
    assert_eq!((counts.topics[0].received, counts.ignored), (2, 0));
}

/// Messages have no author, so who passes one on cannot know that it goes back to its publisher.
#[tokio::test]
async fn whoever_brings_a_message_back_to_its_publisher_is_no_liar() {
    let mut publisher = Node::start(&[]).await;
    let listener = Node::start(&[publisher.address()]).await;
    eventually("they know each other", || publisher.knows(&listener)).await;
    let payloads: Vec<_> = (0..6_u8).map(|number| vec![number; 8]).collect();
    for payload in &payloads {
        publisher.says(Topic::Orders, payload).await;
    }
    let mut echo = Attacker::connect(&publisher.address()).await;
    for payload in payloads {
        echo.shout(payload);
    }
    echo.shout(b"news".to_vec());
    let heard = echo.meanwhile(publisher.hears()).await;
    assert_eq!(
        heard,
        (Topic::Orders, b"news".to_vec()),
        "it is listened to, and nothing came back"
    );
}
