//! How often somebody may ask: token buckets, in bounded memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use market::hash::Digest;
use tokio::time::Instant;

/// How many buckets are kept of one kind.
const BUCKETS_MAX: usize = 10_000;

/// How often somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run; above 0.
    pub per_second: u32,
    /// Requests at once, after a rest; above 0.
    pub burst: u32,
}

/// How often an address and a session may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// One address: generous, because a whole community may sit behind one.
    pub address: Rate,
    /// One session.
    pub session: Rate,
    /// Attempts to sign in from one address. Failures wait besides.
    pub sign_in: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            address: Rate { per_second: 250, burst: 1_000 },
            session: Rate { per_second: 25, burst: 250 },
            sign_in: Rate { per_second: 1, burst: 30 },
        }
    }
}

/// All buckets of this process.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) addresses: Buckets<IpAddr>,
    pub(crate) sessions: Buckets<Digest>,
    pub(crate) sign_in: Buckets<IpAddr>,
}

impl Limits {
    /// Full buckets.
    pub(crate) fn new(rates: &RateLimits) -> Self {
        Self {
            addresses: Buckets::new(rates.address),
            sessions: Buckets::new(rates.session),
            sign_in: Buckets::new(rates.sign_in),
        }
    }
}

/// A bucket for each of many.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    buckets: BTreeMap<K, Bucket>,
    /// For all who find no place: while so many ask at once, they share one.
    shared: Option<Bucket>,
}

/// A bucket is kept as the instant at which it is full again.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl<K: Ord + Copy> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, held: Mutex::new(Held { buckets: BTreeMap::new(), shared: None }) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.buckets.len() >= BUCKETS_MAX && !held.buckets.contains_key(&key) {
            held.buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let is_known = held.buckets.contains_key(&key);
        let Held { buckets, shared } = &mut *held;
        let fresh = Bucket { full_at: now };
        let bucket = if is_known || buckets.len() < BUCKETS_MAX {
            buckets.entry(key).or_insert(fresh)
        } else {
            shared.get_or_insert(fresh)
        };
        let token = Duration::from_secs(1) / self.rate.per_second.max(1);
        let full_at = bucket.full_at.max(now) + token;
        let wait = full_at.saturating_duration_since(now + token * self.rate.burst.max(1));
        if !wait.is_zero() {
            return Err(wait);
        }
        bucket.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    #[tokio::test]
    async fn a_burst_is_served_and_then_the_rate() {
        let (buckets, now) = (Buckets::new(RATE), Instant::now());
        let served = |key: u8, at| (0..20).filter(|_| buckets.take(key, at).is_ok()).count();
        assert_eq!(served(1, now), 5);
        assert_eq!(buckets.take(1, now), Err(Duration::from_millis(100)));
        assert_eq!(served(2, now), 5, "others have their own");
        assert_eq!(served(1, now + Duration::from_millis(250)), 2);
        assert_eq!(served(1, now + Duration::from_secs(60)), 5, "never more than a burst");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_newcomers_share() {
        let (buckets, now) = (Buckets::new(RATE), Instant::now());
        let keys = || 0..3 * BUCKETS_MAX;
        let served = keys().filter(|key| buckets.take(*key, now).is_ok()).count();
        assert_eq!(served, BUCKETS_MAX + 5);
        assert_eq!(buckets.held.lock().unwrap().buckets.len(), BUCKETS_MAX);
        let later = now + Duration::from_secs(1);
        assert_eq!(buckets.take(usize::MAX, later), Ok(()), "there is room again");
        assert_eq!(buckets.held.lock().unwrap().buckets.len(), 1);
    }
}
