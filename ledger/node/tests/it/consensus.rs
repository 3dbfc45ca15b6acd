//! Four validators in one process, over real TCP connections on the loopback interface.

#[path = "consensus_toy.rs"]
pub(crate) mod toy;

/// The names that the toy application is written against.
pub(crate) mod api {
    pub(crate) use ledger_node::consensus::*;
}

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{
    ConsensusConfig, ConsensusError, ConsensusStatus, GuardError, Phase, Timeouts, peer_id, run,
};
use ledger::certificate::CommitCertificate;
use ledger::validators::{Validator, ValidatorSet};
use market::keys::{ChainId, SigningKey};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use toy::{Toy, ToyBlock, lock};

pub(crate) const CHAIN: ChainId = ChainId::from_bytes([42; 32]);
/// How long a test waits for what must happen, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The keys of the test's validators are no secret.
fn validator_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn validators(size: u8) -> ValidatorSet {
    let keys = (1..=size).map(|seed| validator_key(seed).public());
    ValidatorSet::new(keys.map(|key| Validator { key, power: 1 }).collect()).unwrap()
}

/// Ports that nobody listens on just now.
pub(crate) fn free_ports(size: u8) -> Vec<u16> {
    let bind = |_| TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let held: Vec<_> = (0..size).map(bind).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// The settings of validators on these ports of this machine.
pub(crate) fn configs(name: &str, ports: &[u16], data: &Path) -> Vec<ConsensusConfig> {
    let seeds = || (1_u8..).zip(ports);
    let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
    let peer = |seed: u8, port: u16| {
        let id = peer_id(&[seed + 100; 32]).unwrap();
        format!("{}/p2p/{id}", address(port))
    };
    let config = |seed: u8, port: u16| ConsensusConfig {
        chain: CHAIN,
        moniker: format!("{name}{seed}"),
        data_dir: data.join(seed.to_string()),
        signing_key: validator_key(seed),
        transport_key_seed: [seed + 100; 32].into(),
        listen: address(port),
        peers: seeds()
            .filter(|(other, _)| *other != seed)
            .map(|(at, port)| peer(at, *port))
            .collect(),
        timeouts: Timeouts::default(),
        quorum_wait_ms: 20_000,
    };
    seeds().map(|(seed, port)| config(seed, *port)).collect()
}

struct Node {
    config: ConsensusConfig,
    toy: Toy,
    running: Option<Running>,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ConsensusError>>,
    status: watch::Receiver<ConsensusStatus>,
}

struct Cluster {
    nodes: Vec<Node>,
    validators: ValidatorSet,
    _data: TempDir,
}

impl Node {
    fn start(&mut self) {
        let shutdown = CancellationToken::new();
        let (publish, status) = watch::channel(ConsensusStatus::default());
        let task =
            tokio::spawn(run(self.config.clone(), self.toy.clone(), shutdown.clone(), publish));
        self.running = Some(Running { shutdown, task, status });
    }

    async fn stop(&mut self) {
        let running = self.running.take().expect("the node runs");
        running.shutdown.cancel();
        running.task.await.unwrap().unwrap();
        assert_eq!(running.status.borrow().phase, Phase::Stopped);
    }

    fn height(&self) -> usize {
        lock(&self.toy.disk).blocks.len()
    }

    fn chain(&self) -> Vec<(ToyBlock, CommitCertificate)> {
        lock(&self.toy.disk).blocks.clone()
    }

    /// Waits until the status says so.
    async fn reaches(&mut self, what: &str, hold: impl Fn(&ConsensusStatus) -> bool) {
        let running = self.running.as_mut().expect("the node runs");
        let reached = tokio::time::timeout(PATIENCE, running.status.wait_for(&hold)).await;
        let reached = reached.is_ok_and(|status| status.is_ok());
        let status = running.status.borrow().clone();
        assert!(reached, "{} does not reach: {what}: {status:?}", self.config.moniker);
    }

    async fn commits(&mut self, number: u64) {
        let disk = std::sync::Arc::clone(&self.toy.disk);
        let holds = move |_: &ConsensusStatus| {
            lock(&disk).blocks.iter().any(|(block, _)| block.numbers.contains(&number))
        };
        self.reaches(&format!("number {number} is committed"), holds).await;
    }

    async fn idles(&mut self) {
        self.reaches("idle", |status| status.phase == Phase::Idle).await;
    }
}

impl Cluster {
    fn new(name: &str, size: u8) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_default())
            .with_test_writer()
            .try_init();
        let data = tempfile::tempdir().unwrap();
        let validators = validators(size);
        let configs = configs(name, &free_ports(size), data.path());
        let nodes = configs.into_iter().map(|config| {
            let toy = Toy::new(validators.clone());
            Node { config, toy, running: None }
        });
        Self { nodes: nodes.collect(), validators, _data: data }
    }

    /// Tells all neighbours, as gossip does, whether they run or not.
    fn submit(&self, number: u64) {
        self.nodes.iter().for_each(|node| node.toy.mempool.submit(number));
    }

    fn running(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().filter(|node| node.running.is_some())
    }

    async fn all_commit(&mut self, number: u64) {
        for node in self.running() {
            node.commits(number).await;
        }
    }

    async fn all_idle(&mut self) {
        for node in self.running() {
            node.idles().await;
        }
    }

    /// No two blocks at one height, every block follows the one before, every certificate holds.
    fn check_chains(&self) {
        let longest = self.nodes.iter().map(Node::chain).max_by_key(Vec::len).unwrap();
        for node in &self.nodes {
            let chain = node.chain();
            for ((block, certificate), (other, _)) in chain.iter().zip(&longest) {
                assert_eq!(block, other, "{} forked", node.config.moniker);
                assert_eq!((certificate.height, certificate.block), (block.height, block.hash()));
                certificate.verify(&CHAIN, &self.validators).unwrap();
            }
            for ((block, _), (next, _)) in chain.iter().zip(chain.iter().skip(1)) {
                assert_eq!(next.previous, block.hash());
            }
        }
    }

    async fn stop(&mut self) {
        for node in self.running() {
            node.stop().await;
        }
        self.check_chains();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_wait_for_work_and_work_does_not_wait_for_blocks() {
    let mut cluster = Cluster::new("work", 4);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.submit(0);
    cluster.all_commit(0).await;
    let mut taken = Vec::new();
    for number in 1..=10 {
        cluster.all_idle().await;
        let before = Instant::now();
        cluster.submit(number);
        cluster.all_commit(number).await;
        taken.push(before.elapsed());
    }
    // The median: on a busy machine a single one says more about the machine.
    taken.sort_unstable();
    assert!(taken[5] < Duration::from_secs(1), "from work to the last commit: {taken:?}");

    cluster.all_idle().await;
    let height = cluster.nodes[0].height();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(cluster.nodes.iter().all(|node| node.height() == height), "an empty block");
    let empty =
        cluster.nodes[0].chain().iter().filter(|(block, _)| block.numbers.is_empty()).count();
    assert!(empty <= 1, "{empty} empty blocks");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_validator_is_not_missed_and_catches_up_by_value_sync() {
    let mut cluster = Cluster::new("sync", 4);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.submit(0);
    cluster.all_commit(0).await;

    cluster.nodes[3].stop().await;
    let missed = 8;
    for number in 1..=missed {
        cluster.submit(number);
        cluster.all_commit(number).await;
    }
    let stood = cluster.nodes[3].height();
    assert!(cluster.nodes[0].height() > stood + 5);

    cluster.nodes[3].start();
    cluster.nodes[3].commits(missed).await;
    cluster.submit(100);
    cluster.all_commit(100).await;

    // Its signer's record and its votes count again: with another one down it is needed.
    cluster.nodes[0].stop().await;
    cluster.submit(101);
    cluster.all_commit(101).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_nothing_is_decided_and_afterwards_it_goes_on() {
    let mut cluster = Cluster::new("halt", 4);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.submit(0);
    cluster.all_commit(0).await;
    cluster.nodes[1].stop().await;
    cluster.nodes[2].stop().await;
    for node in cluster.running() {
        node.reaches("no quorum", |status| !status.has_quorum).await;
    }
    let height = cluster.nodes[0].height();
    cluster.submit(1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((cluster.nodes[0].height(), cluster.nodes[3].height()), (height, height));

    cluster.nodes[1].start();
    cluster.all_commit(1).await;
    cluster.nodes[2].start();
    cluster.all_commit(1).await;
    cluster.submit(2);
    cluster.all_commit(2).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_proposal_costs_its_round_and_nothing_else() {
    let mut cluster = Cluster::new("evil", 4);
    cluster.nodes[2].toy.evil = true;
    cluster.nodes.iter_mut().for_each(Node::start);
    for number in 0..6 {
        cluster.submit(number);
        cluster.all_commit(number).await;
    }
    let late = cluster.nodes[0].chain().iter().filter(|(_, proof)| proof.round > 0).count();
    assert!(late >= 1, "the evil proposer had at least one turn in six heights");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_validator_is_its_own_quorum() {
    let mut cluster = Cluster::new("single", 1);
    cluster.nodes[0].start();
    cluster.submit(0);
    cluster.all_commit(0).await;
    cluster.nodes[0].stop().await;
    cluster.nodes[0].start();
    cluster.submit(1);
    cluster.all_commit(1).await;
    cluster.stop().await;
}

/// A validator that has lost its ledger knows by its record that it may not vote yet; one that has
/// lost both starts as new. Either way it is soon needed again, and contradicts nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ledger_is_fetched_again_before_the_validator_votes() {
    let mut cluster = Cluster::new("refetch", 4);
    cluster.nodes.iter_mut().for_each(Node::start);
    for number in 0..12 {
        cluster.submit(number);
        cluster.all_commit(number).await;
    }
    for with_record in [true, false] {
        cluster.nodes[3].stop().await;
        let first = if with_record { 100 } else { 200 };
        for number in first..first + 3 {
            cluster.submit(number);
            cluster.all_commit(number).await;
        }
        *lock(&cluster.nodes[3].toy.disk) = toy::Disk::default();
        if !with_record {
            std::fs::remove_dir_all(&cluster.nodes[3].config.data_dir).unwrap();
        }
        cluster.nodes[3].start();
        cluster.nodes[3].commits(first + 2).await;
        cluster.submit(first + 10);
        cluster.all_commit(first + 10).await;
        // With another one down its votes are needed.
        cluster.nodes[0].stop().await;
        cluster.submit(first + 11);
        cluster.all_commit(first + 11).await;
        cluster.nodes[0].start();
        cluster.nodes[0].commits(first + 11).await;
    }
    let seen = cluster
        .running()
        .map(|node| node.running.as_ref().expect("the node runs").status.borrow().evidence_count);
    assert_eq!(seen.sum::<u64>(), 0, "nobody has seen two statements about one step");
    cluster.stop().await;
}

/// Its ledger came from a backup and nobody knows what its key has signed since: it votes once the
/// others have gone on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_validator_watches_until_the_others_have_gone_on() {
    let mut cluster = Cluster::new("restored", 4);
    cluster.nodes.iter_mut().for_each(Node::start);
    for number in 0..3 {
        cluster.submit(number);
        cluster.all_commit(number).await;
    }
    cluster.nodes[3].stop().await;
    let height = lock(&cluster.nodes[3].toy.disk).blocks.len();
    let data_dir = cluster.nodes[3].config.data_dir.clone();
    std::fs::remove_dir_all(&data_dir).unwrap();
    std::fs::create_dir_all(&data_dir).unwrap();
    // A block of the toy's chain has the time of its height in minutes.
    std::fs::write(data_dir.join("watch-until"), format!("{}", (height + 1) * 60_000)).unwrap();
    cluster.nodes[3].start();
    // Without it the others are still a quorum, and it follows them.
    for number in 10..12 {
        cluster.submit(number);
        cluster.all_commit(number).await;
    }
    // With another one down its votes are needed.
    cluster.nodes[0].stop().await;
    cluster.submit(20);
    cluster.all_commit(20).await;
    assert!(!data_dir.join("watch-until").exists());
    assert!(data_dir.join("last-signed").exists());
    let seen = cluster
        .running()
        .map(|node| node.running.as_ref().expect("the node runs").status.borrow().evidence_count);
    assert_eq!(seen.sum::<u64>(), 0, "nobody has seen two statements about one step");
    cluster.stop().await;
}

/// With the ledger, and with the engine's log alone, as after a crash before the first commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_whose_record_is_lost_does_not_sign_again() {
    let mut cluster = Cluster::new("lost", 1);
    cluster.nodes[0].start();
    cluster.submit(0);
    cluster.all_commit(0).await;
    cluster.nodes[0].stop().await;
    let (config, toy) = (cluster.nodes[0].config.clone(), cluster.nodes[0].toy.clone());
    let record = config.data_dir.join("last-signed");
    let kept = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    let new_ledger = Toy::new(cluster.validators.clone());
    for application in [toy, new_ledger] {
        let (publish, _) = watch::channel(ConsensusStatus::default());
        let token = CancellationToken::new();
        let error = run(config.clone(), application, token, publish).await.unwrap_err();
        assert!(matches!(error, ConsensusError::Guard(GuardError::Missing { .. })), "{error}");
        let words = error.to_string();
        assert!(words.contains(&record.display().to_string()), "{words}");
        assert!(!record.exists(), "it is not made anew");
    }
    std::fs::write(&record, kept).unwrap();
    cluster.nodes[0].start();
    cluster.submit(1);
    cluster.all_commit(1).await;
    cluster.stop().await;
}

#[tokio::test]
async fn wrong_addresses_and_a_second_signer_end_in_words() {
    let mut cluster = Cluster::new("words", 1);
    let (publish, status) = watch::channel(ConsensusStatus::default());
    let mut config = cluster.nodes[0].config.clone();
    config.peers = vec!["/ip4/127.0.0.1/tcp/4000".to_owned()];
    let toy = cluster.nodes[0].toy.clone();
    let error =
        run(config, toy.clone(), CancellationToken::new(), publish.clone()).await.unwrap_err();
    assert!(matches!(error, ConsensusError::BadAddress { .. }), "{error}");
    assert!(status.borrow().failure.as_ref().is_some_and(|words| words.contains("/p2p/PEER-ID")));

    cluster.nodes[0].start();
    cluster.submit(0);
    cluster.all_commit(0).await;
    let config = cluster.nodes[0].config.clone();
    let error = run(config, toy, CancellationToken::new(), publish).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    cluster.stop().await;
}
