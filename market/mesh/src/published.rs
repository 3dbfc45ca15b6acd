//! What this node published lately, so that a repetition is recognised, and sent once its time
//! has come.
//!
//! gossipsub's duplicate cache drops expired ids only when it takes in a new one. On a mesh
//! where nothing else moves, a publisher's own repetition would count as a duplicate for ever.
//! So a repetition that is due but still refused is preceded by a *pulse*: a tiny message on a
//! topic of its own that everyone ignores and nobody forwards, and whose arrival in the cache
//! lets the expired ids go.

use std::collections::{HashSet, VecDeque};

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use tokio::time::Instant;

use crate::limits::{DUPLICATE_WINDOW, PULSE_INTERVAL};

pub(crate) struct Published {
    local: PeerId,
    order: VecDeque<(Instant, MessageId)>,
    recent: HashSet<MessageId>,
    last_pulse: Option<Instant>,
    pulses: u64,
}

impl Published {
    pub(crate) fn new(local: PeerId) -> Published {
        Published {
            local,
            order: VecDeque::new(),
            recent: HashSet::new(),
            last_pulse: None,
            pulses: 0,
        }
    }

    /// Whether this node sent the message within the duplicate window.
    pub(crate) fn is_recent(&mut self, id: &MessageId, now: Instant) -> bool {
        while let Some((sent, _)) = self.order.front() {
            if now.duration_since(*sent) < DUPLICATE_WINDOW {
                break;
            }
            if let Some((_, expired)) = self.order.pop_front() {
                self.recent.remove(&expired);
            }
        }
        self.recent.contains(id)
    }

    pub(crate) fn note(&mut self, id: MessageId, now: Instant) {
        if self.recent.insert(id.clone()) {
            self.order.push_back((now, id));
        }
    }

    /// The payload of a pulse, unlike any earlier one of this process; `None` too soon after the
    /// last.
    pub(crate) fn pulse(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.last_pulse.is_some_and(|last| now.duration_since(last) < PULSE_INTERVAL) {
            return None;
        }
        self.last_pulse = Some(now);
        self.pulses = self.pulses.wrapping_add(1);
        let mut payload = self.local.to_bytes();
        payload.extend_from_slice(&self.pulses.to_be_bytes());
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_message_is_recent_for_exactly_the_window() {
        let mut published = Published::new(PeerId::random());
        let id = MessageId::new(b"id");
        let start = Instant::now();
        assert!(!published.is_recent(&id, start));
        published.note(id.clone(), start);
        assert!(published.is_recent(&id, start + DUPLICATE_WINDOW - Duration::from_millis(1)));
        assert!(!published.is_recent(&id, start + DUPLICATE_WINDOW));
        assert!(published.order.is_empty() && published.recent.is_empty());
    }

    #[test]
    fn pulses_differ_and_keep_their_distance() {
        let mut published = Published::new(PeerId::random());
        let start = Instant::now();
        let first = published.pulse(start).expect("the first");
        assert_eq!(published.pulse(start), None);
        assert_ne!(published.pulse(start + PULSE_INTERVAL), Some(first));
    }
}
