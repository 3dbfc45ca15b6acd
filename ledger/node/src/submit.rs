//! Saying something on the mesh and seeing it in a block: what tools of operators and members do.
//!
//! A [`Visit`] joins the mesh as any member does, follows the chain from genesis (or from a state
//! that it has kept itself), and recomputes every block. So it judges a transaction by the rules
//! before it sends it, and what it reports as committed is proved by the validators' certificate.

use std::sync::Arc;
use std::time::Duration;

use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::draft::Executed;
use ledger::follower::{Follower, check_commit};
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::transaction::Transaction;
use market::hash::Digest;
use market::time::{Clock, Timestamp};
use mesh::{
    BlockRequest, DUPLICATE_WINDOW, Mesh, MeshConfig, MeshError, MeshEvent, MeshEvents, Topic,
    Verdict,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::fetch::{Fetched, Fetcher};

/// How often neighbours are asked for blocks, unless one is announced.
const POLL_INTERVAL: Duration = Duration::from_millis(700);
/// After this long the same bytes go out again.
const REPEAT_AFTER: Duration = DUPLICATE_WINDOW.saturating_add(Duration::from_secs(1));
/// How soon what nobody took is sent again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why something was not said, or not seen in a block.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The mesh did not start, or ended.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Nobody to talk to.
    #[error(
        "no node of the community answered within {} s; check the addresses in `bootstrap`, and \
         that this machine reaches them", waited.as_secs()
    )]
    Nobody {
        /// How long was waited.
        waited: Duration,
    },
    /// The rules refuse it; nothing was sent.
    #[error("the ledger would refuse this: {0}")]
    Refused(String),
    /// It was sent, and was in no block for a long time.
    #[error(
        "it was sent, but stood in no block within {} s (the last block has height {height}); it \
         may still be committed: look before you send another", waited.as_secs()
    )]
    NotSeen {
        /// How long was waited.
        waited: Duration,
        /// The last followed height.
        height: u64,
    },
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The block's height.
    pub height: u64,
    /// The block's time.
    pub time: Timestamp,
    /// The transaction's hash.
    pub hash: Digest,
}

/// A short stay on the mesh.
pub struct Visit {
    mesh: Mesh,
    events: MeshEvents,
    follower: Follower,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
}

