//! What the mesh counts, for the metrics of the roles.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::topic::Topic;

/// Counters of one mesh since its start. Shared, lock-free; read them with
/// [`MeshCounters::snapshot`].
#[derive(Debug, Default)]
pub struct MeshCounters {
    published: PerTopic,
    received: PerTopic,
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) ignored: AtomicU64,
    pub(crate) judged_late: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) oversized: AtomicU64,
    pub(crate) crowded_out: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) events_lost: AtomicU64,
    pub(crate) requests_refused: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) connections: AtomicU64,
}

#[derive(Debug, Default)]
struct PerTopic([AtomicU64; 4]);

impl PerTopic {
    fn of(&self, topic: Topic) -> &AtomicU64 {
        let [orders, readings, acts, blocks] = &self.0;
        match topic {
            Topic::Orders => orders,
            Topic::Readings => readings,
            Topic::Acts => acts,
            Topic::Blocks => blocks,
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshCounts {
    /// Messages in and out, per topic, in the order of [`Topic::ALL`].
    pub topics: [TopicCounts; 4],
    /// Messages judged [`crate::Verdict::Accept`].
    pub accepted: u64,
    /// Messages judged [`crate::Verdict::Reject`], and oversized ones.
    pub rejected: u64,
    /// Messages judged [`crate::Verdict::Ignore`], dropped unjudged, or not deliverable.
    pub ignored: u64,
    /// Verdicts that came after [`crate::VERDICT_WINDOW`], when nothing could be forwarded.
    pub judged_late: u64,
    /// Publishes suppressed as a repetition within [`crate::DUPLICATE_WINDOW`].
    pub repeated: u64,
    /// Payloads over [`crate::PAYLOAD_BYTES_MAX`], published or received.
    pub oversized: u64,
    /// Messages not delivered because the role had not judged enough of the earlier ones.
    pub crowded_out: u64,
    /// Messages not delivered because their sender was over its message budget.
    pub throttled: u64,
    /// Events of any kind that found the event queue full.
    pub events_lost: u64,
    /// Block requests refused: too many at once.
    pub requests_refused: u64,
    /// Times a peer of another chain was sent away.
    pub foreign: u64,
    /// Times a misbehaving peer was cut off.
    pub cut_off: u64,
    /// Connections opened since the start, both directions.
    pub connections_opened: u64,
    /// Inbound connections that failed or were refused before they were established.
    pub connections_refused: u64,
    /// Connections open now (a gauge).
    pub connections: u64,
}

/// Messages in and out on one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicCounts {
    /// The topic.
    pub topic: Topic,
    /// Messages published here and sent to at least one neighbour.
    pub published: u64,
    /// Messages that came in for the first time, whatever their verdict.
    pub received: u64,
}

impl MeshCounters {
    /// All counters now. Each is exact; together they are not one instant's.
    pub fn snapshot(&self) -> MeshCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MeshCounts {
            topics: Topic::ALL.map(|topic| TopicCounts {
                topic,
                published: read(self.published.of(topic)),
                received: read(self.received.of(topic)),
            }),
            accepted: read(&self.accepted),
            rejected: read(&self.rejected),
            ignored: read(&self.ignored),
            judged_late: read(&self.judged_late),
            repeated: read(&self.repeated),
            oversized: read(&self.oversized),
            crowded_out: read(&self.crowded_out),
            throttled: read(&self.throttled),
            events_lost: read(&self.events_lost),
            requests_refused: read(&self.requests_refused),
            foreign: read(&self.foreign),
            cut_off: read(&self.cut_off),
            connections_opened: read(&self.connections_opened),
            connections_refused: read(&self.connections_refused),
            connections: read(&self.connections),
        }
    }

    pub(crate) fn count_published(&self, topic: Topic) {
        count(self.published.of(topic));
    }

    pub(crate) fn count_received(&self, topic: Topic) {
        count(self.received.of(topic));
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
