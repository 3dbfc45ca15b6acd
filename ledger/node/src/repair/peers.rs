//! Other nodes, asked for blocks. Nobody is trusted: who sends what does not hold is not asked
//! again.

use ledger::results::ServedBlock;
use mesh::{BlockRequest, Mesh, MeshConfig, MeshError, MeshEvents, PeerId};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How many blocks are asked for at once.
const BATCH_MAX: u64 = 64;

/// How long until the neighbours are asked again (real time).
const PAUSE: Duration = Duration::from_millis(300);

/// A mesh on which this node only asks.
pub(crate) struct Peers {
    pub(crate) mesh: Mesh,
    patience: Duration,
    refused: BTreeSet<PeerId>,
    turn: usize,
}

impl Peers {
    /// Joins the mesh.
    pub(crate) async fn join(
        config: MeshConfig,
        patience: Duration,
        shutdown: CancellationToken,
    ) -> Result<Self, MeshError> {
        let config = MeshConfig { listen: Vec::new(), serve_blocks: false, ..config };
        let (mesh, events) = Mesh::start(config, shutdown).await?;
        tokio::spawn(ignore(events));
        Ok(Self { mesh, patience, refused: BTreeSet::new(), turn: 0 })
    }

    /// Blocks from a height on, at least one, not verified; `None` if nobody sends any in time.
    pub(crate) async fn blocks(
        &mut self,
        from_height: u64,
        through: u64,
    ) -> Option<(PeerId, Vec<ServedBlock>)> {
        let count = through.saturating_sub(from_height).saturating_add(1).min(BATCH_MAX);
        let count_max = u16::try_from(count).unwrap_or(u16::MAX);
        let request = BlockRequest { from_height, count_max, with_results: true };
        let until = Instant::now() + self.patience;
        while Instant::now() < until {
            for peer in self.candidates() {
                let Ok(response) = self.mesh.fetch(peer, request).await else { continue };
                let decoded = response.blocks.iter().map(|bytes| borsh::from_slice(bytes));
                match decoded.collect::<Result<Vec<ServedBlock>, _>>() {
                    Ok(blocks) if blocks.is_empty() => {}
                    Ok(blocks) => return Some((peer, blocks)),
                    Err(_) => self.refuse(peer, "these bytes are no blocks"),
                }
            }
            sleep(PAUSE).await;
        }
        None
    }

    /// Does not ask a node any more.
    pub(crate) fn refuse(&mut self, peer: PeerId, problem: &str) {
        tracing::warn!(%peer, problem, "a node sent what does not hold; it is not asked again");
        self.refused.insert(peer);
    }

    /// Who was refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.iter().map(ToString::to_string).collect()
    }

    /// Whom to ask, in turns.
    pub(crate) fn candidates(&mut self) -> Vec<PeerId> {
        let peers = self.mesh.peers().into_iter();
        let serving = peers.filter(|status| status.serves_blocks).map(|status| status.peer);
        let mut peers: Vec<_> = serving.filter(|peer| !self.refused.contains(peer)).collect();
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(peers.len()).unwrap_or_default();
        peers.rotate_left(first);
        peers
    }
}

/// What is gossiped is of no interest; unread it would fill the queue.
async fn ignore(mut events: MeshEvents) {
    while events.recv().await.is_some() {}
}
