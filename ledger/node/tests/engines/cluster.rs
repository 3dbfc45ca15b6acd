//! Engines side by side in one process, each with a validator on a disk in memory.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_malachitebft_app_channel::NetworkMsg;
use arc_malachitebft_app_channel::app::engine::util::events::{Event, RxEvent};
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::order::{Order, Preferences, Side, Step};
use market::price::Price;
use market::signed::Signed;
use market::time::{Clock, DeliveryPeriod, PeriodLength, Timestamp};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock_offset::ClockOffset;
use crate::consensus::allow_list::AllowList;
use crate::consensus::context::Chain;
use crate::consensus::driver::Driver;
use crate::consensus::evidence::EvidenceFile;
use crate::consensus::network::EngineConfig;
use crate::consensus::session::{Session, stop};
use crate::consensus::signing::GuardedSigner;
use crate::consensus::sim::world::disk::Disk;
use crate::consensus::sim::world::engine::Wire;
use crate::consensus::sim::world::genesis::{
    market_time, metering_point, party, party_key, validator_key,
};
use crate::consensus::sim::world::member::Member;
use crate::consensus::sim::world::{Forgery, Plan, Record, Seat, genesis, lock};
use crate::consensus::{
    ConsensusConfig, ConsensusError, ConsensusStatus, Guard, Timeouts, peer_id,
};
use crate::mempool::Mempool;
use crate::validator::{Committed, Validator};

/// How long a test waits for what must happen, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(90);
/// How much faster market time runs than the wall's: what blocks may be late is seconds here.
const SPEED: i64 = 6;

/// Market time that begins with a test; the same in all of its processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TestClock {
    pub(super) begun_at_ms: i64,
}

impl TestClock {
    pub(super) fn begin() -> Self {
        Self { begun_at_ms: wall_ms() }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        market_time(0).plus_millis((wall_ms() - self.begun_at_ms) * SPEED)
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        let left_ms = at.millis_since(self.now()).max(0) / SPEED;
        Duration::from_millis(u64::try_from(left_ms).unwrap())
    }
}

/// Ports that nobody listens on just now.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let held: Vec<_> = (0..count).map(bind).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// The settings of one process of a validator, which hears these others.
pub(super) fn config(
    name: &str,
    genesis: &Genesis,
    (index, validator): (usize, usize),
    ports: &[u16],
    hears: impl Fn(usize) -> bool,
    data: &Path,
) -> ConsensusConfig {
    let seed = |index: usize| [u8::try_from(index).unwrap() + 100; 32];
    let address = |index: usize| format!("/ip4/127.0.0.1/tcp/{}", ports[index]);
    let peer = |other| format!("{}/p2p/{}", address(other), peer_id(&seed(other)).unwrap());
    let others = (0..ports.len()).filter(|other| *other != index && hears(*other));
    ConsensusConfig {
        chain: genesis.chain_id(),
        moniker: format!("{name}{index}"),
        data_dir: data.join(index.to_string()),
        signing_key: validator_key(validator),
        transport_key_seed: seed(index).into(),
        listen: address(index),
        peers: others.map(peer).collect(),
        timeouts: Timeouts::default(),
        quorum_wait_ms: 5_000,
    }
}

/// What a household orders at a time: another order for the period in forty minutes every 900 ms of
/// market time, which is as often as is allowed.
pub(super) fn order(genesis: &Genesis, household: usize, now: Timestamp) -> Transaction {
    let chain = genesis.chain_id();
    let at = now.plus_millis(40 * 60_000);
    let period = DeliveryPeriod::containing(at, PeriodLength::Minutes15).unwrap();
    let sequence = 1 + u64::try_from(at.millis_since(period.start()) / 900).unwrap();
    let order = Order {
        community: chain,
        party: party(household),
        metering_point: metering_point(household),
        period,
        side: Side::Sell,
        steps: vec![Step {
            limit: Price::from_micros_per_kwh(100_000),
            energy: Energy::from_wh(100),
        }],
        sequence,
        preferences: Preferences::default(),
    };
    Transaction::Order(Signed::sign(order, &chain, &party_key(household)).into_envelope())
}

/// What a dishonest process does with the bodies that it should send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    Sends,
    Withholds,
}

pub(super) struct Cluster {
    pub(super) record: Arc<Mutex<Record>>,
    genesis: Arc<Genesis>,
    clock: TestClock,
    nodes: Vec<Node>,
    ending: CancellationToken,
    begun_at: Instant,
    _data: TempDir,
}

