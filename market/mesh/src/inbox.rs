//! What may come in from whom: a message budget per neighbour, and bounded shares of the queue of
//! messages that wait for a verdict. So one flooding neighbour delays the others by no more than
//! its own share of the queue.

use std::collections::BTreeMap;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::limits::{
    MESSAGES_BURST, MESSAGES_DEBT_MAX, MESSAGES_PER_SECOND, UNJUDGED_BYTES_MAX,
    UNJUDGED_BYTES_PER_PEER_MAX, UNJUDGED_MAX, UNJUDGED_PER_PEER_MAX,
};

/// What to do with a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Hand it to the role; [`Inbox::settle`] follows with its verdict.
    Deliver,
    /// Drop it: too many messages wait for a verdict.
    Crowded,
    /// Drop it: the neighbour is over its budget.
    Throttled,
    /// Drop it and cut the neighbour off: it is far over its budget.
    Flooding,
}

#[derive(Default)]
pub(crate) struct Inbox {
    unjudged: BTreeMap<PeerId, Load>,
    total: Load,
    budgets: BTreeMap<PeerId, Budget>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

struct Budget {
    tokens: f64,
    refilled: Instant,
}

impl Inbox {
    pub(crate) fn admit(&mut self, from: PeerId, bytes: usize, now: Instant) -> Admission {
        let budget =
            self.budgets.entry(from).or_insert(Budget { tokens: MESSAGES_BURST, refilled: now });
        budget.refill(now);
        budget.tokens -= 1.0;
        if budget.tokens < -MESSAGES_DEBT_MAX {
            return Admission::Flooding;
        }
        if budget.tokens < 0.0 {
            return Admission::Throttled;
        }
        let own = self.unjudged.get(&from).copied().unwrap_or_default().with(bytes);
        let total = self.total.with(bytes);
        let crowded = own.exceeds(UNJUDGED_PER_PEER_MAX, UNJUDGED_BYTES_PER_PEER_MAX)
            || total.exceeds(UNJUDGED_MAX, UNJUDGED_BYTES_MAX);
        if crowded {
            return Admission::Crowded;
        }
        self.unjudged.insert(from, own);
        self.total = total;
        Admission::Deliver
    }

    /// Gives back the place of a delivered message, once per message.
    pub(crate) fn settle(&mut self, from: PeerId, bytes: usize) {
        self.total = self.total.without(bytes);
        let own = self.unjudged.get(&from).copied().unwrap_or_default().without(bytes);
        if own.messages == 0 {
            self.unjudged.remove(&from);
        } else {
            self.unjudged.insert(from, own);
        }
    }

    /// Forgets budgets that are full again, so that only busy neighbours cost memory.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.budgets.retain(|_, budget| {
            budget.refill(now);
            budget.tokens < MESSAGES_BURST
        });
    }
}

impl Budget {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.tokens = (self.tokens + seconds * MESSAGES_PER_SECOND).min(MESSAGES_BURST);
    }
}

impl Load {
    fn with(self, bytes: usize) -> Load {
        Load { messages: self.messages + 1, bytes: self.bytes + bytes }
    }

    fn without(self, bytes: usize) -> Load {
        Load { messages: self.messages.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }

    fn exceeds(self, messages: usize, bytes: usize) -> bool {
        self.messages > messages || self.bytes > bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_neighbour_never_takes_more_than_its_share() {
        let (mut inbox, now) = (Inbox::default(), Instant::now());
        let (flooder, other) = (PeerId::random(), PeerId::random());
        let delivered =
            (0..2000).filter(|_| inbox.admit(flooder, 100, now) == Admission::Deliver).count();
        assert_eq!(delivered, UNJUDGED_PER_PEER_MAX);
        assert_eq!(inbox.admit(other, 100, now), Admission::Deliver);
        inbox.settle(flooder, 100);
        assert_eq!(inbox.total.messages, UNJUDGED_PER_PEER_MAX);
    }

    #[test]
    fn bytes_are_bounded_as_well_as_messages() {
        let (mut inbox, now) = (Inbox::default(), Instant::now());
        let size = 16 * 1024;
        for _ in 0..20 {
            let peer = PeerId::random();
            while inbox.admit(peer, size, now) == Admission::Deliver {}
        }
        assert!(inbox.total.bytes <= UNJUDGED_BYTES_MAX);
        assert!(inbox.total.bytes > UNJUDGED_BYTES_MAX - size);
    }

    #[test]
    fn what_is_settled_leaves_nothing_behind() {
        let (mut inbox, now) = (Inbox::default(), Instant::now());
        let peer = PeerId::random();
        for _ in 0..10 {
            assert_eq!(inbox.admit(peer, 50, now), Admission::Deliver);
        }
        for _ in 0..10 {
            inbox.settle(peer, 50);
        }
        assert_eq!(inbox.total, Load::default());
        assert!(inbox.unjudged.is_empty());
        inbox.tidy(now + Duration::from_secs(1));
        assert!(inbox.budgets.is_empty());
    }

    #[test]
    fn a_flood_is_throttled_then_cut_and_a_steady_stream_is_neither() {
        let (mut inbox, start) = (Inbox::default(), Instant::now());
        let flooder = PeerId::random();
        let mut seen = Vec::new();
        for _ in 0..10_000 {
            let admission = inbox.admit(flooder, 1, start);
            if admission == Admission::Deliver {
                inbox.settle(flooder, 1);
            }
            seen.push(admission);
        }
        let first = |wanted| seen.iter().position(|admission| *admission == wanted);
        assert_eq!(first(Admission::Throttled), Some(2000));
        assert_eq!(first(Admission::Flooding), Some(7000));

        let steady = PeerId::random();
        for step in 0..50_000_u64 {
            let now = start + Duration::from_millis(step);
            assert_eq!(inbox.admit(steady, 1, now), Admission::Deliver);
            inbox.settle(steady, 1);
        }
    }
}
