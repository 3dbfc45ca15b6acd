//! The mesh side of a node: takes orders, readings and acts in, sends committed blocks out, and serves
//! blocks to whoever follows.

use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::state::State;
use mesh::{BlockRequest, BlockResponse, Mesh, MeshEvent, MeshEvents, Topic, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::judge::{Benches, Judge, Said};
use crate::snapshot;
use crate::store::{Store, StoreError};
use crate::validator::Committed;

/// How much a block response carries at most; the mesh allows 4 MiB.
const RESPONSE_BYTES_MAX: usize = 3 << 20;

/// How long a node that did not propose a block waits for the proposer's announcement before it
/// announces the block itself.
const ANNOUNCEMENT_PATIENCE: Duration = Duration::from_millis(250);

/// Everything the mesh side needs.
pub(crate) struct Gossip {
    pub(crate) judge: Judge,
    pub(crate) events: MeshEvents,
    pub(crate) store: Store,
    pub(crate) commits: mpsc::UnboundedReceiver<Committed>,
    /// The highest block somebody has announced: nobody needs to hear it twice.
    pub(crate) announced: watch::Sender<u64>,
    /// The canonical bytes of the genesis, for those who know no more than its hash.
    pub(crate) genesis: Arc<Vec<u8>>,
}

impl Gossip {
    /// Works until shutdown, or until the mesh ends.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let announced = self.announced.clone();
        let mut benches = Benches::of(&self.judge);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                event = self.events.recv() => match event {
                    Some(MeshEvent::Message { topic, payload, ticket, from })
                        if topic != Topic::Blocks =>
                    {
                        if benches.hand(Said { topic, payload, ticket, from }).is_err() {
                            return;
                        }
                    }
                    Some(event) => self.heard(event, &announced),
                    None => return,
                },
                Some(committed) = self.commits.recv() => {
                    tokio::spawn(announce(self.judge.mesh.clone(), committed, announced.clone()));
                }
            }
        }
    }

    fn heard(&self, event: MeshEvent, announced: &watch::Sender<u64>) {
        let Judge { mesh, metrics, state, .. } = &self.judge;
        match event {
            MeshEvent::Message { payload, ticket, from, .. } => {
                let state = Arc::clone(&state.borrow());
                let verdict = judge_announcement(&state, &payload, announced);
                if verdict == Verdict::Reject {
                    tracing::warn!(peer = %from, "a block announcement that does not hold; refused");
                    metrics.refused("announcement");
                }
                mesh.judge(ticket, verdict);
            }
            MeshEvent::BlocksRequested { request, ticket, .. } if request.from_height == 0 => {
                let tip_height = state.borrow().height();
                let blocks = vec![self.genesis.to_vec()];
                mesh.answer(ticket, BlockResponse { tip_height, blocks });
            }
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                let (mesh, store) = (mesh.clone(), self.store.clone());
                let tip_height = state.borrow().height();
                tokio::spawn(async move {
                    match serve(&store, request, tip_height).await {
                        Ok(response) => mesh.answer(ticket, response),
                        // Refused: an answer without blocks would read as "there are no more".
                        Err(error) => {
                            tracing::error!(%error, ?request, "blocks cannot be served");
                            drop(ticket);
                        }
                    }
                });
            }
            MeshEvent::SnapshotRequested { request, ticket, .. } => {
                let (mesh, store) = (mesh.clone(), self.store.clone());
                tokio::spawn(async move {
                    match snapshot::part(&store, request).await {
                        Ok(response) => mesh.answer_snapshot(ticket, response),
                        Err(error) => {
                            tracing::error!(%error, ?request, "a snapshot cannot be served");
                            drop(ticket);
                        }
                    }
                });
            }
            MeshEvent::PeerJoined { peer } => tracing::debug!(%peer, "peer joined the mesh"),
            MeshEvent::PeerLeft { peer } => tracing::debug!(%peer, "peer left the mesh"),
            MeshEvent::Listening { address } => tracing::info!(%address, "mesh listens"),
        }
    }
}

fn judge_announcement(state: &State, payload: &[u8], announced: &watch::Sender<u64>) -> Verdict {
    let Ok((header, certificate)) = borsh::from_slice::<(Header, CommitCertificate)>(payload)
    else {
        return Verdict::Reject;
    };
    if header.height <= *announced.borrow() {
        return Verdict::Ignore;
    }
    // Validator sets of far heights are not known here; consensus brings them.
    if header.height.abs_diff(state.height()) > 1 {
        return Verdict::Ignore;
    }
    if check_commit(&header, &certificate, state.validators()).is_err() {
        return Verdict::Reject;
    }
    announced.send_if_modified(|height| {
        let higher = header.height > *height;
        *height = header.height.max(*height);
        higher
    });
    Verdict::Accept
}

async fn serve(
    store: &Store,
    request: BlockRequest,
    tip_height: u64,
) -> Result<BlockResponse, StoreError> {
    let BlockRequest { from_height, count_max, with_results } = request;
    let blocks = store.served(from_height, count_max, with_results, RESPONSE_BYTES_MAX).await?;
    Ok(BlockResponse { tip_height, blocks })
}

/// Announces a block: at once if this node proposed it, otherwise only if the proposer is not heard
/// in time. So members hear each block once and not once per validator.
async fn announce(mesh: Mesh, committed: Committed, announced: watch::Sender<u64>) {
    let height = committed.block.header.height;
    let mut heard = announced.subscribe();
    if !committed.own {
        let patience =
            tokio::time::timeout(ANNOUNCEMENT_PATIENCE, heard.wait_for(|h| *h >= height));
        if matches!(patience.await, Ok(Ok(_))) {
            return;
        }
    }
    let payload = borsh::to_vec(&(&committed.block.header, &committed.certificate));
    let Ok(payload) = payload else { return };
    announced.send_if_modified(|known| {
        let higher = height > *known;
        *known = height.max(*known);
        higher
    });
    if let Err(error) = mesh.publish(Topic::Blocks, payload).await {
        tracing::debug!(%error, height, "block not announced; followers ask for it");
    }
}