struct Node {
    seat: Seat,
    disk: Disk,
    mempool: Mempool,
    state: watch::Receiver<Arc<State>>,
    forgery: Arc<Mutex<Option<Forgery>>>,
    status: watch::Receiver<ConsensusStatus>,
    data_dir: std::path::PathBuf,
    task: JoinHandle<Result<(), ConsensusError>>,
}

impl Cluster {
    /// Starts the plan's seats; `linked` says which of two hear each other.
    pub(super) async fn start(
        name: &str,
        plan: &Plan,
        bodies: Bodies,
        linked: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_default())
            .with_test_writer()
            .try_init();
        let genesis = Arc::new(genesis(plan.validators_count, plan.with_ex_post_gate));
        let mut cluster = Self {
            record: Arc::new(Mutex::new(Record::new(plan, &genesis))),
            genesis: Arc::clone(&genesis),
            clock: TestClock::begin(),
            nodes: Vec::new(),
            ending: CancellationToken::new(),
            begun_at: Instant::now(),
            _data: tempfile::tempdir().unwrap(),
        };
        let ports = free_ports(plan.seats.len());
        for (index, seat) in plan.seats.iter().enumerate() {
            let place = (index, seat.validator);
            let hears = |other| linked(index, other);
            let data = cluster._data.path();
            let config = config(name, &genesis, place, &ports, hears, data);
            let bodies = if seat.honest { Bodies::Sends } else { bodies };
            let node = cluster.node(index, *seat, config, bodies);
            cluster.nodes.push(node);
        }
        cluster.households();
        cluster
    }

    fn node(&self, index: usize, seat: Seat, config: ConsensusConfig, bodies: Bodies) -> Node {
        let (disk, mempool) = (Disk::default(), Mempool::default());
        let (commits, committed) = mpsc::unbounded_channel();
        let drift_max_ms = i64::try_from(self.genesis.block_drift_max_ms).unwrap();
        let (validator, state) = Validator::new(
            &self.genesis,
            State::at_genesis(&self.genesis),
            disk.clone(),
            mempool.clone(),
            Arc::new(self.clock),
            Arc::new(ClockOffset::new(drift_max_ms)),
            commits,
        );
        tokio::spawn(acknowledge(committed, seat.honest, Arc::clone(&self.record)));
        let (forgery, clock) = (Arc::new(Mutex::new(seat.forgery)), self.clock);
        let member = Member {
            validator,
            state: state.clone(),
            genesis: Arc::clone(&self.genesis),
            right_time: Box::new(move || clock.now()),
            forgery: Arc::clone(&forgery),
            node: index,
            record: Arc::clone(&self.record),
        };
        let (publish, status) = watch::channel(ConsensusStatus::default());
        let data_dir = config.data_dir.clone();
        let seated = Seated {
            index,
            config,
            member,
            bodies,
            forgery: Arc::clone(&forgery),
            record: Arc::clone(&self.record),
            begun_at: self.begun_at,
        };
        let task = tokio::spawn(seated.run(publish, self.ending.clone()));
        Node { seat, disk, mempool, state, forgery, status, data_dir, task }
    }

    /// Lets a household say something new to everybody, all the time.
    fn households(&self) {
        let (genesis, clock, ending) = (Arc::clone(&self.genesis), self.clock, self.ending.clone());
        let heard: Vec<_> =
            self.nodes.iter().map(|node| (node.mempool.clone(), node.state.clone())).collect();
        tokio::spawn(async move {
            loop {
                let now = clock.now();
                let said = order(&genesis, 1, now);
                for (mempool, state) in &heard {
                    let state = Arc::clone(&state.borrow());
                    // One that is not wanted any more was said too late, which is no matter.
                    let _ = mempool.offer(said.clone(), &state, now.max(state.time()));
                }
                tokio::select! {
                    () = ending.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        });
    }

    pub(super) fn honest(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].seat.honest)
    }

    pub(super) fn height(&self, node: usize) -> u64 {
        self.nodes[node].disk.tip()
    }

    /// The lowest height of an honest node.
    pub(super) fn lowest(&self) -> u64 {
        self.honest().map(|node| self.height(node)).min().unwrap_or_default()
    }

    pub(super) fn forge(&self, node: usize, forgery: Option<Forgery>) {
        *lock(&self.nodes[node].forgery) = forgery;
    }

    /// What an honest node has kept against others: the count it publishes, and the file.
    pub(super) fn evidence(&self, node: usize) -> (u64, String) {
        let node = &self.nodes[node];
        let file = node.data_dir.join("evidence.jsonl");
        let count = node.status.borrow().evidence_count;
        (count, std::fs::read_to_string(file).unwrap_or_default())
    }

    /// Waits until something can be seen.
    pub(super) async fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let heights = || (0..self.nodes.len()).map(|it| self.height(it)).collect::<Vec<_>>();
            assert!(since.elapsed() < PATIENCE, "waited too long until {what}: {:?}", heights());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every honest node has gone some heights further, stops all, and gives what
    /// happened.
    pub(super) async fn finish(self) -> Record {
        let height = self.honest().map(|node| self.height(node)).max().unwrap_or_default();
        let at_ms = u64::try_from(self.begun_at.elapsed().as_millis()).unwrap();
        lock(&self.record).note_healed(at_ms, height);
        let further = lock(&self.record).heights_after_healing;
        self.until("everybody goes on", |it| (it.lowest() >= height + further).then_some(())).await;
        self.stop().await
    }

    /// Stops all, and gives what happened.
    pub(super) async fn stop(mut self) -> Record {
        self.ending.cancel();
        for node in &mut self.nodes {
            let ended = (&mut node.task).await.unwrap();
            assert!(ended.is_ok() || !node.seat.honest, "{ended:?}");
        }
        let mut record = lock(&self.record).clone();
        record.chains = self.nodes.iter().map(|node| node.disk.chain()).collect();
        record.ended_at_ms = u64::try_from(self.begun_at.elapsed().as_millis()).unwrap();
        record
    }
}

