//! The members of the mesh who send orders, as many as the ledger bears.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::genesis::Genesis;
use ledger::transaction::{Subject, Transaction};
use market::energy::Energy;
use market::keys::SigningKey;
use market::member::PartyId;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::signed::Signed;
use market::time::{Clock, DeliveryPeriod};
use mesh::{Mesh, MeshError, Topic};
use tokio::time::{Instant, sleep};

/// Periods that are open for orders during the whole bench: from the third one ahead on.
const PERIODS: u64 = 80;

/// A member never sends more in a second: its neighbours would not listen to more than 1,000.
const PER_MEMBER_MAX: u32 = 900;

/// How often a sender looks whether there is room.
const PAUSE: Duration = Duration::from_millis(5);

/// What was sent and is in no block yet, with the instant at which it was signed.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    sent: Mutex<BTreeMap<(Subject, u64), Instant>>,
}

impl Outstanding {
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Takes out what a block carries; gives the instant at which it was signed.
    pub(super) fn committed(&self, transaction: &Transaction) -> Option<Instant> {
        self.lock().remove(&transaction.subject())
    }

    /// Forgets what never came into a block, and says how much that was.
    pub(super) fn give_up(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Subject, u64), Instant>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How fast the crowd sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Together, in orders per second; `None` is as fast as the window allows.
    pub(super) per_second: Option<f64>,
    /// How many orders may be in no block yet.
    pub(super) window: usize,
}

/// Who orders, and through whom.
pub(super) struct Crowd {
    pub(super) members: Vec<Mesh>,
    pub(super) genesis: Genesis,
    pub(super) keys: Vec<(PartyId, SigningKey)>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outstanding: Arc<Outstanding>,
    /// The number of the next order.
    pub(super) next: AtomicU64,
}

impl Crowd {
    /// Sends for a while. Says how many orders went out.
    pub(super) async fn send(self: &Arc<Self>, pace: Pace, span: Duration) -> u64 {
        let before = self.next.load(Ordering::Relaxed);
        let until = Instant::now() + span;
        let senders: Vec<_> = self
            .members
            .iter()
            .map(|mesh| tokio::spawn(Arc::clone(self).send_through(mesh.clone(), pace, until)))
            .collect();
        for sender in senders {
            // A sender that has panicked has sent less; the figures say how much.
            let _ = sender.await;
        }
        self.next.load(Ordering::Relaxed) - before
    }

    async fn send_through(self: Arc<Self>, mesh: Mesh, pace: Pace, until: Instant) {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let own = pace.per_second.map_or(f64::INFINITY, |all| all / f64::from(members));
        let between = Duration::from_secs_f64(1.0 / own.clamp(0.1, f64::from(PER_MEMBER_MAX)));
        let mut due = Instant::now();
        while Instant::now() < until {
            if Instant::now() < due || self.outstanding.count() >= pace.window {
                sleep(PAUSE).await;
                continue;
            }
            // Late by more than a moment: what was missed is not made up for.
            due = (due + between).max(Instant::now() - PAUSE * 4);
            let transaction = self.order(self.next.fetch_add(1, Ordering::Relaxed));
            self.outstanding.lock().insert(transaction.subject(), Instant::now());
            let bytes = transaction.to_bytes();
            while let Err(error) = mesh.publish(Topic::Orders, bytes.clone()).await {
                if !matches!(error, MeshError::QueuesFull { .. } | MeshError::NoPeers { .. })
                    || Instant::now() >= until
                {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
    }

    /// The n-th order: party by party, then period by period, then anew with a higher sequence.
    fn order(&self, n: u64) -> Transaction {
        let parties = u64::try_from(self.keys.len()).unwrap_or(1).max(1);
        let index = usize::try_from(n % parties).unwrap_or_default();
        let (party, key) = &self.keys[index];
        let (period, sequence) = ((n / parties) % PERIODS, n / parties / PERIODS + 1);
        let length = self.genesis.rules.period_length;
        let ahead = i64::try_from(period + 3).unwrap_or(3) * length.as_millis();
        let start = self.clock.now().plus_millis(ahead);
        let start = DeliveryPeriod::containing(start, length);
        let period = start.unwrap_or_else(|_| unreachable!("this century is in range"));
        let chain = self.genesis.chain_id();
        let micros = 100_000 + i64::try_from(n % 1_000).unwrap_or_default() * 100;
        let order = Order {
            community: chain,
            party: *party,
            metering_point: self.genesis.members[party].metering_point,
            period,
            side: Side::Buy,
            steps: vec![Step {
                limit: Price::from_micros_per_kwh(micros),
                energy: Energy::from_wh(200),
            }],
            sequence,
            preferences: Preferences::default(),
        };
        Transaction::Order(Signed::sign(order, &chain, key).into_envelope())
    }
}
