//! When to try again: pauses that grow, with jitter, so that no device's TCP stack is stormed.

use rand::TryRng as _;
use rand::rngs::SysRng;
use std::time::Duration;

/// Pauses that double from [`Backoff::FIRST`] to [`Backoff::MAX`], each shortened by up to a
/// quarter at random.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The first pause.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// The longest pause.
    pub const MAX: Duration = Duration::from_secs(60);

    /// Starts at the first pause.
    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The pause before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(Self::MAX);
        full.saturating_sub(jitter(full / 4))
    }

    /// Forgets the failures. Only a good read does: an endpoint that accepts connections and then
    /// says nothing is no better than one that refuses them.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// A random time from zero to `most`; `most / 2` if the system has no randomness to give.
pub(crate) fn jitter(most: Duration) -> Duration {
    let random = SysRng.try_next_u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_start_again_after_a_good_read() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= Backoff::FIRST && pauses[0] >= Backoff::FIRST * 3 / 4);
        assert!(pauses.iter().all(|pause| *pause <= Backoff::MAX));
        assert!(pauses[11] >= Backoff::MAX * 3 / 4);
        backoff.reset();
        assert!(backoff.pause() <= Backoff::FIRST);
    }
}
