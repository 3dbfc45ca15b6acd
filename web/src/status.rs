//! What is going on: one judgement for the page, the health check and the metrics.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ledger::state::State;
use market::gate::GateSchedule;
use market::time::{Clock, DeliveryPeriod, PeriodLength, Timestamp};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::words::{self, Sentences};

/// How many heartbeats may be missed before trading counts as stopped.
const HEARTBEATS_MISSED: i64 = 3;

/// Real time added to the missed heartbeats, for consensus rounds and the way here.
const HALTED_GRACE: Duration = Duration::from_secs(5);

/// Real time that an announced block may take until it is fetched and checked.
const FETCH_GRACE: Duration = Duration::from_secs(2);

/// What the tasks of this process share about the chain.
#[derive(Debug)]
pub(crate) struct Live {
    tip: RwLock<Tip>,
    proven: RwLock<Proven>,
    more_waiting: AtomicBool,
    peers_count: AtomicUsize,
    trouble: RwLock<Option<Trouble>>,
}

/// How far the chain has come for certain, whether or not it is followed so far here.
#[derive(Debug, Clone, Copy, Default)]
struct Proven {
    /// The highest height for which a certificate was seen.
    height: u64,
    /// Since when it is above the last followed block, by real time.
    ahead_since: Option<Instant>,
}

/// The last followed block.
#[derive(Debug, Clone)]
pub(crate) struct Tip {
    /// The state after it.
    pub(crate) state: Arc<State>,
    /// When it came in, by real time; for a block found at the start, the start.
    pub(crate) arrived: Instant,
}

/// Why this dashboard cannot go on although blocks come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A certified block does not follow from the state here.
    Diverged {
        /// Its height.
        height: u64,
    },
    /// The read model cannot be written.
    Store,
}

impl Live {
    /// At a state that was found or made at the start.
    pub(crate) fn at(state: State) -> Self {
        Self {
            tip: RwLock::new(Tip { state: Arc::new(state), arrived: Instant::now() }),
            proven: RwLock::default(),
            more_waiting: AtomicBool::new(false),
            peers_count: AtomicUsize::new(0),
            trouble: RwLock::new(None),
        }
    }

