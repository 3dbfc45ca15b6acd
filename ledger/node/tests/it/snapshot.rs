//! Starting from a certified snapshot: verified from the genesis alone, as a file and from peers.

use std::time::Duration;

use ledger::handover::Handover;
use ledger::validators::{Validator, ValidatorSet};
use ledger_node::snapshot::{
    BadSnapshot, CertifiedSnapshot, fetch, install, part, read_snapshot, write_snapshot,
};
use ledger_node::store::Store;
use market::time::Timestamp;
use mesh::{Mesh, MeshEvent, SnapshotRequest, SnapshotResponse};
use tokio_util::sync::CancellationToken;

use crate::repair::mesh_config;
use crate::store::{BLOCKS, Stored};
use crate::street::validator_key;

const LATER: Timestamp = Timestamp::from_millis(4_000_000_000_000);

async fn snapshot_of(stored: &Stored) -> CertifiedSnapshot {
    let (store, _) = stored.open().await.unwrap();
    let snapshot = store.snapshot(0).await.unwrap().unwrap();
    assert_eq!(store.snapshot(64).await.unwrap().as_ref(), Some(&snapshot));
    assert_eq!(store.snapshot(63).await.unwrap(), None);
    store.close().await;
    snapshot
}

#[tokio::test]
async fn a_node_goes_on_from_a_snapshot_as_if_it_had_all_blocks() {
    let stored = Stored::new().await;
    let genesis = &stored.street.genesis;
    let (store, _) = stored.open().await.unwrap();
    let file = stored.dir.path().join("snapshot");
    assert_eq!(write_snapshot(&store, &file).await.unwrap(), 64);
    assert!(write_snapshot(&store, &file).await.is_err(), "nothing is overwritten");
    let blocks = store.served(65, 10, true, usize::MAX).await.unwrap();
    store.close().await;

    let fresh = tempfile::tempdir().unwrap();
    let snapshot = read_snapshot(&file, genesis).unwrap();
    install(fresh.path(), genesis, &snapshot, LATER).await.unwrap();
    assert!(fresh.path().join("watch-until").exists());
    let (joined, state) = Store::open(fresh.path(), genesis).await.unwrap();
    assert_eq!((state.height(), joined.min_height()), (64, 65));
    let mut follower = ledger::follower::Follower::resume(state);
    for bytes in &blocks {
        let served: ledger::results::ServedBlock = borsh::from_slice(bytes).unwrap();
        let executed = follower.follow(&served.committed).unwrap();
        let certificate = &served.committed.certificate;
        let (block, results) = (&executed.block, &executed.results);
        joined.commit(block, certificate, results, &executed.state).await.unwrap();
    }
    joined.close().await;
    let (joined, state) = Store::open(fresh.path(), genesis).await.unwrap();
    assert!(state == stored.street.state);
    assert_eq!(joined.served(65, 10, true, usize::MAX).await.unwrap(), blocks);
    assert!(joined.served(64, 10, true, usize::MAX).await.unwrap().is_empty());
    joined.close().await;
    let again = install(fresh.path(), genesis, &snapshot, LATER).await.unwrap_err();
    assert!(again.to_string().contains("is there already"), "{again}");
}

