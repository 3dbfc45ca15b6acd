//! The world of one history: nodes, households and a network, moved by one queue of events.

pub(in crate::consensus) mod disk;
mod effects;
pub(in crate::consensus) mod engine;
pub(in crate::consensus) mod forgery;
pub(in crate::consensus) mod genesis;
mod household;
pub(in crate::consensus) mod member;
mod network;
mod node;
mod plan;
mod random;
pub(in crate::consensus) mod record;

pub(in crate::consensus) use forgery::Forgery;
pub(in crate::consensus) use genesis::genesis;
pub(in crate::consensus) use plan::{Fault, Plan, Seat};
pub(in crate::consensus) use random::Random;
pub(in crate::consensus) use record::Record;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_core_types::Timeout;
use ledger::genesis::Genesis;
use market::hash::Digest;
use tempfile::TempDir;

use engine::{Mail, Out, Wire};
use household::Household;
use network::Network;
use node::Node;
use record::Stop;

/// How often a node looks for a reason to start the next height, in milliseconds.
const LOOK_MS: u64 = 100;
/// Every so many looks it tells the others how far it is.
const LOOKS_PER_STATUS: u64 = 5;
/// How long a process takes to start again after it has stopped by itself.
const RESTART_MS: u64 = 700;

/// What happens at an instant.
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
enum Event {
    Arrives { to: usize, from: usize, wire: Wire },
    Elapses { node: usize, life: u64, timeout: Timeout, turn: u64 },
    Looks { node: usize, life: u64, count: u64 },
    Starts { node: usize },
    Acts { household: usize },
    Strikes(Fault),
    Rejoins,
    Heals,
}

pub(super) struct World {
    plan: Plan,
    genesis: Genesis,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    random: Random,
    network: Network,
    nodes: Vec<Node>,
    households: Vec<Household>,
    record: Arc<Mutex<Record>>,
    _guards: TempDir,
}

