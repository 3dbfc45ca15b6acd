//! Fetching blocks: from whoever announced one, or from the neighbours in turn. Nobody is trusted;
//! who serves junk is left alone for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::block::MalformedBlock;
use ledger::results::ServedBlock;
use mesh::{BlockRequest, Mesh, PeerId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::chain::{Chain, FollowError, Telling};
use crate::follow::hear::Announced;
use crate::status::Trouble;

/// How often a neighbour is asked although nothing was announced (real time).
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// How many blocks are asked for at once.
const BATCH_MAX: u16 = 64;

/// How long a neighbour that served junk is not asked again (real time).
const JUNK_PENALTY: Duration = Duration::from_secs(60);

/// How long a neighbour that did not answer is not asked again (real time).
const SILENCE_PENALTY: Duration = Duration::from_secs(5);

/// How long to wait after a block could not be written down (real time).
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// How long to wait after a certified block did not follow from the state here (real time).
const DIVERGED_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait for an announced block that nobody serves yet (real time).
const ANNOUNCED_PAUSE: Duration = Duration::from_millis(500);

/// What became of asking one neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Blocks were followed; there may be more.
    Advanced,
    /// It has nothing new, by its own word.
    NothingNew,
    /// It did not answer, not the truth, or not with what it says it has.
    Failed,
    /// This process cannot go on for now and tries again after a pause.
    Blocked(Duration),
}

/// Stays at the tip of the chain until shutdown.
pub(crate) async fn catch_up(
    chain: Chain,
    mesh: Mesh,
    announced: watch::Receiver<Announced>,
    shutdown: CancellationToken,
) {
    let fetcher = Fetcher { chain, mesh, announced, avoided: BTreeMap::new(), turn: 0 };
    // What is cut off is a fetch or a transaction, and both leave nothing half done.
    shutdown.run_until_cancelled(fetcher.run()).await;
}

struct Fetcher {
    chain: Chain,
    mesh: Mesh,
    announced: watch::Receiver<Announced>,
    avoided: BTreeMap<PeerId, Instant>,
    turn: usize,
}

impl Fetcher {
    async fn run(mut self) {
        loop {
            match self.round().await {
                Asked::Advanced if self.chain.site().live.more_waiting() => {}
                Asked::Blocked(pause) => sleep(pause).await,
                Asked::Advanced | Asked::NothingNew | Asked::Failed => self.wait().await,
            }
        }
    }

    /// Waits for an announcement of something new, or for the next poll.
    async fn wait(&mut self) {
        let announced = self.announced.borrow_and_update().height;
        if announced >= self.chain.next_height() && !self.candidates().is_empty() {
            sleep(ANNOUNCED_PAUSE).await;
            return;
        }
        tokio::select! {
            changed = self.announced.changed() => {
                if changed.is_err() {
                    // Nobody announces any more: the process is stopping.
                    sleep(POLL_INTERVAL).await;
                }
            }
            () = sleep(POLL_INTERVAL) => {}
        }
    }

    /// Asks neighbours until one has something new; if nothing is announced, only one.
    async fn round(&mut self) -> Asked {
        self.chain.site().live.set_peers_count(self.mesh.peers().len());
        let now = Instant::now();
        self.avoided.retain(|_, until| *until > now);
        self.turn = self.turn.wrapping_add(1);
        let mut outcome = Asked::NothingNew;
        for peer in self.candidates() {
            outcome = self.ask(peer).await;
            let known = self.announced.borrow().height >= self.chain.next_height();
            match outcome {
                Asked::Advanced | Asked::Blocked(_) => break,
                Asked::NothingNew if !known => break,
                Asked::NothingNew | Asked::Failed => {}
            }
        }
        outcome
    }

    /// Whom to ask: first who announced, then the others in turn.
    fn candidates(&self) -> Vec<PeerId> {
        let first = self.announced.borrow().from;
        let mut peers: Vec<_> = self
            .mesh
            .peers()
            .into_iter()
            .filter(|status| status.serves_blocks && !self.avoided.contains_key(&status.peer))
            .map(|status| status.peer)
            .collect();
        let count = peers.len().max(1);
        peers.rotate_left(self.turn.checked_rem(count).unwrap_or_default());
        peers.sort_by_key(|peer| Some(*peer) != first);
        peers
    }

    async fn ask(&mut self, peer: PeerId) -> Asked {
        let from_height = self.chain.next_height();
        let request = BlockRequest { from_height, count_max: BATCH_MAX, with_results: false };
        let response = match self.mesh.fetch(peer, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%peer, %error, "a neighbour did not serve blocks");
                self.avoid(peer, SILENCE_PENALTY);
                return Asked::Failed;
            }
        };
        let last_height = from_height
            .saturating_add(u64::try_from(response.blocks.len()).unwrap_or(u64::MAX))
            .saturating_sub(1);
        // Its word: it decides only whether it is asked again at once.
        let more = !response.blocks.is_empty() && response.tip_height > last_height;
        self.chain.site().live.set_more_waiting(more);
        if response.blocks.is_empty() {
            return self.not_served(peer, from_height, response.tip_height);
        }
        for (height, bytes) in (from_height..).zip(&response.blocks) {
            let telling =
                if more && height != last_height { Telling::Silent } else { Telling::Aloud };
            if let Err(error) = self.follow(bytes, telling).await {
                self.chain.site().live.set_more_waiting(false);
                return self.not_followed(peer, &error);
            }
        }
        Asked::Advanced
    }

    /// What an answer without blocks means. A neighbour that has none where one comes next is as
    /// far as we are, or behind; one that has them and keeps them is as good as silent.
    fn not_served(&mut self, peer: PeerId, wanted: u64, tip_height: u64) -> Asked {
        if tip_height < wanted {
            return Asked::NothingNew;
        }
        tracing::warn!(
            %peer, wanted, tip_height,
            "a neighbour says that it has blocks, but serves none; others are asked"
        );
        self.chain.site().metrics.empty_answers.inc();
        self.avoid(peer, SILENCE_PENALTY);
        Asked::Failed
    }

    async fn follow(&mut self, bytes: &[u8], telling: Telling) -> Result<(), FollowError> {
        let served: ServedBlock = borsh::from_slice(bytes)
            .map_err(|_| FollowError::Junk(MalformedBlock::Undecodable(bytes.len()).into()))?;
        self.chain.follow(served.committed, telling).await
    }

    fn not_followed(&mut self, peer: PeerId, error: &FollowError) -> Asked {
        match error {
            FollowError::Junk(reason) => {
                tracing::warn!(%peer, %reason, "a neighbour served junk; it is left alone");
                self.chain.site().metrics.junk_answers.inc();
                self.avoid(peer, JUNK_PENALTY);
                Asked::Failed
            }
            FollowError::Diverged { height, .. } => {
                tracing::error!(%error, "this dashboard cannot go on");
                self.chain.site().live.set_trouble(Some(Trouble::Diverged { height: *height }));
                Asked::Blocked(DIVERGED_PAUSE)
            }
            FollowError::Store(_) | FollowError::Crashed => {
                tracing::error!(%error, "a block cannot be written down; trying again");
                Asked::Blocked(STORE_PAUSE)
            }
        }
    }

    fn avoid(&mut self, peer: PeerId, span: Duration) {
        self.avoided.insert(peer, Instant::now() + span);
    }
}
