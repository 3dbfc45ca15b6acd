//! Four validator processes on databases, killed without warning again and again: at any instant,
//! and before and after each write that must outlive them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::block::Block;
use market::time::Clock as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::cluster::{TestClock, config, free_ports, order};
use crate::clock_offset::ClockOffset;
use crate::consensus::sim::world::genesis;
use crate::consensus::{ConsensusStatus, LOG_FILTER, run};
use crate::failpoint::Place;
use crate::failpoint::armed::{DIE_AT, SIGNED};
use crate::mempool::Mempool;
use crate::store::Store;
use crate::validator::{Committed, Validator};

const SIZE: usize = 4;
/// Which one loses the engine's log with each planned death: at most one of four may.
const UNLUCKY: usize = 3;
/// How often somebody is killed, how often somebody dies at each place, and the seed of who and
/// when; all can be set from outside to repeat a run or to make it a long one.
const KILLS: (&str, u64) = ("CONSENSUS_KILLS", 16);
const DEATHS: (&str, u64) = ("CONSENSUS_DEATHS", 2);
const SEED: (&str, u64) = ("CONSENSUS_KILL_SEED", 20_261_122);
const PATIENCE: Duration = Duration::from_secs(120);
/// Tells a process of this test binary which validator it is:
/// `index beginning-of-time port port ... directory`.
const ROLE: &str = "CONSENSUS_KILL_ROLE";
const CHILD: &str = concat!(module_path!(), "::child");

/// One validator, when this binary is started as such; nothing otherwise.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut words: Vec<&str> = role.split(' ').collect();
    let data = PathBuf::from(words.pop().unwrap());
    let index: usize = words.remove(0).parse().unwrap();
    let clock = TestClock { begun_at_ms: words.remove(0).parse().unwrap() };
    let ports: Vec<u16> = words.iter().map(|port| port.parse().unwrap()).collect();
    tracing_subscriber::fmt().with_env_filter(std::env::var("RUST_LOG").unwrap()).init();

    let genesis = genesis(SIZE, false);
    let mut config = config("killed", &genesis, (index, index), &ports, |_| true, &data);
    config.quorum_wait_ms = 2_000;
    std::fs::create_dir_all(&config.data_dir).unwrap();
    let (store, state) = Store::open(&config.data_dir, &genesis).await.unwrap();
    let (commits, mut committed) = mpsc::unbounded_channel();
    let mempool = Mempool::default();
    let drift_max_ms = i64::try_from(genesis.block_drift_max_ms).unwrap();
    let offset = Arc::new(ClockOffset::new(drift_max_ms));
    let (validator, state) =
        Validator::new(&genesis, state, store, mempool.clone(), Arc::new(clock), offset, commits);
    // A household that has its orders acknowledged by this validator alone.
    let acknowledged = acknowledged_file(&data, index);
    let household = async move {
        loop {
            let now = clock.now();
            let said = order(&genesis, index, now);
            let after = state.borrow().clone();
            let _ = mempool.offer(said, &after, now.max(after.time()));
            tokio::select! {
                news = committed.recv() => acknowledge(&acknowledged, &news.unwrap()),
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    };
    let (publish, _status) = watch::channel(ConsensusStatus::default());
    tokio::select! {
        ended = run(config, validator, CancellationToken::new(), publish) => ended.unwrap(),
        () = household => {}
    }
}

fn acknowledge(path: &Path, Committed { block, .. }: &Committed) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    let mut line = format!("{} {}", block.header.height, block.hash());
    for transaction in &block.transactions {
        line.push_str(&format!(" {}", transaction.hash()));
    }
    line.push('\n');
    file.write_all(line.as_bytes()).unwrap();
}

fn number((name, default): (&str, u64)) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn acknowledged_file(data: &Path, index: usize) -> PathBuf {
    data.join(format!("{index}.acknowledged"))
}

struct House {
    data: TempDir,
    role: String,
    children: Vec<Option<Child>>,
    has_lost_log: bool,
}

impl House {
    fn new() -> Self {
        let ports: Vec<_> = free_ports(SIZE).iter().map(ToString::to_string).collect();
        let role = format!("{} {}", TestClock::begin().begun_at_ms, ports.join(" "));
        let children = (0..SIZE).map(|_| None).collect();
        Self { data: tempfile::tempdir().unwrap(), role, children, has_lost_log: false }
    }

