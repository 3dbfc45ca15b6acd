//! At least once: stored messages are sent, and sent again, until they stand in a block or can no
//! longer count. All times here are real, but for the instant at which a message becomes useless.

use market::hash::Digest;
use market::time::Timestamp;
use mesh::DUPLICATE_WINDOW;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

use crate::modbus::jitter;
use crate::outbox::Message;
use crate::signer::{MessageKey, MessageKind};

/// Within the mesh's duplicate window the same bytes are suppressed, so they are repeated a little
/// after it.
const REPEAT_AFTER: Duration = DUPLICATE_WINDOW.saturating_add(Duration::from_secs(1));
/// At most this much is added at random, so that households do not repeat in step.
const REPEAT_JITTER: Duration = Duration::from_secs(3);
/// How soon to try again what no neighbour took.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How many messages are handed to the mesh at once; after a day offline there are hundreds.
const BURST_MAX: usize = 32;
/// How many latencies are kept for the report.
const LATENCIES_KEPT: usize = 1024;

/// What waits to be seen in a block.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pending: BTreeMap<Digest, Pending>,
    latencies_ms: VecDeque<u32>,
    committed_count: u64,
    expired_count: u64,
}

#[derive(Debug)]
struct Pending {
    message: Message,
    /// When it was signed by this process; `None` for what an earlier one left.
    signed: Option<Instant>,
    next: Instant,
    /// No neighbour took it yet.
    unsent: bool,
}

/// How long orders took from being signed to being seen in a block, in milliseconds of real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Latency {
    /// How many were measured, of the latest.
    pub count: u32,
    /// Half of them took no longer.
    pub median_ms: u32,
    /// 99 of 100 took no longer.
    pub p99_ms: u32,
}

impl Delivery {
    /// Takes over what an earlier process left.
    pub(crate) fn resume(left: Vec<Message>, now: Instant) -> Self {
        let mut delivery = Self::default();
        for message in left {
            delivery.insert(message, None, now);
        }
        delivery
    }

    /// Takes a message that was signed and stored just now. It takes the place of an older one of
    /// the same kind and period, which would only be refused as replayed.
    pub(crate) fn add(&mut self, message: Message, signed: Instant) {
        self.insert(message, Some(signed), signed);
    }

    fn insert(&mut self, message: Message, signed: Option<Instant>, next: Instant) {
        let (key, sequence) = (message.key, message.sequence);
        self.pending
            .retain(|_, other| other.message.key != key || other.message.sequence > sequence);
        self.pending.insert(message.hash, Pending { message, signed, next, unsent: true });
    }

    /// The messages whose turn it is.
    pub(crate) fn due(&self, now: Instant) -> Vec<Message> {
        let due = self.pending.values().filter(|pending| pending.next <= now);
        due.take(BURST_MAX).map(|pending| pending.message.clone()).collect()
    }

    /// A message was handed to the mesh, or nobody took it.
    pub(crate) fn sent(&mut self, hash: &Digest, taken: bool, now: Instant) {
        if let Some(pending) = self.pending.get_mut(hash) {
            pending.unsent = pending.unsent && !taken;
            let pause = if taken { REPEAT_AFTER + jitter(REPEAT_JITTER) } else { RETRY_AFTER };
            pending.next = now + pause;
        }
    }

    /// A neighbour appeared: what nobody took so far goes out at once.
    pub(crate) fn peers_appeared(&mut self, now: Instant) {
        for pending in self.pending.values_mut().filter(|pending| pending.unsent) {
            pending.next = now;
        }
    }

    /// A message stands in a block.
    pub(crate) fn committed(&mut self, hash: &Digest, now: Instant) {
        let Some(pending) = self.pending.remove(hash) else { return };
        self.committed_count = self.committed_count.saturating_add(1);
        let is_order = matches!(pending.message.key.kind, MessageKind::Bid | MessageKind::Offer);
        if let Some(signed) = pending.signed.filter(|_| is_order) {
            let took_ms = now.saturating_duration_since(signed).as_millis();
            if self.latencies_ms.len() >= LATENCIES_KEPT {
                self.latencies_ms.pop_front();
            }
            self.latencies_ms.push_back(u32::try_from(took_ms).unwrap_or(u32::MAX));
        }
    }

