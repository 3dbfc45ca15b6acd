//! Blocks from neighbours on the mesh, none of which is trusted: whoever serves junk, or nothing
//! although it says that it has more, is left alone for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ledger::block::CommittedBlock;
use ledger::results::ServedBlock;
use mesh::{BlockRequest, Mesh, PeerId};
use tokio::time::Instant;

/// How many blocks are asked for at once.
const BATCH: u16 = 64;
/// How long a neighbour that served junk is not asked.
const JUNK_PENALTY: Duration = Duration::from_secs(60);
/// How long a neighbour that did not answer is not asked.
const SILENCE_PENALTY: Duration = Duration::from_secs(5);

/// Asks neighbours in turns.
#[derive(Debug)]
pub(crate) struct Fetcher {
    mesh: Mesh,
    avoided: BTreeMap<PeerId, Instant>,
    turn: usize,
}

/// What the neighbours have.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Blocks from the height that was asked for on, not verified, and who served them.
    Blocks(PeerId, Vec<CommittedBlock>),
    /// Somebody answered, and nobody who did says that there are more.
    NothingNew,
    /// Nobody answered.
    Nobody,
}

impl Fetcher {
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh, avoided: BTreeMap::new(), turn: 0 }
    }

    /// Leaves a neighbour alone that served what does not hold.
    pub(crate) fn avoid_liar(&mut self, peer: PeerId) {
        self.avoid(peer, JUNK_PENALTY);
    }

    /// Asks every neighbour that serves blocks, until one has something from this height on.
    pub(crate) async fn fetch(&mut self, from_height: u64) -> Fetched {
        let now = Instant::now();
        self.avoided.retain(|_, until| *until > now);
        self.turn = self.turn.wrapping_add(1);
        let mut asked = BTreeSet::new();
        let mut answered = false;
        while let Some(peer) = self.next(&asked) {
            asked.insert(peer);
            match self.ask(peer, from_height).await {
                Some(blocks) if !blocks.is_empty() => return Fetched::Blocks(peer, blocks),
                Some(_) => answered = true,
                None => {}
            }
        }
        if answered { Fetched::NothingNew } else { Fetched::Nobody }
    }

    fn next(&self, asked: &BTreeSet<PeerId>) -> Option<PeerId> {
        let peers = self.mesh.peers();
        let left: Vec<_> = peers
            .iter()
            .filter(|status| status.serves_blocks && !self.avoided.contains_key(&status.peer))
            .map(|status| status.peer)
            .filter(|peer| !asked.contains(peer))
            .collect();
        left.get(self.turn.checked_rem(left.len())?).copied()
    }

    /// `None` if it did not answer, or not the truth.
    async fn ask(&mut self, peer: PeerId, from_height: u64) -> Option<Vec<CommittedBlock>> {
        let request = BlockRequest { from_height, count_max: BATCH, with_results: false };
        let response = match self.mesh.fetch(peer, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%peer, %error, "a neighbour did not serve blocks");
                self.avoid(peer, SILENCE_PENALTY);
                return None;
            }
        };
        if response.blocks.is_empty() && response.tip_height >= from_height {
            tracing::warn!(%peer, from_height, "a neighbour keeps the blocks it says it has");
            self.avoid(peer, SILENCE_PENALTY);
            return None;
        }
        let read = |bytes: &Vec<u8>| borsh::from_slice::<ServedBlock>(bytes).ok();
        let blocks: Option<Vec<_>> = response.blocks.iter().map(read).collect();
        if blocks.is_none() {
            tracing::warn!(%peer, "a neighbour served bytes that are no block");
            self.avoid_liar(peer);
        }
        Some(blocks?.into_iter().map(|served| served.committed).collect())
    }

    fn avoid(&mut self, peer: PeerId, span: Duration) {
        self.avoided.insert(peer, Instant::now() + span);
    }
}
