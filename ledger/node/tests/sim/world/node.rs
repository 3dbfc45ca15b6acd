//! One process: started, killed, started again on the same disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_sync::RawDecidedValue;
use ledger::genesis::Genesis;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::hash::Digest;
use market::time::{Clock, Timestamp};
use tokio::sync::{mpsc, watch};

use super::disk::Disk;
use super::engine::{Engine, Mail, Out, Setting};
use super::genesis::{SPEED, market_time, validator_key};
use super::member::Member;
use super::plan::{Plan, Seat};
use super::record::{Record, Stop};
use crate::clock_offset::ClockOffset;
use crate::consensus::context::Chain;
use crate::consensus::{Guard, peer_id};
use crate::mempool::Mempool;
use crate::validator::{Committed, Validator};

/// How long a node waits for the blocks it has asked for before it asks again.
const FETCH_MS: u64 = 1_500;

/// How long a node watches at most before it tries to vote again.
const WATCH_MS: u64 = 30_000;

/// A clock of market time that the simulation sets.
pub(super) struct SimClock {
    now_ms: AtomicI64,
    ahead_ms: i64,
}

impl SimClock {
    pub(super) fn set(&self, now_ms: u64) {
        let market_ms = market_time(now_ms).as_millis() + self.ahead_ms;
        self.now_ms.store(market_ms, Ordering::Relaxed);
    }

    /// The time without this clock's error.
    pub(super) fn right(&self) -> Timestamp {
        self.now().plus_millis(-self.ahead_ms)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::Relaxed))
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        let left_ms = at.millis_since(self.now()).max(0) / SPEED;
        Duration::from_millis(u64::try_from(left_ms).unwrap())
    }
}

pub(super) struct Node {
    index: usize,
    pub(super) seat: Seat,
    pub(super) peer: PeerId,
    pub(super) disk: Disk,
    pub(super) clock: Arc<SimClock>,
    /// Counts the processes.
    pub(super) life: u64,
    /// How long it stays down after the death that is planned for it.
    pub(super) down_ms: Option<u64>,
    /// The transactions in its committed blocks, with the height.
    pub(super) included: BTreeMap<Digest, u64>,
    /// The height that it leaves to the others, and since when.
    watches: Option<(u64, u64)>,
    running: Option<Running>,
    asked_at_ms: Option<u64>,
    allowed: BTreeSet<PeerId>,
    guards: PathBuf,
    record: Arc<Mutex<Record>>,
}

struct Running {
    engine: Engine,
    mempool: Mempool,
    state: watch::Receiver<Arc<State>>,
    commits: mpsc::UnboundedReceiver<Committed>,
}

fn peer_of(node: usize) -> PeerId {
    peer_id(&[u8::try_from(node).unwrap() + 200; 32]).unwrap().parse().unwrap()
}

