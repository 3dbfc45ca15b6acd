//! gossipsub's settings: messages without author, verdict before forwarding, payload-derived message
//! ids, and a peer score that punishes nothing an honest peer on a quiet topic does.
//!
//! Every payload carries the signature of whoever answers for it. One more by the transport key of
//! its publisher would prove nothing to anybody, would be checked for each copy of each message,
//! and would tell every neighbour from which machine a party speaks.

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentityTransform, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

use crate::error::MeshError;
use crate::limits::{CONNECTIONS_MAX, DUPLICATE_WINDOW, FRAME_BYTES_MAX, VERDICT_WINDOW};
use crate::names::Names;
use crate::topic::Topics;

pub(crate) type Gossip = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeats that a message stays: as long as its verdict may take.
const HISTORY: usize = 10;
/// Message ids in one gossip announcement: together they stay well below a frame.
const ANNOUNCED_MAX: usize = 1000;
/// Messages taken out of one frame; the rest of it is dropped.
const MESSAGES_PER_FRAME_MAX: usize = 256;
/// Messages waiting for one slow neighbour, at most this many times [`FRAME_BYTES_MAX`] of memory.
const SEND_QUEUE_MAX: usize = 512;
/// How long a message waits in that queue.
const SEND_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Below this score nothing of a peer is listened to, and the mesh cuts it off. One rejected
/// message costs 30, two cost 120, and the count halves in about three minutes.
pub(crate) const GRAYLIST_SCORE: f64 = -80.0;
const INVALID_WEIGHT: f64 = -30.0;
const INVALID_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// What good service can add at most: never enough to pay for a rejected message.
const GOOD_SCORE_MAX: f64 = 10.0;

pub(crate) fn build(names: &Names, topics: &Topics) -> Result<Gossip, MeshError> {
    let setup = |reason: String| MeshError::Setup { part: "gossip", reason };
    let config = config(names).map_err(|error| setup(error.to_string()))?;
    let allowed = topics.all().map(|topic| topic.hash()).collect();
    let mut gossip = Gossip::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        config,
        WhitelistSubscriptionFilter(allowed),
    )
    .map_err(|error| setup(error.to_owned()))?;
    gossip.with_peer_score(score(topics), thresholds()).map_err(setup)?;
    for topic in topics.all() {
        gossip.subscribe(topic).map_err(|error| setup(error.to_string()))?;
    }
    Ok(gossip)
}

/// SHA-256 over domain, topic and payload. Neither author nor sequence number enters: the same
/// payload stays the same message, whoever sends it how often.
pub(crate) fn message_id(topic: &TopicHash, payload: &[u8]) -> MessageId {
    let topic = topic.as_str().as_bytes();
    let mut hash = Sha256::new();
    hash.update(b"hidamari/mesh/message/1\0");
    hash.update(u64::try_from(topic.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(topic);
    hash.update(payload);
    MessageId::new(&hash.finalize())
}

fn config(names: &Names) -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    debug_assert_eq!(HEARTBEAT * u32::try_from(HISTORY).unwrap_or(u32::MAX), VERDICT_WINDOW);
    // Peer exchange stays off by default: discovery is Kademlia's and mDNS's.
    ConfigBuilder::default()
        .protocol_id_prefix(names.gossip_prefix())
        .validation_mode(ValidationMode::Anonymous)
        // Who passes a message on cannot know that it goes back to its publisher, where it is a
        // duplicate and nothing worse.
        .allow_self_origin(true)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.topic, &message.data))
        .max_transmit_size(FRAME_BYTES_MAX)
        .duplicate_cache_time(DUPLICATE_WINDOW)
        .heartbeat_interval(HEARTBEAT)
        .heartbeat_initial_delay(HEARTBEAT)
        .history_length(HISTORY)
        .max_ihave_length(ANNOUNCED_MAX)
        .max_messages_per_rpc(Some(MESSAGES_PER_FRAME_MAX))
        .connection_handler_queue_len(SEND_QUEUE_MAX)
        .publish_queue_duration(SEND_QUEUE_TIMEOUT)
        .forward_queue_duration(SEND_QUEUE_TIMEOUT)
        .flood_publish(true)
        .build()
}

fn score(topics: &Topics) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics.all().map(|topic| (topic.hash(), topic_score())).collect(),
        topic_score_cap: GOOD_SCORE_MAX,
        // P6: a community may live behind one NAT; the connection limits bound it instead.
        ip_colocation_factor_threshold: f64::from(CONNECTIONS_MAX),
        // P7: a restart or a busy moment breaks a few promises; only a habit is punished.
        behaviour_penalty_threshold: 6.0,
        ..PeerScoreParams::default()
    }
}

fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // P1: up to 3 points for an hour and a half of company.
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(18),
        time_in_mesh_cap: 300.0,
        // P2: up to 5 points for bringing news first.
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 50.0,
        // P3: off. It expects a steady stream, and a quiet topic would turn honest peers bad.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // P4: rejected messages.
        invalid_message_deliveries_weight: INVALID_WEIGHT,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(INVALID_FORGOTTEN_AFTER),
        ..TopicScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -50.0,
        graylist_threshold: GRAYLIST_SCORE,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_on_another_topic_or_across_its_border_are_another_message() {
        let orders = TopicHash::from_raw("orders");
        let id = message_id(&orders, b"payload");
        assert_eq!(id, message_id(&orders, b"payload"));
        assert_ne!(id, message_id(&TopicHash::from_raw("readings"), b"payload"));
        assert_ne!(id, message_id(&TopicHash::from_raw("ordersp"), b"ayload"));
        assert_eq!(id.0.len(), 32);
    }

    #[test]
    fn the_settings_are_the_ones_that_keep_a_mesh_safe() {
        let names = Names::new(&[7; 32]);
        let config = config(&names).expect("valid settings");
        assert!(config.validate_messages());
        assert!(matches!(config.validation_mode(), ValidationMode::Anonymous));
        assert!(!config.do_px());
        assert!(config.allow_self_origin());
        assert!(config.flood_publish());
        assert_eq!(config.duplicate_cache_time(), DUPLICATE_WINDOW);
        assert_eq!(config.max_transmit_size(), FRAME_BYTES_MAX);
        let topics = Topics::new(&names);
        let score = score(&topics);
        score.validate().expect("valid score parameters");
        thresholds().validate().expect("valid thresholds");
        assert_eq!(score.topics.len(), 5);
        for topic in score.topics.values() {
            assert_eq!(topic.mesh_message_deliveries_weight, 0.0);
            assert!(topic.invalid_message_deliveries_weight + GOOD_SCORE_MAX < 0.0);
        }
    }
}