impl Visit {
    /// Joins the mesh. `kept` is a state that this tool has computed itself on an earlier visit.
    ///
    /// # Errors
    /// [`SubmitError::Mesh`] if the mesh does not start.
    pub async fn begin(
        genesis: &Genesis,
        kept: Option<State>,
        config: MeshConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SubmitError> {
        let shutdown = CancellationToken::new();
        let follower = match kept.filter(|state| *state.chain() == genesis.chain_id()) {
            Some(state) => Follower::resume(state),
            None => Follower::at_genesis(genesis),
        };
        let (mesh, events) = Mesh::start(config, shutdown.clone()).await?;
        let fetcher = Fetcher::new(mesh.clone());
        Ok(Self { mesh, events, follower, fetcher, clock, shutdown })
    }

    /// The state after the last followed block.
    pub fn state(&self) -> &State {
        self.follower.state()
    }

    /// Follows until the neighbours have no further block.
    ///
    /// # Errors
    /// [`SubmitError::Nobody`] if nobody has answered for as long as `patience`.
    pub async fn catch_up(
        &mut self,
        patience: Duration,
        mut progress: impl FnMut(&Executed),
    ) -> Result<(), SubmitError> {
        let mut heard = Instant::now();
        loop {
            match self.step(&mut progress).await {
                Step::Advanced => heard = Instant::now(),
                Step::UpToDate => return Ok(()),
                Step::Alone if heard.elapsed() >= patience => {
                    return Err(SubmitError::Nobody { waited: patience });
                }
                Step::Alone => self.listen(RETRY_AFTER).await?,
            }
        }
    }

    /// Judges a transaction by the rules as they are now.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] names the rule.
    pub fn judge(&self, transaction: &Transaction) -> Result<(), SubmitError> {
        let at = self.clock.now().max(self.state().time().plus_millis(1));
        let judged = self.state().admit(transaction, at);
        judged.map_err(|refused| SubmitError::Refused(refused.to_string()))
    }

    /// Sends a transaction, again and again, until it stands in a block.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] before anything is sent, or if something else was committed
    /// meanwhile; [`SubmitError::NotSeen`] after `patience`.
    pub async fn submit(
        &mut self,
        transaction: &Transaction,
        topic: Topic,
        patience: Duration,
    ) -> Result<Seen, SubmitError> {
        self.judge(transaction)?;
        let (hash, begun) = (transaction.hash(), Instant::now());
        let mut send_at = begun;
        while begun.elapsed() < patience {
            if Instant::now() >= send_at {
                send_at = Instant::now() + self.send(topic, transaction).await?;
            }
            let mut seen = None;
            let step = self.step(&mut |executed| seen = seen.or(find(executed, &hash))).await;
            if let Some(seen) = seen {
                return Ok(seen);
            }
            match step {
                Step::Advanced => self.judge(transaction)?,
                Step::UpToDate | Step::Alone => self.listen(POLL_INTERVAL).await?,
            }
        }
        Err(SubmitError::NotSeen { waited: patience, height: self.state().height() })
    }

    /// Waits for blocks until one of them shows what is looked for.
    ///
    /// # Errors
    /// [`SubmitError::Mesh`] if the mesh ends.
    pub async fn watch<T>(
        &mut self,
        mut look: impl FnMut(&Executed) -> Option<T>,
    ) -> Result<T, SubmitError> {
        loop {
            let mut found = None;
            let step = self
                .step(&mut |executed| {
                    if found.is_none() {
                        found = look(executed);
                    }
                })
                .await;
            match (found, step) {
                (Some(found), _) => return Ok(found),
                (None, Step::Advanced) => {}
                (None, Step::UpToDate | Step::Alone) => self.listen(POLL_INTERVAL).await?,
            }
        }
    }

    /// Leaves the mesh and gives the state, for the next visit.
    pub async fn end(self) -> State {
        self.shutdown.cancel();
        // A mesh that crashed has ended as well.
        let _ = self.events.stopped().await;
        self.follower.state().clone()
    }

    /// Sends once, and says how long to wait before the next time.
    async fn send(&self, topic: Topic, transaction: &Transaction) -> Result<Duration, SubmitError> {
        match self.mesh.publish(topic, transaction.to_bytes()).await {
            Ok(()) => Ok(REPEAT_AFTER),
            Err(MeshError::NoPeers { .. } | MeshError::QueuesFull { .. }) => Ok(RETRY_AFTER),
            Err(error) => Err(error.into()),
        }
    }

    /// Hears what the mesh says for a while, or until a block is announced.
    async fn listen(&mut self, span: Duration) -> Result<(), SubmitError> {
        let until = Instant::now() + span;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match timeout(left, self.events.recv()).await {
                Err(_) => break,
                Ok(None) => return Err(MeshError::Stopped.into()),
                Ok(Some(event)) => {
                    if self.hear(event) {
                        // Whoever announces has the block a moment later.
                        sleep(Duration::from_millis(20)).await;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes on what holds; whether a new block was announced.
    fn hear(&self, event: MeshEvent) -> bool {
        let MeshEvent::Message { topic, payload, ticket, .. } = event else { return false };
        if topic != Topic::Blocks {
            let sound = Transaction::from_bytes(&payload).is_ok();
            self.mesh.judge(ticket, if sound { Verdict::Accept } else { Verdict::Reject });
            return false;
        }
        let announced: Result<(Header, CommitCertificate), _> = borsh::from_slice(&payload);
        let state = self.state();
        let holds = announced.is_ok_and(|(header, certificate)| {
            header.height > state.height()
                && check_commit(&header, &certificate, state.validators()).is_ok()
        });
        // The validators may have changed: nobody is to blame.
        self.mesh.judge(ticket, if holds { Verdict::Accept } else { Verdict::Ignore });
        holds
    }

    async fn step(&mut self, progress: &mut impl FnMut(&Executed)) -> Step {
        let next = self.state().height().saturating_add(1);
        let (peer, blocks) = match self.fetcher.fetch(next).await {
            Fetched::Blocks(peer, blocks) => (peer, blocks),
            Fetched::NothingNew => return Step::UpToDate,
            Fetched::Nobody => return Step::Alone,
        };
        for block in blocks {
            match self.follower.follow(&block) {
                Ok(executed) => progress(&executed),
                Err(error) => {
                    tracing::warn!(%peer, %error, "a neighbour served a block that does not hold");
                    self.fetcher.avoid_liar(peer);
                    break;
                }
            }
        }
        Step::Advanced
    }
}

/// Fetches the genesis of a community of which no more than the hash is known, which
/// `config.chain_id` gives. What does not have that hash is refused, whoever sends it.
///
/// # Errors
/// [`SubmitError::Nobody`] if nobody has served it within `patience`.
pub async fn fetch_genesis(config: MeshConfig, patience: Duration) -> Result<Genesis, SubmitError> {
    let (chain, shutdown) = (config.chain_id, CancellationToken::new());
    let (mesh, events) = Mesh::start(config, shutdown.clone()).await?;
    let found = timeout(patience, ask_for_genesis(&mesh, &chain)).await;
    shutdown.cancel();
    // A mesh that crashed has ended as well.
    let _ = events.stopped().await;
    found.map_err(|_| SubmitError::Nobody { waited: patience })
}

/// The block of height 0 is the genesis.
async fn ask_for_genesis(mesh: &Mesh, chain: &[u8; 32]) -> Genesis {
    let request = BlockRequest { from_height: 0, count_max: 1, with_results: false };
    loop {
        for status in mesh.peers().iter().filter(|status| status.serves_blocks) {
            let answer = mesh.fetch(status.peer, request).await;
            let bytes = answer.ok().and_then(|answer| answer.blocks.into_iter().next());
            let genesis = bytes.and_then(|bytes| borsh::from_slice::<Genesis>(&bytes).ok());
            let is_ours = |found: &Genesis| found.chain_id().as_bytes() == chain;
            match genesis.filter(|found| is_ours(found) && found.check().is_ok()) {
                Some(genesis) => return genesis,
                None => {
                    tracing::warn!(peer = %status.peer, "a neighbour serves no genesis of ours")
                }
            }
        }
        sleep(RETRY_AFTER).await;
    }
}

enum Step {
    Advanced,
    UpToDate,
    Alone,
}

fn find(executed: &Executed, hash: &Digest) -> Option<Seen> {
    let Header { height, time, .. } = executed.block.header;
    let mut hashes = executed.block.transactions.iter().map(Transaction::hash);
    hashes.any(|found| found == *hash).then_some(Seen { height, time, hash: *hash })
}