    /// Gives up what can no longer count, and hands it out.
    pub(crate) fn expire(&mut self, market_now: Timestamp) -> Vec<Message> {
        let is_useless = |pending: &Pending| pending.message.useless_from <= market_now;
        let expired: Vec<_> = self
            .pending
            .extract_if(.., |_, pending| is_useless(pending))
            .map(|(_, pending)| pending.message)
            .collect();
        let count = u64::try_from(expired.len()).unwrap_or(u64::MAX);
        self.expired_count = self.expired_count.saturating_add(count);
        expired
    }

    /// Whether a message of this kind and period waits to be seen in a block.
    pub(crate) fn waits_for(&self, key: &MessageKey) -> bool {
        self.pending.values().any(|pending| pending.message.key == *key)
    }

    /// How many messages wait.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// How many messages this process has seen in blocks.
    pub(crate) fn committed_count(&self) -> u64 {
        self.committed_count
    }

    /// How many messages this process had to give up.
    pub(crate) fn expired_count(&self) -> u64 {
        self.expired_count
    }

    /// The latencies of the latest orders.
    pub(crate) fn latency(&self) -> Latency {
        let mut sorted: Vec<_> = self.latencies_ms.iter().copied().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let index = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).copied().unwrap_or_default()
        };
        let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        Latency { count, median_ms: rank(50), p99_ms: rank(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::time::{DeliveryPeriod, PeriodLength};

    fn message(period: i64, sequence: u64) -> Message {
        let start = Timestamp::from_millis(period * 900_000);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        let bytes = format!("{period:?} {sequence}").into_bytes();
        Message {
            hash: Digest::of(&[&bytes]),
            key: MessageKey { kind: MessageKind::Offer, period: Some(period) },
            sequence,
            bytes,
            useless_from: start,
        }
    }

    #[tokio::test]
    async fn what_nobody_took_goes_out_when_a_neighbour_appears() {
        let start = Instant::now();
        let mut delivery = Delivery::default();
        let offer = message(1, 1);
        delivery.add(offer.clone(), start);
        assert_eq!(delivery.due(start).len(), 1);
        delivery.sent(&offer.hash, false, start);
        assert!(delivery.due(start).is_empty());
        delivery.peers_appeared(start);
        assert_eq!(delivery.due(start).len(), 1);
        delivery.sent(&offer.hash, true, start);
        delivery.peers_appeared(start);
        assert!(delivery.due(start + DUPLICATE_WINDOW).is_empty(), "it would be suppressed");
        assert_eq!(delivery.due(start + REPEAT_AFTER + REPEAT_JITTER).len(), 1);
    }

    #[tokio::test]
    async fn a_newer_order_takes_the_place_of_the_older_in_any_order() {
        let start = Instant::now();
        for order in [[1, 2], [2, 1]] {
            let mut delivery = Delivery::default();
            for sequence in order {
                delivery.add(message(1, sequence), start);
            }
            let due = delivery.due(start);
            assert!(due.iter().any(|message| message.sequence == 2));
        }
        let mut delivery = Delivery::default();
        delivery.add(message(1, 1), start);
        delivery.add(message(1, 2), start);
        assert_eq!(delivery.pending_count(), 1);
    }

    #[tokio::test]
    async fn latencies_are_ranked_and_useless_messages_given_up() {
        let start = Instant::now();
        let mut delivery = Delivery::default();
        for (period, took_ms) in (1..=100).zip(1..) {
            let offer = message(period, 1);
            delivery.add(offer.clone(), start);
            delivery.committed(&offer.hash, start + Duration::from_millis(took_ms));
        }
        let latency = delivery.latency();
        assert_eq!((latency.count, latency.median_ms, latency.p99_ms), (100, 50, 99));
        delivery.add(message(200, 1), start);
        assert!(delivery.expire(Timestamp::from_millis(200 * 900_000 - 1)).is_empty());
        assert_eq!(delivery.expire(Timestamp::from_millis(200 * 900_000)).len(), 1);
        assert_eq!(delivery.pending_count(), 0);
    }
}
