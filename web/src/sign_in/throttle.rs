//! Whoever fails waits: the longer the more often, by name and by address, in bounded memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use market::hash::Digest;
use tokio::time::Instant;

/// How many names and addresses are remembered.
const KEPT_MAX: usize = 10_000;

/// After so long without an attempt nothing is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// What attempts are counted by. A name is kept as its hash: it may be a password that somebody
/// typed into the wrong field, and it may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// The account, whether it exists or not.
    Name(Digest),
    /// Where attempts come from.
    Address(Digest),
}

impl By {
    /// How many failures are free, and how long one waits at most.
    fn patience(self) -> (u32, Duration) {
        match self {
            // Long waits would let anybody lock an operator out.
            Self::Name(_) => (5, Duration::from_secs(300)),
            // Several people may share an address.
            Self::Address(_) => (20, Duration::from_secs(900)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    /// When the last attempt was.
    last: Instant,
    /// Until when none is heard.
    until: Instant,
}

/// Who has failed how often.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    records: Mutex<BTreeMap<By, Record>>,
}

impl Throttle {
    /// Begins an attempt, which counts as a failure until [`Self::succeed`]: attempts side by side
    /// are no way around the wait.
    ///
    /// # Errors
    /// How long to wait; the attempt does not count then.
    pub(crate) fn begin(&self, keys: &[By], now: Instant) -> Result<(), Duration> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys.iter().filter_map(|key| records.get(key));
        let wait = wait.map(|record| record.until.saturating_duration_since(now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for key in keys {
            make_room(&mut records, key, now);
            let record =
                records.entry(*key).or_insert(Record { failures: 0, last: now, until: now });
            if now.saturating_duration_since(record.last) >= FORGOTTEN_AFTER {
                record.failures = 0;
            }
            record.failures = record.failures.saturating_add(1);
            record.last = now;
            record.until = now + delay(*key, record.failures);
        }
        Ok(())
    }

    /// The attempt was none to wait for.
    pub(crate) fn succeed(&self, keys: &[By]) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            records.remove(key);
        }
    }
}

/// How long to wait after so many failures: 1, 2, 4 .. seconds once the free ones are used up.
fn delay(key: By, failures: u32) -> Duration {
    let (free, longest) = key.patience();
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => Duration::from_secs(1_u64 << (over - 1).min(20)).min(longest),
    }
}

/// Forgets whoever need not wait any more, and then the one whose attempt is the longest ago.
fn make_room(records: &mut BTreeMap<By, Record>, key: &By, now: Instant) {
    if records.len() < KEPT_MAX || records.contains_key(key) {
        return;
    }
    records.retain(|_, record| now.saturating_duration_since(record.last) < FORGOTTEN_AFTER);
    while records.len() >= KEPT_MAX {
        let oldest = records.iter().min_by_key(|(_, record)| record.last).map(|(key, _)| *key);
        let Some(oldest) = oldest else { return };
        records.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> By {
        By::Name(Digest::of(&[text.as_bytes()]))
    }

    fn address(number: u32) -> By {
        By::Address(Digest::of(&[&number.to_be_bytes()]))
    }

    #[tokio::test]
    async fn waits_double_and_end() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        let keys = [name("aiko"), address(1)];
        let mut waits = Vec::new();
        for failures in 1..=18 {
            assert_eq!(throttle.begin(&keys, now), Ok(()));
            let wait = delay(keys[0], failures);
            if !wait.is_zero() {
                assert_eq!(throttle.begin(&keys, now), Err(wait), "and it does not count");
            }
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        // From another address the same name waits too; another name does not.
        assert!(throttle.begin(&[name("aiko"), address(2)], now - Duration::from_secs(9)).is_err());
        assert_eq!(throttle.begin(&[name("ben"), address(2)], now), Ok(()));
        throttle.succeed(&keys);
        assert_eq!(throttle.begin(&keys, now), Ok(()));
    }

    #[tokio::test]
    async fn many_names_from_one_address_wait_as_well() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let refused =
            (0..100).filter(|n| throttle.begin(&[name(&n.to_string()), address(1)], now).is_err());
        assert_eq!(refused.count(), 79, "20 are free, and the 21st is heard before it counts");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_those_who_wait_are_kept_longest() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..3 * u32::try_from(KEPT_MAX).unwrap() {
            let later = now + Duration::from_millis(u64::from(number));
            let _ = throttle.begin(&[address(number)], later);
        }
        assert!(throttle.records.lock().unwrap().len() <= KEPT_MAX);
        assert_eq!(throttle.begin(&[address(0)], now + FORGOTTEN_AFTER * 2), Ok(()));
    }
}
