//! Mending a damaged ledger from a peer over the mesh.

use std::path::Path;
use std::time::Duration;

use ledger::block::CommittedBlock;
use ledger::results::ServedBlock;
use ledger_node::repair::{RepairError, RepairReport, RepairTask, repair};
use ledger_node::store::Store;
use mesh::{BlockResponse, Mesh, MeshConfig, MeshEvent, Multiaddr, TransportKey};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::{BLOCKS, Stored, execute, remove_companions};

pub(crate) fn mesh_config(stored: &Stored, bootstrap: Vec<Multiaddr>) -> MeshConfig {
    MeshConfig {
        transport_key: TransportKey::generate(),
        chain_id: *stored.street.genesis.chain_id().as_bytes(),
        listen: Vec::new(),
        bootstrap,
        mdns: false,
        serve_blocks: false,
    }
}

/// What a peer makes of the blocks that it serves.
pub(crate) type Twist = fn(ServedBlock) -> ServedBlock;

/// A node that serves a store.
pub(crate) struct Peer {
    pub(crate) address: Multiaddr,
    pub(crate) id: String,
    _stop: DropGuard,
}

impl Peer {
    async fn serving(stored: &Stored, twist: Twist) -> Self {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(&stored.path, copy.path().join("ledger.sqlite")).unwrap();
        let (store, _) = Store::open(copy.path(), &stored.street.genesis).await.unwrap();
        let mut config = mesh_config(stored, Vec::new());
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.serve_blocks = true;
        let stop = CancellationToken::new();
        let (mesh, mut events) = Mesh::start(config, stop.clone()).await.unwrap();
        let (address, id) = (mesh.listening().remove(0), mesh.peer_id().to_string());
        tokio::spawn(async move {
            let _kept = copy;
            while let Some(event) = events.recv().await {
                let MeshEvent::BlocksRequested { request, ticket, .. } = event else { continue };
                let (from, count) = (request.from_height, request.count_max);
                let blocks = store.served(from, count, true, 1 << 20).await.unwrap();
                let twisted = blocks
                    .iter()
                    .map(|bytes| borsh::to_vec(&twist(borsh::from_slice(bytes).unwrap())).unwrap());
                let blocks = twisted.collect();
                mesh.answer(ticket, BlockResponse { tip_height: BLOCKS, blocks });
            }
        });
        Self { address, id, _stop: stop.drop_guard() }
    }
}

async fn mend(stored: &Stored, peers: &[&Peer]) -> Result<RepairReport, RepairError> {
    let bootstrap = peers.iter().map(|peer| peer.address.clone()).collect();
    let task = RepairTask {
        genesis: stored.street.genesis.clone(),
        data_dir: stored.dir.path().to_owned(),
        mesh: mesh_config(stored, bootstrap),
        patience: Duration::from_secs(if peers.is_empty() { 1 } else { 20 }),
    };
    repair(task, |_| {}, CancellationToken::new()).await
}

/// Mends without anybody to ask.
pub(crate) async fn mend_alone(stored: &Stored) -> Result<RepairReport, RepairError> {
    mend(stored, &[]).await
}

async fn contents(stored: &Stored) -> Vec<Vec<u8>> {
    let (store, state) = stored.open().await.unwrap();
    assert!(state == stored.street.state);
    let served = store.served(1, 100, true, usize::MAX).await.unwrap();
    store.close().await;
    served
}

fn aside(stored: &Stored, n: u32) -> std::path::PathBuf {
    stored.dir.path().join(format!("ledger.sqlite.damaged-{n}"))
}

#[tokio::test]
async fn exactly_the_damaged_blocks_come_back_byte_for_byte() {
    let stored = Stored::new().await;
    let before = contents(&stored).await;
    let peer = Peer::serving(&stored, |served| served).await;
    std::fs::write(stored.dir.path().join("last-signed"), "as it was").unwrap();
    for damage in [
        "UPDATE blocks SET block = zeroblob(length(block)) WHERE height IN (7, 8, 40)",
        "DELETE FROM blocks WHERE height = 70 OR height < 3",
        "UPDATE blocks SET certificate = x'00', results = x'' WHERE height = 70",
        "UPDATE snapshots SET state = x'00'",
        "DELETE FROM meta",
    ] {
        let whole = std::fs::read(&stored.path).unwrap();
        execute(&stored.path, damage).await;
        let damaged = stored.open().await.is_err();
        let report = mend(&stored, &[&peer]).await.unwrap();
        let expected: &[u64] = match damage {
            _ if damage.contains("(7, 8, 40)") => &[7, 8, 40],
            _ if damage.contains("DELETE FROM blocks") => &[1, 2],
            _ if damage.contains("certificate") => &[70],
            _ => &[],
        };
        assert_eq!(report.fetched, expected, "{damage}");
        assert_eq!(report.damaged.is_empty(), !damaged, "{damage}: {:?}", report.damaged);
        assert_eq!(report.kept_aside.is_some(), damaged, "{damage}");
        // What was at the end is the network's to bring back; everything before is here again.
        let held = usize::try_from(report.height).unwrap();
        if damage.contains("= 70 OR") {
            assert_eq!(held, 69);
        } else {
            assert_eq!(contents(&stored).await, before, "{damage}");
        }
        std::fs::write(&stored.path, &whole).unwrap();
        remove_companions(&stored.path);
    }
    let kept = std::fs::read(stored.dir.path().join("last-signed")).unwrap();
    assert_eq!(kept, b"as it was");
    assert!(aside(&stored, 1).is_file() && aside(&stored, 4).is_file());
}