    fn start(&mut self, index: usize) {
        self.start_until(index, None);
    }

    /// Starts a validator that dies at a place, after it has got past there so often.
    fn start_until(&mut self, index: usize, dies: Option<(Place, u64)>) {
        let data = self.data.path();
        let log = File::options().create(true).append(true).open(self.log_file(index)).unwrap();
        // The harness names tests without the crate.
        let (_, child) = CHILD.split_once("::").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([child, "--exact", "--ignored", "--nocapture"])
            .env(ROLE, format!("{index} {} {}", self.role, data.display()))
            .env(SIGNED, data.join(format!("{index}.signed")))
            .env("RUST_LOG", format!("warn,ledger_node=info,{LOG_FILTER}"))
            .env("RUST_BACKTRACE", "0")
            .env("NO_COLOR", "1")
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true);
        if let Some((place, count)) = dies {
            command.env(DIE_AT, format!("{place:?} {count}"));
        }
        self.children[index] = Some(command.spawn().unwrap());
    }

    /// SIGKILL; and whoever ended by itself before is a failure of the test.
    async fn kill(&mut self, index: usize) {
        let mut child = self.children[index].take().expect("it runs");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "validator {index} ended by itself:\n{}", self.log(index));
        child.kill().await.unwrap();
    }

    /// Whether a validator has died where it should.
    fn has_died(&mut self, index: usize, place: Place) -> bool {
        let child = self.children[index].as_mut().expect("it was started");
        if child.try_wait().unwrap().is_none() {
            return false;
        }
        self.children[index] = None;
        let log = self.log(index);
        let last = log.lines().rev().find(|line| line.starts_with("dies at"));
        assert_eq!(last, Some(format!("dies at {place:?}").as_str()), "validator {index}:\n{log}");
        if index == UNLUCKY {
            // What it has said, its record alone knows now.
            let engine_log = self.data.path().join(index.to_string()).join("wal/consensus.wal");
            std::fs::remove_file(engine_log).unwrap();
            self.has_lost_log = true;
        }
        true
    }

    fn log_file(&self, index: usize) -> PathBuf {
        self.data.path().join(format!("{index}.log"))
    }

    fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.log_file(index)).unwrap_or_default()
    }

    /// What a validator has told: height, block, transactions.
    fn acknowledged(&self, index: usize) -> Vec<(u64, String, Vec<String>)> {
        let path = acknowledged_file(self.data.path(), index);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // A process may have died in the middle of its last word.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let read = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let height = words.next()?.parse().ok()?;
            Some((height, words.next()?, words.collect()))
        };
        lines.filter_map(read).collect()
    }

    fn height(&self, index: usize) -> u64 {
        self.acknowledged(index).last().map_or(0, |(height, ..)| *height)
    }

    fn highest(&self) -> u64 {
        (0..SIZE).map(|index| self.height(index)).max().unwrap_or_default()
    }

    fn logs(&self) -> String {
        (0..SIZE).map(|index| format!("\n{index}:\n{}", self.log(index))).collect()
    }

    async fn all_reach(&mut self, height: u64) {
        let since = Instant::now();
        for index in 0..SIZE {
            while self.height(index) < height {
                let child = self.children[index].as_mut().expect("it runs");
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "{index} ended by itself:\n{}", self.log(index));
                let logs = || self.logs();
                assert!(since.elapsed() < PATIENCE, "{index} does not reach {height}:{}", logs());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Kills all, and holds what they have stored, told and signed against each other.
    async fn nothing_contradicts(mut self) {
        let genesis = genesis(SIZE, false);
        let (mut decided, mut blocks) = (BTreeMap::new(), Vec::new());
        for index in 0..SIZE {
            self.kill(index).await;
        }
        for index in 0..SIZE {
            let (store, state) =
                Store::open(&self.data.path().join(index.to_string()), &genesis).await.unwrap();
            let mut chain = Vec::new();
            for height in 1..=state.height() {
                let (bytes, certificate) = store.decided(height).await.unwrap().unwrap();
                let block = Block::from_bytes(&bytes).unwrap();
                certificate.verify(&genesis.chain_id(), &genesis.validators).unwrap();
                assert_eq!((certificate.height, certificate.block), (height, block.hash()));
                let hash = *decided.entry(height).or_insert(block.hash());
                assert_eq!(hash, block.hash(), "a fork at height {height}");
                chain.push(block);
            }
            store.close().await;
            blocks.push(chain);
        }
        for index in 0..SIZE {
            for (height, hash, transactions) in self.acknowledged(index) {
                let at = usize::try_from(height - 1).unwrap();
                for (other, chain) in blocks.iter().enumerate() {
                    let Some(block) = chain.get(at) else {
                        assert_ne!(other, index, "{index} has lost height {height}");
                        continue;
                    };
                    assert_eq!(block.hash().to_string(), hash, "{index} told {other} otherwise");
                    let held: Vec<_> =
                        block.transactions.iter().map(|it| it.hash().to_string()).collect();
                    assert_eq!(held, transactions, "height {height} of {other}");
                }
            }
            self.signed_nothing_twice(index);
            let log = self.log(index);
            for words in ["two statements", "halted for safety", "panicked"] {
                assert!(!log.contains(words), "validator {index}:\n{log}");
            }
            // Whose log is whole never asks its signer for a contradiction.
            let may_refuse = index == UNLUCKY && self.has_lost_log;
            assert!(may_refuse || !log.contains("refuses"), "validator {index}:\n{log}");
        }
    }

    /// No validator says two different things about one step, in whatever life.
    fn signed_nothing_twice(&self, index: usize) {
        let path = self.data.path().join(format!("{index}.signed"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut said = BTreeMap::new();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let (step, statement) = line.split_once('\t').unwrap();
            let first = *said.entry(step).or_insert(statement);
            assert_eq!(first, statement, "validator {index} contradicts itself at {step}");
        }
        assert!(said.len() > 10, "it took part");
    }
}

/// A small generator is enough to choose victims and instants, the same ones for a seed.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

fn random_index(state: &mut u64) -> usize {
    usize::try_from(random(state, 4)).unwrap()
}

#[tokio::test]
async fn killed_validators_never_fork_and_always_come_back() {
    let mut house = House::new();
    (0..SIZE).for_each(|index| house.start(index));
    house.all_reach(3).await;

    let mut state = number(SEED);
    for kill in 0..number(KILLS) {
        let wait_ms = 20 + random(&mut state, 400);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        // Every fifth time all of them at once, so that nobody remembers for the others.
        let victims: Vec<_> = match kill % 5 {
            4 => (0..SIZE).collect(),
            _ => vec![random_index(&mut state)],
        };
        for index in &victims {
            house.kill(*index).await;
        }
        victims.iter().for_each(|index| house.start(*index));
    }
    let height = house.highest() + 5;
    house.all_reach(height).await;
    house.nothing_contradicts().await;
}

/// Each of four goes from death to death, at every place, whatever the others are at.
#[tokio::test]
async fn a_death_before_or_after_any_write_contradicts_nothing() {
    let mut house = House::new();
    let mut state = number(SEED) ^ 0xdead;
    let mut places: VecDeque<Place> = (0..number(DEATHS)).flat_map(|_| Place::ALL).collect();
    let mut dying = [None; SIZE];
    let mut since = Instant::now();
    loop {
        for (index, dies_at) in dying.iter_mut().enumerate() {
            if let Some(place) = *dies_at {
                if !house.has_died(index, place) {
                    continue;
                }
                *dies_at = None;
                since = Instant::now();
            }
            if house.children[index].is_none() {
                *dies_at = places.pop_front();
                let count = random(&mut state, 6);
                house.start_until(index, dies_at.map(|place| (place, count)));
            }
        }
        if dying.iter().all(Option::is_none) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{dying:?} do not die: {}", house.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let height = house.highest() + 3;
    house.all_reach(height).await;

    // One of them loses its last commits: it knows by its record that it was further.
    let victim = random_index(&mut state);
    house.kill(victim).await;
    let log = house.data.path().join(victim.to_string()).join("ledger.sqlite-wal");
    let length = log.metadata().unwrap().len();
    File::options().write(true).open(&log).unwrap().set_len(length / 2).unwrap();
    house.start(victim);
    let height = house.highest() + 3;
    house.all_reach(height).await;
    house.nothing_contradicts().await;
}