#[tokio::test]
async fn every_forged_snapshot_is_refused() {
    let stored = Stored::new().await;
    let genesis = &stored.street.genesis;
    let sound = snapshot_of(&stored).await;
    sound.clone().verify(genesis).unwrap();

    let mut other = sound.clone();
    other.state = stored.street.state.clone();
    assert_eq!(other.verify(genesis).unwrap_err(), BadSnapshot::State(64));
    let mut few = sound.clone();
    few.certificate.signatures.truncate(2);
    assert!(matches!(few.verify(genesis).unwrap_err(), BadSnapshot::Certificate { .. }));
    let mut foreign = genesis.clone();
    foreign.name = "Another Street".to_owned();
    assert_eq!(sound.clone().verify(&foreign).unwrap_err(), BadSnapshot::OtherCommunity);
    // Validators that nobody handed over to.
    let mut usurped = sound.clone();
    let key = validator_key(77).public();
    usurped.handovers.push(Handover {
        header: sound.header.clone(),
        certificate: sound.certificate.clone(),
        validators: ValidatorSet::new(vec![Validator { key, power: 1 }]).unwrap(),
    });
    let refused = usurped.verify(genesis).unwrap_err();
    assert!(matches!(refused, BadSnapshot::Handover { height: 64, .. }), "{refused}");

    let bytes = sound.to_bytes();
    assert_eq!(CertifiedSnapshot::from_bytes(&bytes).unwrap(), sound);
    for cut in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        assert!(CertifiedSnapshot::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        let verified = CertifiedSnapshot::from_bytes(&flipped).and_then(|s| s.verify(genesis));
        assert!(verified.is_err(), "byte {at} of {}", bytes.len());
    }
}

/// A node that answers with parts of a snapshot as it likes.
async fn serving(
    stored: &Stored,
    twist: fn(SnapshotResponse) -> SnapshotResponse,
) -> (mesh::Multiaddr, tokio_util::sync::DropGuard) {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&stored.path, copy.path().join("ledger.sqlite")).unwrap();
    let (store, _) = Store::open(copy.path(), &stored.street.genesis).await.unwrap();
    let mut config = mesh_config(stored, Vec::new());
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.serve_blocks = true;
    let stop = CancellationToken::new();
    let (mesh, mut events) = Mesh::start(config, stop.clone()).await.unwrap();
    let address = mesh.listening().remove(0);
    tokio::spawn(async move {
        let _kept = copy;
        while let Some(event) = events.recv().await {
            let MeshEvent::SnapshotRequested { request, ticket, .. } = event else { continue };
            let mut response = part(&store, request).await.unwrap();
            // In many parts, as a large one comes.
            response.bytes.truncate(1_000);
            mesh.answer_snapshot(ticket, twist(response));
        }
    });
    (address, stop.drop_guard())
}

#[tokio::test]
async fn a_snapshot_comes_from_peers_and_not_from_one_that_lies() {
    let stored = Stored::new().await;
    let genesis = &stored.street.genesis;
    let (honest, _stop) = serving(&stored, |response| response).await;
    let (liar, _stop_liar) = serving(&stored, |mut response| {
        response.bytes.iter_mut().for_each(|byte| *byte ^= 1);
        response
    })
    .await;
    let (endless, _stop_endless) = serving(&stored, |mut response| {
        response.total = u64::MAX;
        response
    })
    .await;
    let shutdown = CancellationToken::new();
    let config = mesh_config(&stored, vec![liar.clone(), endless.clone(), honest]);
    let fetched = fetch(genesis, config, Duration::from_secs(20), &shutdown).await.unwrap();
    assert_eq!(fetched.get(), &snapshot_of(&stored).await);
    assert!(fetched.height() < BLOCKS);
    let config = mesh_config(&stored, vec![liar, endless]);
    let nobody = fetch(genesis, config, Duration::from_secs(1), &shutdown).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn parts_lie_within_the_snapshot_whatever_is_asked() {
    let stored = Stored::new().await;
    let (store, _) = stored.open().await.unwrap();
    let whole = store.snapshot(0).await.unwrap().unwrap().to_bytes();
    let total = whole.len() as u64;
    for (height, offset, expected) in [
        (0, 0, &whole[..]),
        (64, total - 3, &whole[whole.len() - 3..]),
        (64, total, &[]),
        (0, u64::MAX, &[]),
    ] {
        let answer = part(&store, SnapshotRequest { height, offset }).await.unwrap();
        assert_eq!((answer.height, answer.total, &answer.bytes[..]), (64, total, expected));
    }
    let none = part(&store, SnapshotRequest { height: 70, offset: 0 }).await.unwrap();
    assert_eq!((none.height, none.total, none.bytes.len()), (0, 0, 0));
    store.close().await;
}
