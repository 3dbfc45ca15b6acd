//! How this machine's clock stands against the other validators'.
//!
//! A proposed block carries its proposer's time. What comes in from the others therefore shows
//! whose clock is off before blocks are refused for it: the middle of the last few differences is
//! neither moved by one bad clock among the others nor by one slow message.

use market::time::Timestamp;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many proposals are remembered.
const SAMPLES_MAX: usize = 9;

/// From how many proposals on a difference is worth a warning.
const SAMPLES_MIN: usize = 3;

/// How often the operator is warned at most (real time).
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The clock's offset, as far as it is known.
#[derive(Debug)]
pub(crate) struct ClockOffset {
    drift_max_ms: i64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// This clock minus the proposer's, in milliseconds of market time; the newest last.
    offsets_ms: VecDeque<i64>,
    warned_at: Option<Instant>,
}

impl ClockOffset {
    /// `drift_max_ms` is how far a proposal's time may be off before it is refused.
    pub(crate) fn new(drift_max_ms: i64) -> Self {
        Self { drift_max_ms, seen: Mutex::default() }
    }

    /// A proposal of another validator has come in; warns if the clocks are far apart.
    pub(crate) fn note(&self, proposed: Timestamp, now: Timestamp) {
        let Some(offset_ms) = self.warning(proposed, now, Instant::now()) else { return };
        let direction = if offset_ms > 0 { "ahead of" } else { "behind" };
        tracing::warn!(
            offset_ms,
            allowed_ms = self.drift_max_ms,
            "this machine's clock is {direction} the other validators' clocks; set it (a time \
             service such as NTP keeps it right): beyond what is allowed, neither side takes the \
             other's blocks"
        );
    }

    /// The middle of the last differences: positive if this clock is ahead. It includes the time
    /// that a proposal is on its way. `None` before anybody else has proposed.
    pub(crate) fn median_ms(&self) -> Option<i64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).median_ms()
    }

    /// The offset to warn of now, if any.
    fn warning(&self, proposed: Timestamp, now: Timestamp, at: Instant) -> Option<i64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.offsets_ms.len() == SAMPLES_MAX {
            seen.offsets_ms.pop_front();
        }
        seen.offsets_ms.push_back(now.millis_since(proposed));
        let enough = seen.offsets_ms.len() >= SAMPLES_MIN;
        let far = |offset_ms: &i64| offset_ms.unsigned_abs() > self.drift_max_ms.unsigned_abs() / 2;
        let offset_ms = seen.median_ms().filter(far).filter(|_| enough)?;
        if seen.warned_at.is_some_and(|warned| at.saturating_duration_since(warned) < WARN_EVERY) {
            return None;
        }
        seen.warned_at = Some(at);
        Some(offset_ms)
    }
}

impl Seen {
    fn median_ms(&self) -> Option<i64> {
        let mut sorted: Vec<_> = self.offsets_ms.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT_MAX_MS: i64 = 10_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_750_000_000_000 + ms)
    }

    #[test]
    fn one_bad_clock_among_the_others_moves_nothing() {
        let clock = ClockOffset::new(DRIFT_MAX_MS);
        assert_eq!(clock.median_ms(), None);
        for round in 0..40 {
            let theirs = if round % 4 == 0 { at(-3_600_000) } else { at(-20) };
            assert_eq!(clock.warning(theirs, at(0), Instant::now()), None);
        }
        assert_eq!(clock.median_ms(), Some(20));
    }

    #[test]
    fn an_own_clock_that_is_off_is_told_with_its_direction_once_a_minute() {
        for offset_ms in [-7_000, 7_000] {
            let (clock, start) = (ClockOffset::new(DRIFT_MAX_MS), Instant::now());
            let told: Vec<_> = (0..121_u64)
                .filter_map(|second| {
                    let now = start + Duration::from_secs(second);
                    let told = clock.warning(at(0), at(offset_ms), now)?;
                    Some((second, told))
                })
                .collect();
            assert_eq!(told, [(2, offset_ms), (62, offset_ms)]);
            assert_eq!(clock.median_ms(), Some(offset_ms));
        }
    }

    #[test]
    fn a_clock_that_was_set_right_is_right_after_a_few_proposals() {
        let clock = ClockOffset::new(DRIFT_MAX_MS);
        (0..SAMPLES_MAX).for_each(|_| clock.note(at(0), at(60_000)));
        (0..=SAMPLES_MAX / 2).for_each(|_| clock.note(at(0), at(5)));
        assert_eq!(clock.median_ms(), Some(5));
    }
}
