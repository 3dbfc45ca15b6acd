//! The whole dashboard on a real mesh: it catches up, stays live, and leaves liars alone.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ledger::block::CommittedBlock;
use ledger::results::ServedBlock;
use mesh::key_file::Keychain;
use mesh::{
    BlockResponse, Mesh, MeshConfig, MeshError, MeshEvent, MeshEvents, Multiaddr, Topic,
    TransportKey, Verdict,
};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use web::{HouseholdPages, WebError};

use crate::community::Community;
use crate::stage::{StoppedClock, config};

/// Longer than anything takes on a busy machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that serves blocks, true or spoilt.
struct Server {
    mesh: Mesh,
    served_height: Arc<AtomicUsize>,
    asked_count: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(
        community: &Community,
        bootstrap: Vec<Multiaddr>,
        spoil: Option<fn(&mut Vec<u8>)>,
        shutdown: &CancellationToken,
    ) -> Self {
        Self::with_blocks(community, community.blocks.clone(), bootstrap, spoil, shutdown).await
    }

    /// Says how far the chain has come, and has no blocks.
    async fn withholding(community: &Community, shutdown: &CancellationToken) -> Self {
        Self::with_blocks(community, Vec::new(), Vec::new(), None, shutdown).await
    }

    async fn with_blocks(
        community: &Community,
        blocks: Vec<CommittedBlock>,
        bootstrap: Vec<Multiaddr>,
        spoil: Option<fn(&mut Vec<u8>)>,
        shutdown: &CancellationToken,
    ) -> Self {
        let config = MeshConfig {
            transport_key: TransportKey::generate(),
            chain_id: *community.genesis.chain_id().as_bytes(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
            bootstrap,
            mdns: false,
            serve_blocks: true,
        };
        let (mesh, events) = Mesh::start(config, shutdown.clone()).await.expect("it starts");
        let served_height = Arc::new(AtomicUsize::new(0));
        let asked_count = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(
            mesh.clone(),
            events,
            blocks,
            Arc::clone(&served_height),
            Arc::clone(&asked_count),
            spoil,
        ));
        Self { mesh, served_height, asked_count, task }
    }

    fn address(&self) -> Multiaddr {
        self.mesh.listening().first().cloned().expect("an address")
    }
}

async fn serve(
    mesh: Mesh,
    mut events: MeshEvents,
    blocks: Vec<CommittedBlock>,
    served_height: Arc<AtomicUsize>,
    asked_count: Arc<AtomicUsize>,
    spoil: Option<fn(&mut Vec<u8>)>,
) {
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                asked_count.fetch_add(1, Ordering::Relaxed);
                let tip = served_height.load(Ordering::Relaxed);
                let skipped = usize::try_from(request.from_height).expect("small") - 1;
                let served = blocks.iter().take(tip).skip(skipped);
                let served = served.take(usize::from(request.count_max)).map(|committed| {
                    let served = ServedBlock { committed: committed.clone(), results: None };
                    let mut bytes = borsh::to_vec(&served).expect("bytes");
                    if let Some(spoil) = spoil {
                        spoil(&mut bytes);
                    }
                    bytes
                });
                let tip_height = tip as u64;
                mesh.answer(ticket, BlockResponse { tip_height, blocks: served.collect() });
            }
            MeshEvent::Message { ticket, .. } => mesh.judge(ticket, Verdict::Accept),
            _ => {}
        }
    }
}

async fn publish(mesh: &Mesh, payload: Vec<u8>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = mesh.publish(Topic::Blocks, payload.clone()).await {
        assert!(matches!(error, MeshError::NoPeers { .. }), "{error}");
        assert!(Instant::now() < deadline, "nobody listens");
        sleep(Duration::from_millis(20)).await;
    }
}

fn announcement(committed: &CommittedBlock) -> Vec<u8> {
    borsh::to_vec(&(&committed.block.header, &committed.certificate)).expect("bytes")
}

async fn status(base: &str) -> Option<serde_json::Value> {
    reqwest::get(format!("{base}/api/v1/status")).await.ok()?.json().await.ok()
}

