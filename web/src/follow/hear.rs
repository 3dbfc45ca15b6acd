//! Hearing block announcements. An announcement carries its certificate, so it proves how far the
//! chain has come, whoever sends it.

use std::sync::Arc;

use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::state::State;
use mesh::{Mesh, MeshError, MeshEvent, MeshEvents, PeerId, Topic, Verdict};
use tokio::sync::watch;

use crate::site::Site;

/// The best announcement so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Announced {
    /// The height that its certificate proves.
    pub(crate) height: u64,
    /// The neighbour it came from, who is likely to have the block.
    pub(crate) from: Option<PeerId>,
}

/// Judges what comes from the mesh until the mesh stops.
///
/// # Errors
/// [`MeshError::Crashed`] if the mesh ended by a panic.
pub(crate) async fn hear(
    site: Arc<Site>,
    mesh: Mesh,
    mut events: MeshEvents,
    announced: watch::Sender<Announced>,
) -> Result<(), MeshError> {
    while let Some(event) = events.recv().await {
        match event {
            MeshEvent::Message { topic: Topic::Blocks, payload, from, ticket } => {
                let tip = site.live.tip().state;
                let (verdict, height) = judge(&payload, &tip, site.live.proven_height());
                if let Some(height) = height {
                    site.live.prove_height(height);
                    announced.send_replace(Announced { height, from: Some(from) });
                }
                if verdict == Verdict::Reject {
                    site.metrics.junk_announcements.inc();
                    tracing::warn!(%from, "a block announcement does not hold");
                }
                mesh.judge(ticket, verdict);
            }
            // Orders and readings are the validators' to judge: here they go no further.
            MeshEvent::Message { ticket, .. } => mesh.judge(ticket, Verdict::Ignore),
            // The dashboard says that it serves no blocks; who asks all the same is told at once.
            MeshEvent::BlocksRequested { ticket, .. } => drop(ticket),
            MeshEvent::PeerJoined { .. }
            | MeshEvent::PeerLeft { .. }
            | MeshEvent::Listening { .. } => site.live.set_peers_count(mesh.peers().len()),
        }
    }
    events.stopped().await
}

/// The verdict on an announcement, and the height it proves if that is news.
fn judge(payload: &[u8], tip: &State, proven_height: u64) -> (Verdict, Option<u64>) {
    let decoded: Result<(Header, CommitCertificate), _> = borsh::from_slice(payload);
    let Ok((header, certificate)) = decoded else { return (Verdict::Reject, None) };
    if header.chain != *tip.chain() {
        return (Verdict::Reject, None);
    }
    if header.height <= tip.height().max(proven_height) {
        return (Verdict::Ignore, None);
    }
    match check_commit(&header, &certificate, tip.validators()) {
        Ok(()) => (Verdict::Accept, Some(header.height)),
        Err(_) => (Verdict::Reject, None),
    }
}
