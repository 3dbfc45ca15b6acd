//! A snapshot from other nodes, part by part. Whoever sends one that does not hold is not asked
//! again.

use ledger::genesis::Genesis;
use mesh::{Mesh, MeshConfig, MeshError, PeerId, SnapshotRequest};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{CertifiedSnapshot, SNAPSHOT_BYTES_MAX, VerifiedSnapshot};
use crate::repair::Peers;

/// How long until the neighbours are asked again (real time).
const PAUSE: Duration = Duration::from_millis(300);

/// Why no snapshot was had.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// The mesh did not start.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Nobody has one that holds.
    #[error(
        "no node on the mesh sent a snapshot that holds within {patience_s} s; check \
         mesh.bootstrap and that other nodes run (a chain has its first snapshot at height 64)"
    )]
    Nobody {
        /// How long was asked, in seconds.
        patience_s: u64,
    },
}

/// Fetches the newest snapshot of some other node and verifies it.
///
/// # Errors
/// [`NotFetched`] if nobody sends one that holds in time.
pub async fn fetch(
    genesis: &Genesis,
    mesh: MeshConfig,
    patience: Duration,
    shutdown: &CancellationToken,
) -> Result<VerifiedSnapshot, NotFetched> {
    let ending = shutdown.child_token();
    let _left = ending.clone().drop_guard();
    let mut peers = Peers::join(mesh, patience, ending).await?;
    let until = Instant::now() + patience;
    while Instant::now() < until && !shutdown.is_cancelled() {
        for peer in peers.candidates() {
            let Some(bytes) = download(&peers.mesh, peer).await else { continue };
            let snapshot = CertifiedSnapshot::from_bytes(&bytes);
            match snapshot.and_then(|snapshot| snapshot.verify(genesis)) {
                Ok(snapshot) => return Ok(snapshot),
                Err(bad) => peers.refuse(peer, &bad.to_string()),
            }
        }
        sleep(PAUSE).await;
    }
    Err(NotFetched::Nobody { patience_s: patience.as_secs() })
}

/// All parts of one node's newest snapshot; `None` if it has none, or not all of it.
async fn download(mesh: &Mesh, peer: PeerId) -> Option<Vec<u8>> {
    let first = mesh.fetch_snapshot(peer, SnapshotRequest { height: 0, offset: 0 }).await.ok()?;
    let (height, total) = (first.height, first.total);
    if height == 0 || total > SNAPSHOT_BYTES_MAX {
        return None;
    }
    let mut bytes = first.bytes;
    loop {
        let offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if offset >= total {
            return (offset == total).then_some(bytes);
        }
        let next = mesh.fetch_snapshot(peer, SnapshotRequest { height, offset }).await.ok()?;
        // It may have dropped this one for a newer one meanwhile; then the next try gets that.
        if next.height != height || next.total != total || next.bytes.is_empty() {
            return None;
        }
        bytes.extend_from_slice(&next.bytes);
    }
}