impl Node {
    pub(super) fn new(
        plan: &Plan,
        index: usize,
        genesis: &Genesis,
        guards: &Path,
        record: &Arc<Mutex<Record>>,
    ) -> Self {
        let seat = plan.seats[index];
        let now_ms = AtomicI64::new(genesis.starts_at.as_millis() + seat.clock_ahead_ms);
        Self {
            index,
            seat,
            peer: peer_of(index),
            disk: Disk::default(),
            clock: Arc::new(SimClock { now_ms, ahead_ms: seat.clock_ahead_ms }),
            life: 0,
            down_ms: None,
            included: BTreeMap::new(),
            watches: None,
            running: None,
            asked_at_ms: None,
            allowed: (0..plan.seats.len()).map(peer_of).collect(),
            guards: guards.join(index.to_string()),
            record: Arc::clone(record),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn height(&self) -> u64 {
        self.disk.tip()
    }

    /// Starts a process, if none runs.
    pub(super) async fn start(&mut self, genesis: &Genesis) -> bool {
        if self.is_up() {
            return false;
        }
        self.life += 1;
        self.asked_at_ms = None;
        let state = self.disk.restore(genesis);
        let (commits, committed) = mpsc::unbounded_channel();
        let mempool = Mempool::default();
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let drift_max_ms = i64::try_from(genesis.block_drift_max_ms).unwrap();
        let offset = Arc::new(ClockOffset::new(drift_max_ms));
        let (mut validator, state) = Validator::new(
            genesis,
            state,
            self.disk.clone(),
            mempool.clone(),
            clock,
            offset,
            commits,
        );
        // A history is the same for the same seed.
        validator.draw_salt = || Ok(BlockSalt::from_bytes([7; 32]));
        let right = Arc::clone(&self.clock);
        let member = Member {
            validator,
            state: state.clone(),
            genesis: Arc::new(genesis.clone()),
            right_time: Box::new(move || right.right()),
            forgery: Arc::new(Mutex::new(self.seat.forgery)),
            node: self.index,
            record: Arc::clone(&self.record),
        };
        let setting = Setting {
            chain: genesis.chain_id(),
            key: validator_key(self.seat.validator),
            guard: self.guard(genesis),
            disk: self.disk.clone(),
            allowed: self.allowed.clone(),
            watched_height: self.watches.map(|(height, _)| height),
            forgery: self.seat.forgery,
        };
        let engine = Engine::start(setting, member).await;
        self.running = Some(Running { engine, mempool, state, commits: committed });
        self.note_included();
        true
    }

    /// The signer's record: one for the node, or a new one for each process that should have kept
    /// it.
    fn guard(&self, genesis: &Genesis) -> Guard {
        let key = validator_key(self.seat.validator).public();
        let (directory, may_have_signed) = if self.seat.guarded {
            let next = self.height() + 1;
            (self.guards.clone(), self.disk.has_traces().then_some(next))
        } else {
            (self.guards.join(self.life.to_string()), None)
        };
        Guard::open(&directory, genesis.chain_id(), key, may_have_signed).expect("a guard")
    }

    /// The process is gone, now.
    pub(super) fn crash(&mut self) {
        self.running = None;
        self.life += 1;
        self.disk.lose_unsynced();
    }

    /// Leaves the height that it stands at to the others.
    pub(super) fn watch(&mut self, now_ms: u64) {
        self.watches = Some((self.height() + 1, now_ms));
    }

    /// Whether it has watched enough; it then starts anew to vote.
    pub(super) fn has_watched(&mut self, now_ms: u64) -> bool {
        let passed = |(height, since)| self.height() >= height || now_ms > since + WATCH_MS;
        let is_enough = self.watches.is_some_and(passed);
        if is_enough {
            self.watches = None;
        }
        is_enough
    }

    pub(super) async fn deliver(&mut self, mail: Mail) {
        if let Some(running) = &mut self.running {
            running.engine.deliver(mail).await;
        }
        self.note_included();
    }

    pub(super) async fn look_for_work(&mut self) {
        if let Some(running) = &mut self.running {
            running.engine.look_for_work().await;
        }
        self.note_included();
    }

    /// Whether a transaction is news and waits here for a block now.
    pub(super) fn offer(&mut self, transaction: &Transaction) -> bool {
        let Some(running) = &self.running else { return false };
        let state = running.state.borrow().clone();
        let now = self.clock.now().max(state.time().plus_millis(1));
        running.mempool.offer(transaction.clone(), &state, now).is_ok()
    }

    /// From which height on to ask a peer for blocks that says it is so far.
    pub(super) fn wants(&mut self, tip: u64, now_ms: u64) -> Option<u64> {
        let waits = self.asked_at_ms.is_some_and(|asked| asked + FETCH_MS > now_ms);
        if waits || tip <= self.height() {
            return None;
        }
        self.asked_at_ms = Some(now_ms);
        Some(self.height() + 1)
    }

    pub(super) async fn serve(&mut self, from_height: u64) -> Vec<RawDecidedValue<Chain>> {
        match &mut self.running {
            Some(running) => running.engine.serve(from_height).await,
            None => Vec::new(),
        }
    }

    pub(super) fn take_out(&mut self) -> Vec<Out> {
        self.running.as_mut().map(|running| running.engine.take_out()).unwrap_or_default()
    }

    /// Why the process has ended, if it has.
    pub(super) fn take_stop(&mut self) -> Option<Stop> {
        let running = self.running.as_mut()?;
        if self.disk.is_dead() {
            return Some(Stop::Killed);
        }
        running.engine.stop()
    }

    fn note_included(&mut self) {
        let Some(running) = &mut self.running else { return };
        while let Ok(committed) = running.commits.try_recv() {
            let height = committed.block.header.height;
            let hashes = committed.block.transactions.iter().map(Transaction::hash);
            self.included.extend(hashes.map(|hash| (hash, height)));
        }
    }
}
