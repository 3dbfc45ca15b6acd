//! What consensus asks of the application: the state machine, the block store and the mempool.
//!
//! The room decides *which* block has a height; everything about *what a block means* stays behind
//! [`Application`]. The driver calls it from one task, one call at a time, never from the engine's
//! actors, so an implementation needs no locks of its own against consensus.

use std::error::Error;
use std::future::Future;

use ledger::block::BlockHash;
use ledger::certificate::CommitCertificate;
use ledger::validators::ValidatorSet;
use market::time::Timestamp;

/// The replicated state machine behind consensus, with its durable store.
///
/// Heights start at 1; 0 is genesis. "The next height" is always [`Application::tip`] + 1, and
/// apart from [`Application::decided`] every call about a height is about that one.
pub trait Application: Send + 'static {
    /// The last committed height; 0 while only genesis stands.
    fn tip(&self) -> u64;

    /// The market time of the last committed block; of genesis while only that stands.
    fn tip_time(&self) -> Timestamp;

    /// The lowest height whose block can still be served to a validator that catches up (>= 1).
    fn min_height(&self) -> u64;

    /// Who votes on the next height. Every node derives it from committed state alone.
    fn validators(&self) -> ValidatorSet;

    /// Where the validators of the next height listen for each other, as far as committed state
    /// names it: `/ip4/ADDRESS/tcp/PORT/p2p/PEER-ID`. As long as it names nobody, the
    /// configuration decides who may connect.
    fn endpoints(&self) -> Vec<String> {
        Vec::new()
    }

    /// Builds a block for the next height, at most [`ledger::block::BLOCK_BYTES_MAX`] long. The
    /// others wait for it no longer than the propose time-out.
    ///
    /// # Errors
    /// [`Fatal`] stops this validator.
    fn build(
        &mut self,
        height: u64,
        round: u32,
    ) -> impl Future<Output = Result<Candidate, Fatal>> + Send;

    /// Judges a block body for the next height against every rule, and names its hash.
    ///
    /// # Errors
    /// [`Refusal`] says whose fault it is; its words go to the log.
    fn check(
        &mut self,
        height: u64,
        bytes: &[u8],
        standing: Standing,
    ) -> impl Future<Output = Result<BlockHash, Refusal>> + Send;

    /// Whether a body that [`Application::check`] finds good if it is proposed again would be too
    /// old as a new one.
    fn is_late(&self, bytes: &[u8]) -> bool;

    /// Makes the next block and its certificate durable (fsynced) and applies it. Afterwards
    /// [`Application::tip`] is this height, and its undecided bodies are gone.
    ///
    /// # Errors
    /// [`Fatal`] stops this validator: a decided block that cannot be stored must not be passed.
    fn commit(
        &mut self,
        bytes: Vec<u8>,
        certificate: CommitCertificate,
    ) -> impl Future<Output = Result<(), Fatal>> + Send;

    /// A committed block body with its certificate, or `None` if it is not held (any more).
    ///
    /// # Errors
    /// [`Fatal`] if the store cannot be read; the request is answered without the block.
    fn decided(
        &mut self,
        height: u64,
    ) -> impl Future<Output = Result<Option<(Vec<u8>, CommitCertificate)>, Fatal>> + Send;

    /// Makes a body durable (fsynced) before this node proposes it or votes for it. The pair
    /// (round, hash) names it within its height; storing it twice is harmless.
    ///
    /// # Errors
    /// [`Fatal`] stops this validator: it must not vote for what it could lose.
    fn put_undecided(&mut self, body: Undecided) -> impl Future<Output = Result<(), Fatal>> + Send;

    /// The bodies stored by [`Application::put_undecided`] for a height, in any order.
    ///
    /// # Errors
    /// [`Fatal`] stops this validator.
    fn undecided(
        &mut self,
        height: u64,
    ) -> impl Future<Output = Result<Vec<Undecided>, Fatal>> + Send;

    /// Resolves when there is a reason to decide the next height: a transaction that can be
    /// included waits, a gate is due, or the heartbeat is.
    ///
    /// It is dropped and called again at will, so it must lose nothing by that, and resolve at
    /// once while the reason lasts. A transaction that no block will ever take is no reason.
    fn work(&mut self) -> impl Future<Output = ()> + Send;
}

/// A block that this node proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the validators vote on.
    pub hash: BlockHash,
    /// The canonical bytes, at most [`ledger::block::BLOCK_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// A block body that was proposed for a height and is not decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The height it is proposed for.
    pub height: u64,
    /// The round it was first proposed in.
    pub round: u32,
    /// Its hash, as [`Application::check`] or [`Application::build`] named it.
    pub hash: BlockHash,
    /// Whether this node built it: then it is what this node proposes again in that round.
    pub own: bool,
    /// The canonical bytes.
    pub bytes: Vec<u8>,
}

/// How far a body has come when it is judged, which decides how its time is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Proposed just now: its time may be neither ahead of our clock nor behind it by more than
    /// the bounds.
    Fresh,
    /// Proposed in an earlier round and proposed again, or replayed after a restart: it may be
    /// old, but its time still may not be ahead of our clock.
    Reproposed,
    /// More than two thirds of the voting power committed to it: its time is not ours to judge.
    Certified,
}

/// Why a block body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not the block they claim to be: undecodable, not canonical, or a body that
    /// its header's roots do not cover. Says nothing about the block of that hash.
    #[error("not a block: {words}")]
    Garbled {
        /// What is wrong, for the log.
        words: String,
    },
    /// The bytes are the block of this hash, and that block breaks a rule.
    #[error("block {hash} breaks a rule: {words}")]
    Invalid {
        /// The hash that the whole body is bound to.
        hash: BlockHash,
        /// Which rule, for the log.
        words: String,
    },
    /// This node could not judge it just now; the sender is innocent.
    #[error("cannot judge a block just now: {words}")]
    Unavailable {
        /// What failed, for the log.
        words: String,
    },
}

/// A failure of this node itself after which it must not go on voting.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct Fatal {
    doing: String,
    source: Box<dyn Error + Send + Sync>,
}

impl Fatal {
    /// Names what could not be done ("commit block 7") and why.
    pub fn new(doing: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// A failure while judging is no judgement.
impl From<Fatal> for Refusal {
    fn from(fatal: Fatal) -> Self {
        Self::Unavailable { words: format!("{fatal}: {}", fatal.source) }
    }
}