async fn until_height(base: &str, height: usize) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = status(base).await;
        if let Some(status) = found.filter(|status| status["height"] == height) {
            return status;
        }
        assert!(Instant::now() < deadline, "height {height} is never reached");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_catches_up_past_liars_and_follows_announcements() {
    let community = Community::after_blocks(90);
    let shutdown = CancellationToken::new();
    let honest = Server::start(&community, Vec::new(), None, &shutdown).await;
    let garbage: fn(&mut Vec<u8>) = |bytes| bytes.truncate(40);
    let forged: fn(&mut Vec<u8>) = |bytes| bytes[90] ^= 1;
    let with = |spoil| Server::start(&community, Vec::new(), Some(spoil), &shutdown);
    let (garbler, forger) = (with(garbage).await, with(forged).await);
    for server in [&honest, &garbler, &forger] {
        server.served_height.store(80, Ordering::Relaxed);
    }

    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("transport.key");
    std::fs::write(&key, "2a".repeat(32)).expect("written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");
    let mut config = config(dir.path(), &community, HouseholdPages::Closed);
    config.mesh.bootstrap = vec![garbler.address(), forger.address(), honest.address()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let clock = StoppedClock::at(community.time());
    let running =
        tokio::spawn(web::run(config, Keychain::plain(), listener, clock, shutdown.clone()));

    // More than one batch.
    until_height(&base, 80).await;

    // Announcements that prove nothing.
    let next = &community.blocks[80];
    let mut unsigned = next.clone();
    unsigned.certificate.signatures.truncate(1);
    publish(&honest.mesh, announcement(&unsigned)).await;
    let high = &community.blocks[89];
    let mut renamed = high.clone();
    renamed.block.header.height = 1_000;
    publish(&forger.mesh, announcement(&renamed)).await;
    publish(&garbler.mesh, b"junk".to_vec()).await;

    // A true one is followed at once.
    honest.served_height.store(90, Ordering::Relaxed);
    publish(&honest.mesh, announcement(high)).await;
    let status = until_height(&base, 90).await;
    assert_eq!(status["state"], "live", "{status}");

    let metrics = reqwest::get(format!("{base}/metrics")).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let value = |name: &str| -> usize {
        let prefix = format!("hidamari_dashboard_{name}_total ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        line.unwrap_or_else(|| panic!("{name} in {metrics}")).parse().expect("a number")
    };
    assert_eq!(value("blocks_followed"), 90);
    assert!(value("junk_announcements") >= 2, "{metrics}");
    let liars_asked =
        garbler.asked_count.load(Ordering::Relaxed) + forger.asked_count.load(Ordering::Relaxed);
    assert_eq!(value("junk_answers"), liars_asked, "each lie is counted");
    assert!(liars_asked <= 2, "a liar is asked once, then left alone");

    shutdown.cancel();
    running.await.expect("no panic").expect("no error");
    for server in [honest, garbler, forger] {
        server.task.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_missing_key_and_a_foreign_address_are_named() {
    let community = Community::founded("Sunny Village");
    let dir = tempfile::tempdir().expect("a directory");
    let clock = StoppedClock::at(community.time());
    let config = config(dir.path(), &community, HouseholdPages::Closed);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let error =
        web::run(config, Keychain::plain(), listener, clock, CancellationToken::new()).await;
    let error = error.expect_err("no key, no dashboard");
    assert!(matches!(error, WebError::TransportKey { .. }), "{error}");
    assert!(error.to_string().contains("transport.key"), "{error}");
}

/// Neighbours that announce what is true and keep the blocks to themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_that_keep_their_blocks_do_not_hold_it_up_and_are_not_believed() {
    let community = Community::after_blocks(70);
    let shutdown = CancellationToken::new();
    let withholding = Server::withholding(&community, &shutdown).await;
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("transport.key");
    std::fs::write(&key, "2b".repeat(32)).expect("written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");
    let mut config = config(dir.path(), &community, HouseholdPages::Closed);
    let honest = Server::start(&community, Vec::new(), None, &shutdown).await;
    config.mesh.bootstrap = vec![withholding.address(), honest.address()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let clock = StoppedClock::at(community.time());
    let running =
        tokio::spawn(web::run(config, Keychain::plain(), listener, clock, shutdown.clone()));

    // One block is followed; the next is certified, and nobody hands it out.
    honest.served_height.store(1, Ordering::Relaxed);
    until_height(&base, 1).await;
    withholding.served_height.store(2, Ordering::Relaxed);
    publish(&withholding.mesh, announcement(&community.blocks[1])).await;
    let deadline = Instant::now() + PATIENCE;
    while status(&base).await.is_none_or(|status| status["state"] != "catching_up") {
        assert!(Instant::now() < deadline, "a certified block is missing, and it says it is live");
        sleep(Duration::from_millis(20)).await;
    }

    // Announced by who keeps them, fetched from who has them.
    withholding.served_height.store(70, Ordering::Relaxed);
    honest.served_height.store(70, Ordering::Relaxed);
    publish(&withholding.mesh, announcement(&community.blocks[69])).await;
    until_height(&base, 70).await;
    let metrics = reqwest::get(format!("{base}/metrics")).await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let empty = "hidamari_dashboard_empty_answers_total ";
    let empty = metrics.lines().find_map(|line| line.strip_prefix(empty)).expect("a metric");
    assert_ne!(empty, "0");

    shutdown.cancel();
    running.await.expect("no panic").expect("no error");
    for server in [honest, withholding] {
        server.task.await.expect("no panic");
    }
}