    /// The last followed block.
    pub(crate) fn tip(&self) -> Tip {
        self.tip.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A block was followed and written down.
    pub(crate) fn advance(&self, state: Arc<State>) {
        let height = state.height();
        let tip = Tip { state, arrived: Instant::now() };
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = tip;
        let mut proven = self.proven.write().unwrap_or_else(PoisonError::into_inner);
        if proven.height <= height {
            proven.ahead_since = None;
        }
        drop(proven);
        self.set_trouble(None);
    }

    /// The highest height for which a certificate was seen.
    pub(crate) fn proven_height(&self) -> u64 {
        self.proven().height
    }

    /// A certificate for a height was seen and holds.
    pub(crate) fn prove_height(&self, height: u64) {
        let followed = self.tip().state.height();
        let mut proven = self.proven.write().unwrap_or_else(PoisonError::into_inner);
        proven.height = proven.height.max(height);
        if proven.height > followed {
            proven.ahead_since.get_or_insert_with(Instant::now);
        }
    }

    fn proven(&self) -> Proven {
        *self.proven.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last answer was full, so that more blocks are waiting.
    pub(crate) fn set_more_waiting(&self, more: bool) {
        self.more_waiting.store(more, Ordering::Relaxed);
    }

    /// Whether more blocks are waiting.
    pub(crate) fn more_waiting(&self) -> bool {
        self.more_waiting.load(Ordering::Relaxed)
    }

    /// How many peers are connected.
    pub(crate) fn set_peers_count(&self, count: usize) {
        self.peers_count.store(count, Ordering::Relaxed);
    }

    /// What keeps this dashboard from going on, or that nothing does.
    pub(crate) fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What is going on now.
    pub(crate) fn status(&self, heartbeat_ms: u64, clock: &dyn Clock) -> Status {
        let now = clock.now();
        let missed = i64::try_from(heartbeat_ms).unwrap_or(i64::MAX);
        let missed = missed.saturating_mul(HEARTBEATS_MISSED);
        let (tip, proven) = (self.tip(), self.proven());
        let facts = Facts {
            height: tip.state.height(),
            proven_height: proven.height,
            proven_for: proven.ahead_since.map(|since| since.elapsed()).unwrap_or_default(),
            more_waiting: self.more_waiting(),
            age: tip.arrived.elapsed(),
            halted_after: clock.real_time_until(now.plus_millis(missed)) + HALTED_GRACE,
            peers_count: self.peers_count.load(Ordering::Relaxed),
            trouble: *self.trouble.read().unwrap_or_else(PoisonError::into_inner),
        };
        let state = facts.judge();
        Status {
            state,
            market_time_ms: now.as_millis(),
            height: facts.height,
            block_time_ms: tip.state.time().as_millis(),
            block_age_ms: u64::try_from(facts.age.as_millis()).unwrap_or(u64::MAX),
            peers_count: u64::try_from(facts.peers_count).unwrap_or(u64::MAX),
            next_gate: next_gate(&tip.state.rules().gates, tip.state.rules().period_length, now),
            detail: words::status(state, &facts),
        }
    }
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Of the last followed block.
    pub(crate) height: u64,
    /// The highest certified height heard of.
    pub(crate) proven_height: u64,
    /// Real time since a certified height is known that is not followed here.
    pub(crate) proven_for: Duration,
    /// Whether the last answer held as many blocks as it could.
    pub(crate) more_waiting: bool,
    /// Real time since the last block came in.
    pub(crate) age: Duration,
    /// Real time without a block from which on trading counts as stopped.
    pub(crate) halted_after: Duration,
    /// Connected peers.
    pub(crate) peers_count: usize,
    /// What keeps this process from going on.
    pub(crate) trouble: Option<Trouble>,
}

impl Facts {
    fn judge(&self) -> Going {
        let missing = self.proven_height.saturating_sub(self.height);
        // Each block is announced a moment before it is fetched.
        let late = missing > 0 && self.proven_for > FETCH_GRACE;
        let behind = self.more_waiting || missing > 1 || late;
        if self.trouble.is_some() {
            Going::Halted
        } else if self.height == 0 && self.proven_height == 0 {
            Going::Waiting
        } else if self.age > self.halted_after {
            Going::Halted
        } else if behind {
            Going::CatchingUp
        } else {
            Going::Live
        }
    }
}

/// How it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Going {
    /// Blocks come in and are followed.
    Live,
    /// Blocks are waiting to be fetched and checked.
    CatchingUp,
    /// No block for too long, or this dashboard cannot go on.
    Halted,
    /// There has been no block yet.
    Waiting,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Status {
    /// How it goes.
    pub(crate) state: Going,
    /// Market time now, ms UTC.
    pub(crate) market_time_ms: i64,
    /// Height of the last followed block; 0 before the first.
    pub(crate) height: u64,
    /// Market time of the last followed block, ms UTC; of genesis before the first.
    pub(crate) block_time_ms: i64,
    /// Real milliseconds since the last block came in.
    pub(crate) block_age_ms: u64,
    /// Connected peers.
    pub(crate) peers_count: u64,
    /// The next gate to close.
    #[schema(required)]
    pub(crate) next_gate: Option<NextGate>,
    /// In one sentence.
    pub(crate) detail: Sentences,
}

/// A gate that is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct NextGate {
    /// Start of the delivery period whose book closes, ms UTC.
    pub(crate) period_start_ms: i64,
    /// When it closes, market time, ms UTC.
    pub(crate) closes_at_ms: i64,
}

/// The gate that closes next after an instant.
fn next_gate(gates: &GateSchedule, length: PeriodLength, now: Timestamp) -> Option<NextGate> {
    let closes = |lead_ms: &u64| {
        let lead_ms = i64::try_from(*lead_ms).ok()?;
        let period = DeliveryPeriod::containing(now.plus_millis(lead_ms), length).ok()?;
        let period = period.next().ok()?;
        Some(NextGate {
            period_start_ms: period.start().as_millis(),
            closes_at_ms: period.start().plus_millis(lead_ms.checked_neg()?).as_millis(),
        })
    };
    let closes_after = |lag_ms: u64| {
        // Whatever was delivered before this period has been cleared.
        let since = now.plus_millis(i64::try_from(lag_ms).ok()?.checked_neg()?);
        let period = DeliveryPeriod::containing(since, length).ok()?;
        Some(NextGate {
            period_start_ms: period.start().as_millis(),
            closes_at_ms: gates.ex_post_closes_at(period)?.as_millis(),
        })
    };
    let after = gates.ex_post_lag_ms().and_then(closes_after);
    let before = gates.leads_ms().iter().filter_map(closes);
    before.chain(after).min_by_key(|gate| gate.closes_at_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Facts = Facts {
        height: 7,
        proven_height: 7,
        proven_for: Duration::ZERO,
        more_waiting: false,
        age: Duration::from_secs(1),
        halted_after: Duration::from_secs(8),
        peers_count: 3,
        trouble: None,
    };

    #[test]
    fn each_state_has_its_cause() {
        let late = Duration::from_secs(9);
        let cases = [
            (FINE, Going::Live),
            (Facts { proven_height: 8, ..FINE }, Going::Live),
            (Facts { proven_height: 9, ..FINE }, Going::CatchingUp),
            (Facts { proven_height: 8, proven_for: late, ..FINE }, Going::CatchingUp),
            (Facts { proven_for: late, ..FINE }, Going::Live),
            (Facts { more_waiting: true, ..FINE }, Going::CatchingUp),
            (Facts { age: late, ..FINE }, Going::Halted),
            (Facts { age: late, proven_height: 9, ..FINE }, Going::Halted),
            (Facts { trouble: Some(Trouble::Store), ..FINE }, Going::Halted),
            (Facts { height: 0, proven_height: 0, age: late, ..FINE }, Going::Waiting),
            (Facts { height: 0, proven_height: 5, ..FINE }, Going::CatchingUp),
        ];
        for (facts, expected) in cases {
            assert_eq!(facts.judge(), expected, "{facts:?}");
            let detail = words::status(expected, &facts);
            assert!(!detail.en.is_empty() && !detail.ja.is_empty());
        }
    }

    #[test]
    fn the_next_gate_is_the_earliest_that_is_still_open() {
        let gates = GateSchedule::new(vec![86_400_000, 900_000]).unwrap();
        let at =
            |ms| next_gate(&gates, PeriodLength::Minutes15, Timestamp::from_millis(ms)).unwrap();
        // Both gates close on the quarter of an hour: the day-ahead one is listed first.
        let quarter = 900_000;
        assert_eq!(at(10 * quarter - 1).closes_at_ms, 10 * quarter);
        assert_eq!(at(10 * quarter).closes_at_ms, 11 * quarter);
        let single = GateSchedule::new(vec![300_000]).unwrap();
        let now = Timestamp::from_millis(10 * quarter + 600_000);
        let gate = next_gate(&single, PeriodLength::Minutes15, now).unwrap();
        assert_eq!(gate.period_start_ms, 12 * quarter, "the gate at 10:10 has just closed");
        assert_eq!(gate.closes_at_ms, 12 * quarter - 300_000);
    }

    #[test]
    fn a_gate_after_delivery_closes_next_where_it_is_the_next() {
        let quarter = 900_000;
        let only_after = GateSchedule::with_ex_post(vec![], Some(600_000)).unwrap();
        let both = GateSchedule::with_ex_post(vec![quarter], Some(600_000)).unwrap();
        let at = |gates: &GateSchedule, ms| {
            let gate = next_gate(gates, PeriodLength::Minutes15, Timestamp::from_millis(ms));
            let gate = gate.unwrap();
            (gate.period_start_ms / 900_000, gate.closes_at_ms)
        };
        let closes = 10 * 900_000 + 600_000;
        assert_eq!(at(&only_after, closes - 1), (9, closes));
        assert_eq!(at(&only_after, closes), (10, closes + 900_000));
        // The one before delivery closes on the quarter, the one after it ten minutes later.
        assert_eq!(at(&both, closes - 1), (9, closes));
        assert_eq!(at(&both, closes), (12, 11 * 900_000));
    }
}
