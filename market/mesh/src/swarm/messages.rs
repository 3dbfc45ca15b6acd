//! Gossip in and out: publishing, delivery, verdicts.

use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};
use tokio::time::Instant;

use super::SwarmTask;
use crate::counters::count;
use crate::error::MeshError;
use crate::gossip::{GRAYLIST_SCORE, message_id};
use crate::handle::MeshEvent;
use crate::inbox::Admission;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::ticket::{Judgement, MessageTicket, Verdict};
use crate::topic::{Heard, Topic};

impl SwarmTask {
    pub(super) fn publish(&mut self, topic: Topic, payload: Vec<u8>) -> Result<(), MeshError> {
        let now = Instant::now();
        let hash = self.topics.hash(topic);
        let id = message_id(&hash, &payload);
        if self.published.is_recent(&id, now) {
            count(&self.counters.repeated);
            return Ok(());
        }
        let mut result = self.swarm.behaviour_mut().gossip.publish(hash.clone(), payload.clone());
        if matches!(result, Err(PublishError::Duplicate)) && self.pulse(now) {
            result = self.swarm.behaviour_mut().gossip.publish(hash, payload);
        }
        match result {
            Ok(_) => {
                self.published.note(id, now);
                self.counters.count_published(topic);
                Ok(())
            }
            // Someone else's message with the same bytes came in within the window.
            Err(PublishError::Duplicate) => {
                count(&self.counters.repeated);
                Ok(())
            }
            Err(PublishError::NoPeersSubscribedToTopic) => Err(MeshError::NoPeers { topic }),
            Err(PublishError::AllQueuesFull(peers)) => Err(MeshError::QueuesFull { topic, peers }),
            Err(error) => Err(MeshError::PublishFailed { topic, reason: error.to_string() }),
        }
    }

    /// Sends a pulse, so that the duplicate cache lets expired ids go. Returns whether it did.
    fn pulse(&mut self, now: Instant) -> bool {
        let Some(payload) = self.published.pulse(now) else {
            return false;
        };
        self.swarm.behaviour_mut().gossip.publish(self.topics.pulse(), payload).is_ok()
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(Heard::Market(topic)) = self.topics.heard(&topic) {
                    self.links.subscribed(&peer_id, topic);
                    self.welcome(peer_id);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a neighbour is slow to take messages");
            }
            _ => {}
        }
    }

    fn on_message(&mut self, from: PeerId, id: MessageId, message: gossipsub::Message) {
        let gossipsub::Message { data: payload, topic, .. } = message;
        let admission = self.inbox.admit(from, payload.len(), Instant::now());
        let dropped = match (admission, self.topics.heard(&topic)) {
            (Admission::Deliver, Some(Heard::Market(topic))) => {
                self.deliver(from, id, topic, payload);
                return;
            }
            (Admission::Deliver, _) => {
                self.inbox.settle(from, payload.len());
                None
            }
            (Admission::Crowded, _) => Some(&self.counters.crowded_out),
            (Admission::Throttled | Admission::Flooding, _) => Some(&self.counters.throttled),
        };
        if let Some(counter) = dropped {
            count(counter);
            count(&self.counters.ignored);
        }
        self.report(&id, from, MessageAcceptance::Ignore);
        if admission == Admission::Flooding {
            self.cut_off(from, "it floods the mesh");
        }
    }

    fn deliver(&mut self, from: PeerId, id: MessageId, topic: Topic, payload: Vec<u8>) {
        self.counters.count_received(topic);
        let bytes = payload.len();
        let ticket = MessageTicket::new(id, from, bytes, self.reply_sender.clone());
        if bytes > PAYLOAD_BYTES_MAX {
            count(&self.counters.oversized);
            tracing::info!(%topic, bytes, peer = %from, "refused an oversized message");
            ticket.settle(Verdict::Reject);
            return;
        }
        self.emit(MeshEvent::Message { topic, payload, from, ticket });
    }

    pub(super) fn on_judgement(&mut self, judgement: &Judgement) {
        let Judgement { id, from, bytes, verdict } = judgement;
        let (from, verdict) = (*from, *verdict);
        self.inbox.settle(from, *bytes);
        let (counter, acceptance) = match verdict {
            Verdict::Accept => (&self.counters.accepted, MessageAcceptance::Accept),
            Verdict::Reject => (&self.counters.rejected, MessageAcceptance::Reject),
            Verdict::Ignore => (&self.counters.ignored, MessageAcceptance::Ignore),
        };
        count(counter);
        self.report(id, from, acceptance);
        if verdict == Verdict::Reject {
            self.cut_off_if_graylisted(from);
        }
    }

    fn report(&mut self, id: &MessageId, from: PeerId, acceptance: MessageAcceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, &from, acceptance) {
            count(&self.counters.judged_late);
        }
    }

    pub(super) fn cut_off_if_graylisted(&mut self, peer: PeerId) {
        let score = self.swarm.behaviour().gossip.peer_score(&peer);
        if score.is_some_and(|score| score < GRAYLIST_SCORE) {
            self.cut_off(peer, "it sent bad messages");
        }
    }
}
