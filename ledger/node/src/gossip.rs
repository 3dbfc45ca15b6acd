//! The mesh side of a node: takes orders, readings and acts in, sends committed blocks out, and serves
//! blocks to whoever follows.

use ledger::acts::Signer;
use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::follower::check_commit;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::time::Clock;
use mesh::{BlockRequest, BlockResponse, Mesh, MeshEvent, MeshEvents, Topic, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::mempool::{Mempool, NotPooled};
use crate::metrics::NodeMetrics;
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
    pub(crate) mesh: Mesh,
    pub(crate) events: MeshEvents,
    pub(crate) mempool: Mempool,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) commits: mpsc::UnboundedReceiver<Committed>,
    pub(crate) metrics: Arc<NodeMetrics>,
    /// The highest block somebody has announced: nobody needs to hear it twice.
    pub(crate) announced: watch::Sender<u64>,
    /// The canonical bytes of the genesis, for those who know no more than its hash.
    pub(crate) genesis: Arc<Vec<u8>>,
}

impl Gossip {
    /// Works until shutdown, or until the mesh ends.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let announced = self.announced.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                event = self.events.recv() => match event {
                    Some(event) => self.heard(event, &announced),
                    None => return,
                },
                Some(committed) = self.commits.recv() => {
                    tokio::spawn(announce(self.mesh.clone(), committed, announced.clone()));
                }
            }
        }
    }

    fn heard(&self, event: MeshEvent, announced: &watch::Sender<u64>) {
        match event {
            MeshEvent::Message { topic: Topic::Blocks, payload, ticket, from } => {
                let verdict = self.judge_announcement(&payload, announced);
                if verdict == Verdict::Reject {
                    tracing::warn!(peer = %from, "a block announcement that does not hold; refused");
                    self.metrics.refused("announcement");
                }
                self.mesh.judge(ticket, verdict);
            }
            MeshEvent::Message { topic, payload, ticket, from } => {
                let verdict = self.judge_transaction(topic, &payload, &from.to_string());
                self.mesh.judge(ticket, verdict);
            }
            MeshEvent::BlocksRequested { request, ticket, .. } if request.from_height == 0 => {
                let tip_height = self.state.borrow().height();
                let blocks = vec![self.genesis.to_vec()];
                self.mesh.answer(ticket, BlockResponse { tip_height, blocks });
            }
            MeshEvent::BlocksRequested { request, ticket, .. } => {
                let (mesh, store) = (self.mesh.clone(), self.store.clone());
                let tip_height = self.state.borrow().height();
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
                let (mesh, store) = (self.mesh.clone(), self.store.clone());
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

    fn judge_transaction(&self, topic: Topic, payload: &[u8], from: &str) -> Verdict {
        let transaction = match (Transaction::from_bytes(payload), topic) {
            (Ok(order @ (Transaction::Order(_) | Transaction::Curve(_))), Topic::Orders) => order,
            (Ok(reading @ Transaction::Reading(_)), Topic::Readings) => reading,
            (
                Ok(
                    act @ (Transaction::Join(_)
                    | Transaction::PartyAct(_)
                    | Transaction::OperatorAct(_)),
                ),
                Topic::Acts,
            ) => act,
            _ => {
                tracing::warn!(
                    peer = from,
                    ?topic,
                    bytes = payload.len(),
                    "garbled message refused"
                );
                self.metrics.refused("garbled");
                return Verdict::Reject;
            }
        };
        let (subject, sequence) = transaction.subject();
        let now = self.clock.now();
        let state = Arc::clone(&self.state.borrow());
        match self.mempool.offer(transaction, &state, now) {
            Ok(()) => {
                self.metrics.accepted(topic);
                Verdict::Accept
            }
            Err(NotPooled::Known) => {
                self.repeated(&subject.signer(), sequence, from);
                Verdict::Ignore
            }
            Err(NotPooled::Rejected(refused)) if refused.is_repetition() => {
                self.repeated(&subject.signer(), sequence, from);
                Verdict::Ignore
            }
            Err(NotPooled::Rejected(rejection)) => {
                let signer = subject.signer();
                tracing::warn!(%signer, sequence, peer = from, %rejection, "message refused");
                self.metrics.refused(rejection.code());
                if rejection.is_everywhere() { Verdict::Reject } else { Verdict::Ignore }
            }
            Err(full @ (NotPooled::SignerFull(_) | NotPooled::Full)) => {
                tracing::warn!(peer = from, %full, "message refused");
                self.metrics.refused("mempool_full");
                Verdict::Ignore
            }
        }
    }

    fn repeated(&self, signer: &Signer, sequence: u64, from: &str) {
        tracing::info!(%signer, sequence, peer = from, "repeated message refused");
        self.metrics.refused("sequence_replayed");
    }

    fn judge_announcement(&self, payload: &[u8], announced: &watch::Sender<u64>) -> Verdict {
        let Ok((header, certificate)) = borsh::from_slice::<(Header, CommitCertificate)>(payload)
        else {
            return Verdict::Reject;
        };
        let state = Arc::clone(&self.state.borrow());
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