#[tokio::test]
async fn what_is_whole_is_left_alone() {
    let stored = Stored::new().await;
    let report = mend(&stored, &[]).await.unwrap();
    assert_eq!(report, RepairReport { height: BLOCKS, ..RepairReport::default() });
    assert!(!aside(&stored, 1).exists());
}

#[tokio::test]
async fn a_malformed_file_is_salvaged() {
    let stored = Stored::new().await;
    let before = contents(&stored).await;
    let peer = Peer::serving(&stored, |served| served).await;
    let whole = std::fs::read(&stored.path).unwrap();
    let pages = whole.len() / 4096;
    for page in [1, pages / 3, pages - 2] {
        let mut broken = whole.clone();
        broken[page * 4096..(page + 1) * 4096].fill(0x5a);
        std::fs::write(&stored.path, &broken).unwrap();
        remove_companions(&stored.path);
        let report = mend(&stored, &[&peer]).await.unwrap();
        assert!(!report.damaged.is_empty(), "page {page}");
        let height = usize::try_from(report.height).unwrap();
        assert!(height == before.len() || page == 1, "page {page}: {height}");
        let (store, _) = stored.open().await.unwrap();
        let after = store.served(1, 100, true, usize::MAX).await.unwrap();
        store.close().await;
        assert_eq!(after, before[..height], "page {page}");
        let kept = std::fs::read(report.kept_aside.unwrap()).unwrap();
        assert!(kept == broken, "what is damaged is kept as it was");
    }
}

#[tokio::test]
async fn a_peer_that_lies_is_refused_and_another_is_asked() {
    let lies: [Twist; 4] = [
        |mut served| {
            served.committed.block.header.time = served.committed.block.header.time.plus_millis(1);
            served
        },
        |mut served| {
            served.committed.certificate.signatures.truncate(1);
            served
        },
        |mut served| {
            served.results = Some(Vec::new());
            let transactions = &mut served.committed.block.transactions;
            transactions.truncate(1);
            served
        },
        |served| {
            let CommittedBlock { block, mut certificate } = served.committed;
            certificate.height += 1;
            ServedBlock { committed: CommittedBlock { block, certificate }, ..served }
        },
    ];
    let stored = Stored::new().await;
    let before = contents(&stored).await;
    let whole = std::fs::read(&stored.path).unwrap();
    let damage = "UPDATE blocks SET block = x'00' WHERE height BETWEEN 30 AND 42";
    for lie in lies {
        std::fs::write(&stored.path, &whole).unwrap();
        let (liar, honest) =
            (Peer::serving(&stored, lie).await, Peer::serving(&stored, |served| served).await);
        execute(&stored.path, damage).await;
        let report = mend(&stored, &[&liar, &honest]).await.unwrap();
        assert_eq!(contents(&stored).await, before);
        assert!(!report.refused_peers.contains(&honest.id));
        assert_eq!(report.fetched, (30..=42).collect::<Vec<_>>());
        // With the liar alone nothing is changed.
        execute(&stored.path, damage).await;
        let damaged = std::fs::read(&stored.path).unwrap();
        let error = mend_briefly(&stored, &liar).await;
        assert!(matches!(error, RepairError::NobodyServes { .. }), "{error}");
        assert!(std::fs::read(&stored.path).unwrap() == damaged, "nothing is changed");
        assert!(!draft(stored.dir.path()).exists());
    }
}

async fn mend_briefly(stored: &Stored, peer: &Peer) -> RepairError {
    let task = RepairTask {
        genesis: stored.street.genesis.clone(),
        data_dir: stored.dir.path().to_owned(),
        mesh: mesh_config(stored, vec![peer.address.clone()]),
        patience: Duration::from_secs(1),
    };
    repair(task, |_| {}, CancellationToken::new()).await.unwrap_err()
}

fn draft(dir: &Path) -> std::path::PathBuf {
    dir.join("ledger.sqlite.repair")
}

#[tokio::test]
async fn nobody_to_ask_changes_nothing_and_says_so() {
    let stored = Stored::new().await;
    execute(&stored.path, "DELETE FROM blocks WHERE height = 12").await;
    let error = mend(&stored, &[]).await.unwrap_err();
    assert!(matches!(error, RepairError::NobodyServes { from: 12, through: 12, .. }), "{error}");
    assert!(!aside(&stored, 1).exists() && !draft(stored.dir.path()).exists());
    let empty = tempfile::tempdir().unwrap();
    let nothing = Stored { dir: empty, ..stored };
    let error = mend(&nothing, &[]).await.unwrap_err();
    assert!(matches!(error, RepairError::NoLedger { .. }), "{error}");
}