/// What an honest node has committed, its households may rely on.
async fn acknowledge(
    mut committed: mpsc::UnboundedReceiver<Committed>,
    honest: bool,
    record: Arc<Mutex<Record>>,
) {
    while let Some(Committed { block, .. }) = committed.recv().await {
        if honest {
            let height = block.header.height;
            let hashes = block.transactions.iter().map(|said| (said.hash(), height));
            lock(&record).acknowledged.extend(hashes);
        }
    }
}

/// A seat that is taken.
struct Seated {
    index: usize,
    config: ConsensusConfig,
    member: Member,
    bodies: Bodies,
    forgery: Arc<Mutex<Option<Forgery>>>,
    record: Arc<Mutex<Record>>,
    begun_at: Instant,
}

impl Seated {
    /// As a session of a validator, with an observer, and with a hand on what is sent.
    async fn run(
        self,
        publish: watch::Sender<ConsensusStatus>,
        ending: CancellationToken,
    ) -> Result<(), ConsensusError> {
        let Self { index, config, member, bodies, forgery, record, begun_at } = self;
        let wal = config.data_dir.join("wal").join("consensus.wal");
        let key = config.signing_key.public();
        let guard = Guard::open(&config.data_dir, config.chain, key, None)?;
        let signer =
            GuardedSigner::new(config.chain, config.signing_key.clone(), guard, wal.clone());
        let engine = EngineConfig::of(&config)?;
        let session = Session { config: &config, engine, signer: &signer, wal: &wal, watch: None };
        let allowed = AllowList::new(&config, Vec::new())?;
        let (mut channels, handle) = session.start(&allowed).await?;
        tokio::spawn(observe(channels.events.subscribe(), index, begun_at, record));
        channels.network = meddle(channels.network, bodies, forgery);
        let mut driver = Driver::new(&config, member, allowed, &channels, publish)?;
        driver.evidence = Some(EvidenceFile::open(&config.data_dir));
        let (_, result) = driver.run(channels, &ending).await;
        stop(handle, &wal).await;
        result
    }
}

/// Writes down everything that a node signs and sends.
async fn observe(
    mut events: RxEvent<Chain>,
    index: usize,
    begun_at: Instant,
    record: Arc<Mutex<Record>>,
) {
    loop {
        match events.recv().await {
            Ok(Event::Published(message)) => {
                let at_ms = u64::try_from(begun_at.elapsed().as_millis()).unwrap();
                lock(&record).note_published(at_ms, index, &Wire::Consensus(message));
            }
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(_) => return,
        }
    }
}

/// Stands between the driver and the network of a node that does not keep the rules.
fn meddle(
    network: mpsc::Sender<NetworkMsg<Chain>>,
    bodies: Bodies,
    forgery: Arc<Mutex<Option<Forgery>>>,
) -> mpsc::Sender<NetworkMsg<Chain>> {
    let (sender, mut sent) = mpsc::channel(256);
    tokio::spawn(async move {
        while let Some(NetworkMsg::PublishProposalPart(part)) = sent.recv().await {
            if bodies == Bodies::Withholds {
                continue;
            }
            let forgery = *lock(&forgery);
            for part in Forgery::parts(forgery, part) {
                if network.send(NetworkMsg::PublishProposalPart(part)).await.is_err() {
                    return;
                }
            }
        }
    });
    sender
}