impl World {
    /// Plays a history to its end.
    pub(super) fn play(plan: Plan) -> Record {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = Self::new(plan);
            world.run().await;
            world.finish()
        })
    }

    fn new(plan: Plan) -> Self {
        let genesis = genesis(plan.validators_count, plan.with_ex_post_gate);
        let record = Arc::new(Mutex::new(Record::new(&plan, &genesis)));
        let guards = guards_directory();
        let nodes: Vec<_> = (0..plan.seats.len())
            .map(|index| Node::new(&plan, index, &genesis, guards.path(), &record))
            .collect();
        let mut world = Self {
            random: Random::new(plan.seed),
            network: Network::new(&plan),
            households: (0..genesis::PARTIES).map(Household::new).collect(),
            genesis,
            now_ms: 0,
            queue: BTreeMap::new(),
            queued: 0,
            nodes,
            record,
            plan,
            _guards: guards,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        for node in 0..self.nodes.len() {
            let at = self.random.below(200);
            self.at(at, Event::Starts { node });
        }
        for household in 0..self.households.len() {
            let at = 300 + self.random.below(1_500);
            self.at(at, Event::Acts { household });
        }
        for (at, fault) in self.plan.faults.clone() {
            self.at(at, Event::Strikes(fault));
        }
        self.at(self.plan.heals_at_ms, Event::Heals);
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at_ms, self.queued), event);
    }

    async fn run(&mut self) {
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            if at_ms > self.plan.ends_at_ms || self.is_done() {
                return;
            }
            self.now_ms = at_ms;
            for node in &self.nodes {
                node.clock.set(at_ms);
            }
            self.happen(event).await;
        }
    }

    /// All the world has healed, and every honest node has gone on from there.
    fn is_done(&self) -> bool {
        let record = lock(&self.record);
        let Some(healed) = record.healed else { return false };
        let mut honest = self.nodes.iter().filter(|node| node.seat.honest);
        honest.all(|node| node.height() >= healed.height + self.plan.heights_after_healing)
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { to, from, wire } => self.arrive(to, from, wire).await,
            Event::Elapses { node, life, timeout, turn } => {
                if self.nodes[node].life == life {
                    self.nodes[node].deliver(Mail::Elapsed(timeout, turn)).await;
                    self.after(node);
                }
            }
            Event::Looks { node, life, count } => self.look(node, life, count).await,
            Event::Starts { node } => {
                if self.nodes[node].start(&self.genesis).await {
                    let life = self.nodes[node].life;
                    self.at(self.now_ms + LOOK_MS, Event::Looks { node, life, count: 0 });
                }
                self.after(node);
            }
            Event::Acts { household } => self.act(household),
            Event::Strikes(fault) => self.strike(fault),
            Event::Rejoins => self.network.rejoin(),
            Event::Heals => self.heal(),
        }
    }

    async fn arrive(&mut self, to: usize, from: usize, wire: Wire) {
        if !self.nodes[to].is_up() {
            return;
        }
        match wire {
            Wire::Said(transaction) => {
                if self.nodes[to].offer(&transaction) {
                    self.broadcast(to, &Wire::Said(transaction));
                }
            }
            Wire::Status { tip } => {
                if let Some(from_height) = self.nodes[to].wants(tip, self.now_ms) {
                    self.send(to, from, Wire::Request { from_height });
                }
            }
            Wire::Request { from_height } => {
                let values = self.nodes[to].serve(from_height).await;
                if !values.is_empty() {
                    self.send(to, from, Wire::Response { values });
                }
            }
            wire => {
                let peer = self.nodes[from].peer;
                self.nodes[to].deliver(Mail::Received(peer, wire)).await;
            }
        }
        self.after(to);
    }

    async fn look(&mut self, node: usize, life: u64, count: u64) {
        if self.nodes[node].life != life || !self.nodes[node].is_up() {
            return;
        }
        if count.is_multiple_of(LOOKS_PER_STATUS) {
            let tip = self.nodes[node].height();
            self.broadcast(node, &Wire::Status { tip });
        }
        if self.nodes[node].has_watched(self.now_ms) {
            self.nodes[node].crash();
            self.at(self.now_ms + LOOK_MS, Event::Starts { node });
            return;
        }
        self.nodes[node].look_for_work().await;
        self.at(self.now_ms + LOOK_MS, Event::Looks { node, life, count: count + 1 });
        self.after(node);
    }

    /// Sends and schedules what a node has asked for, and buries it if it has stopped.
    fn after(&mut self, node: usize) {
        for out in self.nodes[node].take_out() {
            match out {
                Out::Publish(wire) => {
                    lock(&self.record).note_published(self.now_ms, node, &wire);
                    self.broadcast(node, &wire);
                }
                Out::Schedule { timeout, turn, after_ms } => {
                    let life = self.nodes[node].life;
                    let event = Event::Elapses { node, life, timeout, turn };
                    self.at(self.now_ms + after_ms, event);
                }
            }
        }
        if let Some(stop) = self.nodes[node].take_stop() {
            let down_ms = self.nodes[node].down_ms.take().unwrap_or(RESTART_MS);
            self.nodes[node].crash();
            if matches!(stop, Stop::Refused(_)) {
                self.nodes[node].watch(self.now_ms);
            }
            lock(&self.record).note_stop(self.now_ms, node, stop);
            self.at(self.now_ms + down_ms, Event::Starts { node });
        }
    }

    fn broadcast(&mut self, from: usize, wire: &Wire) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.send(from, to, wire.clone());
        }
    }

    fn send(&mut self, from: usize, to: usize, wire: Wire) {
        for delay_ms in self.network.delays(&mut self.random, from, to) {
            let wire = wire.clone();
            self.at(self.now_ms + delay_ms, Event::Arrives { to, from, wire });
        }
    }

    /// A household says what it has to say to one or two nodes, and says it again until it stands
    /// in a block of the node it asks.
    fn act(&mut self, household: usize) {
        let asked = self.random.below_usize(self.nodes.len());
        let said = {
            let included = &self.nodes[asked].included;
            let household = &mut self.households[household];
            let record = &self.record;
            let mut acknowledge = |hash: &Digest| match included.get(hash) {
                Some(height) => {
                    lock(record).acknowledged.insert(*hash, *height);
                    true
                }
                None => false,
            };
            household.act(&self.genesis, self.now_ms, &mut self.random, &mut acknowledge)
        };
        for transaction in said {
            for to in [asked, self.random.below_usize(self.nodes.len())] {
                let delay_ms = 5 + self.random.below(60);
                let wire = Wire::Said(transaction.clone());
                let event = Event::Arrives { to, from: to, wire };
                self.at(self.now_ms + delay_ms, event);
            }
        }
        let pause_ms = 900 + self.random.below(2_500);
        self.at(self.now_ms + pause_ms, Event::Acts { household });
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { node, down_ms, log_kept } => self.crash(node, down_ms, log_kept),
            Fault::CrashAtWrite { node, write, lands, down_ms } => {
                self.nodes[node].disk.fail_at(write, lands);
                self.nodes[node].down_ms = Some(down_ms);
            }
            Fault::CrashAll { down_ms } => {
                (0..self.nodes.len()).for_each(|node| self.crash(node, down_ms, None));
            }
            Fault::Blackout { writes, down_ms } => {
                for (node, write) in writes.into_iter().enumerate() {
                    self.nodes[node].disk.fail_at(write, write.is_multiple_of(2));
                    self.nodes[node].down_ms = Some(down_ms);
                }
            }
            Fault::Split { sides, for_ms } => {
                self.network.split(sides);
                self.at(self.now_ms + for_ms, Event::Rejoins);
            }
        }
    }

    fn crash(&mut self, node: usize, down_ms: u64, log_kept: Option<usize>) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.nodes[node].crash();
        if let Some(kept) = log_kept {
            self.nodes[node].disk.cut_log(kept);
            lock(&self.record).damaged.insert(node);
        }
        self.at(self.now_ms + down_ms, Event::Starts { node });
    }

    /// From here on nothing is lost and nobody falls any more.
    fn heal(&mut self) {
        self.network.heal();
        for node in &self.nodes {
            node.disk.fail_never();
        }
        let height = self.nodes.iter().map(|node| node.disk.tip()).max().unwrap_or_default();
        lock(&self.record).note_healed(self.now_ms, height);
    }

    fn finish(self) -> Record {
        let mut record = lock(&self.record).clone();
        record.chains = self.nodes.iter().map(|node| node.disk.chain()).collect();
        record.ended_at_ms = self.now_ms;
        record
    }
}

/// In memory where the system has such a place: the guards write and sync for every signature.
fn guards_directory() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("hidamari-sim-").tempdir_in(memory);
    made.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(in crate::consensus) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
