//! What waits for a block: at most one transaction per subject, bounded per signer and in all.

use ledger::acts::{NotApplied, Signer};
use ledger::received::Received;
use ledger::state::State;
use ledger::transaction::{Subject, Transaction};
use market::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many subjects of one signer may wait at the same time: a day of quarter-hours, both sides,
/// and as many readings to catch up with.
pub const PER_SIGNER_MAX: usize = 400;

/// How many transactions may wait in all.
pub const TOTAL_MAX: usize = 50_000;

/// Why a transaction does not wait here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPooled {
    /// It would not be admitted to a block now.
    #[error(transparent)]
    Rejected(#[from] NotApplied),
    /// The same or a newer one of this subject waits already.
    #[error("the same or a newer message of this subject waits already")]
    Known,
    /// The signer has too much waiting.
    #[error("{0} already has {PER_SIGNER_MAX} messages waiting")]
    SignerFull(Signer),
    /// Everything is full.
    #[error("{TOTAL_MAX} messages are waiting already")]
    Full,
}

/// The mempool; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Mempool {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    by_subject: BTreeMap<Subject, Entry>,
    by_signer: BTreeMap<Signer, usize>,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry {
    received: Received,
    sequence: u64,
    arrival: u64,
}

impl Mempool {
    /// Takes a transaction in if a block at `now` on top of `state` could carry it. A newer one
    /// of the same subject takes the older one's place.
    ///
    /// # Errors
    /// [`NotPooled`] says why not.
    pub fn offer(
        &self,
        transaction: Transaction,
        state: &State,
        now: Timestamp,
    ) -> Result<(), NotPooled> {
        let (subject, sequence) = transaction.subject();
        let received = Received::from(transaction);
        // Everything cheap comes before the signature, so that a flood costs little.
        state.check(&received, now)?;
        self.lock().check_room(subject, sequence)?;
        let received = state.receive(received, now)?;
        let mut waiting = self.lock();
        // Others may have come in meanwhile.
        waiting.check_room(subject, sequence)?;
        waiting.arrivals = waiting.arrivals.saturating_add(1);
        let arrival = waiting.arrivals;
        let entry = Entry { received, sequence, arrival };
        if waiting.by_subject.insert(subject, entry).is_none() {
            let count = waiting.by_signer.entry(subject.signer()).or_default();
            *count = count.saturating_add(1);
        }
        drop(waiting);
        self.inner.arrived.notify_waiters();
        Ok(())
    }

    /// What waits, in the order of arrival.
    pub fn waiting(&self) -> Vec<Received> {
        let waiting = self.lock();
        let mut entries: Vec<_> = waiting.by_subject.values().collect();
        entries.sort_unstable_by_key(|entry| entry.arrival);
        entries.into_iter().map(|entry| entry.received.clone()).collect()
    }

    /// A block's transactions, with what is known of the signatures of those that wait here.
    pub fn recognise(&self, transactions: Vec<Transaction>) -> Vec<Received> {
        let waiting = self.lock();
        let recognised = |transaction: Transaction| {
            let (subject, _) = transaction.subject();
            let known = waiting.by_subject.get(&subject).map(|entry| &entry.received);
            let known = known.filter(|known| known.is(&transaction)).cloned();
            known.unwrap_or_else(|| transaction.into())
        };
        transactions.into_iter().map(recognised).collect()
    }

    /// Drops what no block at `now` or later on top of `state` can carry: committed, overtaken,
    /// too late.
    pub fn prune(&self, state: &State, now: Timestamp) {
        let mut waiting = self.lock();
        let stale: Vec<Subject> = waiting
            .by_subject
            .iter()
            .filter(|(_, entry)| state.check(&entry.received, now).is_err())
            .map(|(subject, _)| *subject)
            .collect();
        for subject in stale {
            waiting.remove(subject);
        }
    }

    /// Drops one that a block refused, unless a newer one has taken its place meanwhile.
    pub fn drop_refused(&self, subject: Subject, sequence: u64) {
        let mut waiting = self.lock();
        if waiting.by_subject.get(&subject).is_some_and(|entry| entry.sequence == sequence) {
            waiting.remove(subject);
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        *self.lock() = Waiting::default();
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().by_subject.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Resolves at the next arrival after the call.
    pub fn arrival(&self) -> tokio::sync::futures::Notified<'_> {
        self.inner.arrived.notified()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere cannot leave half a change behind: every change is one insert or one
        // remove, so the data is sound even if the lock is poisoned.
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn check_room(&self, subject: Subject, sequence: u64) -> Result<(), NotPooled> {
        if let Some(known) = self.by_subject.get(&subject) {
            return if known.sequence >= sequence { Err(NotPooled::Known) } else { Ok(()) };
        }
        let of_signer = self.by_signer.get(&subject.signer()).copied().unwrap_or_default();
        if of_signer >= PER_SIGNER_MAX {
            return Err(NotPooled::SignerFull(subject.signer()));
        }
        if self.by_subject.len() >= TOTAL_MAX {
            return Err(NotPooled::Full);
        }
        Ok(())
    }

    fn remove(&mut self, subject: Subject) {
        if self.by_subject.remove(&subject).is_none() {
            return;
        }
        if let Some(count) = self.by_signer.get_mut(&subject.signer()) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_signer.remove(&subject.signer());
            }
        }
    }
}
