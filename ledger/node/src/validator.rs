//! What a block means: builds, judges and commits blocks by the pure rules of `ledger`.

use ledger::apply::apply;
use ledger::block::{BLOCK_BYTES_MAX, Block, BlockHash, CommittedBlock};
use ledger::certificate::CommitCertificate;
use ledger::draft::{Draft, Executed};
use ledger::follower::{NotFollowed, check_commit};
use ledger::genesis::Genesis;
use ledger::results::BlockResults;
use ledger::salt::BlockSalt;
use ledger::state::State;
use ledger::validators::ValidatorSet;
use market::time::{Clock, Timestamp};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

use crate::clock_offset::ClockOffset;
use crate::consensus::{Application, Candidate, Fatal, Refusal, Standing, Undecided};
use crate::mempool::Mempool;
use crate::store::{Store, StoreError};

/// Room for the header and for lengths in a block that is filled up with transactions.
const BLOCK_BYTES_RESERVED: usize = 4096;

/// A block that this node has just committed, for whoever announces it.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// The block.
    pub(crate) block: Arc<Block>,
    /// Its certificate.
    pub(crate) certificate: CommitCertificate,
    /// Whether this node proposed it.
    pub(crate) own: bool,
}

/// Where a validator keeps what must outlive it. What a call has returned `Ok` for is durable; the
/// methods mean what those of [`Store`] of the same names mean.
pub(crate) trait Archive: Send + Sync + 'static {
    /// Why something could not be kept or found.
    type Error: Error + Send + Sync + 'static;

    /// The lowest height that is kept whole.
    fn min_height(&self) -> u64;

    fn commit(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        results: &BlockResults,
        state: &State,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    fn decided(
        &self,
        height: u64,
    ) -> impl Future<Output = Result<Option<(Vec<u8>, CommitCertificate)>, Self::Error>> + Send;

    fn put_undecided(
        &self,
        body: &Undecided,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    fn undecided(
        &self,
        height: u64,
    ) -> impl Future<Output = Result<Vec<Undecided>, Self::Error>> + Send;
}

/// Draws the salt of a block that this node proposes.
pub(crate) type DrawSalt = fn() -> Result<BlockSalt, SysError>;

/// A salt that nobody can guess, from the operating system.
fn random_salt() -> Result<BlockSalt, SysError> {
    let mut salt = [0; 32];
    SysRng.try_fill_bytes(&mut salt)?;
    Ok(BlockSalt::from_bytes(salt))
}

/// Why a served block was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The block does not hold.
    #[error(transparent)]
    Unsound(#[from] NotFollowed),
    /// This node failed.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// The replicated state machine behind consensus.
pub(crate) struct Validator<S = Store> {
    state: Arc<State>,
    published: watch::Sender<Arc<State>>,
    store: S,
    mempool: Mempool,
    clock: Arc<dyn Clock>,
    clock_offset: Arc<ClockOffset>,
    heartbeat_ms: i64,
    drift_max_ms: i64,
    /// Blocks for the next height that have been judged good, so that committing one does not
    /// compute it again.
    executed: BTreeMap<BlockHash, Executed>,
    own: Option<BlockHash>,
    /// Where the salts of its blocks come from.
    pub(crate) draw_salt: DrawSalt,
    commits: mpsc::UnboundedSender<Committed>,
}

impl<S: Archive> Validator<S> {
    pub(crate) fn new(
        genesis: &Genesis,
        state: State,
        store: S,
        mempool: Mempool,
        clock: Arc<dyn Clock>,
        clock_offset: Arc<ClockOffset>,
        commits: mpsc::UnboundedSender<Committed>,
    ) -> (Self, watch::Receiver<Arc<State>>) {
        let state = Arc::new(state);
        let (published, watching) = watch::channel(Arc::clone(&state));
        let validator = Self {
            state,
            published,
            store,
            mempool,
            clock,
            clock_offset,
            heartbeat_ms: i64::try_from(genesis.heartbeat_ms).unwrap_or(i64::MAX),
            drift_max_ms: i64::try_from(genesis.block_drift_max_ms).unwrap_or(i64::MAX),
            executed: BTreeMap::new(),
            own: None,
            draw_salt: random_salt,
            commits,
        };
        (validator, watching)
    }

    /// The state after the last block.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Verifies and commits the next block, which a neighbour on the mesh has served.
    ///
    /// # Errors
    /// [`NotTaken`] says whether the block or this node is at fault; nothing was committed.
    pub(crate) async fn take(&mut self, committed: CommittedBlock) -> Result<(), NotTaken> {
        let CommittedBlock { block, certificate } = committed;
        let (header, expected) = (&block.header, self.state.height().saturating_add(1));
        if header.height != expected {
            return Err(NotFollowed::WrongHeight { found: header.height, expected }.into());
        }
        check_commit(header, &certificate, self.state.validators())?;
        let executed = apply(&self.state, &block).map_err(NotFollowed::from)?;
        self.executed.insert(certificate.block, executed);
        Ok(self.commit(block.to_bytes(), certificate).await?)
    }

    /// The time of a block proposed now: the clock's, but always after the block before.
    fn next_time(&self) -> Timestamp {
        self.clock.now().max(self.state.time().plus_millis(1))
    }

    /// When the next block is due even if nobody says anything.
    fn due_at(&self) -> Timestamp {
        let heartbeat = self.state.time().plus_millis(self.heartbeat_ms);
        self.state.next_due_at().map_or(heartbeat, |due| due.min(heartbeat))
    }

    /// The block that this node proposes. Should what waits make a block that cannot be finished,
    /// it is thrown away: a bare block always can be, and the chain goes on.
    fn draft(&self) -> Result<Executed, Fatal> {
        let doing = || format!("build block {}", self.state.height().saturating_add(1));
        let salt = (self.draw_salt)().map_err(|error| Fatal::new(doing(), error))?;
        let open = || Draft::open(&self.state, self.next_time(), salt);
        let draft = self.filled(open().map_err(|error| Fatal::new(doing(), error))?);
        let transactions_count = draft.transaction_count();
        match draft.finish() {
            Err(error) if transactions_count > 0 => {
                tracing::error!(%error, transactions_count, "what waits makes no block; thrown away");
                self.mempool.clear();
                let bare = open().and_then(Draft::finish);
                bare.map_err(|error| Fatal::new(doing(), error))
            }
            finished => finished.map_err(|error| Fatal::new(doing(), error)),
        }
    }

    /// Admits what waits, in the order of arrival, as far as it fits into a block.
    fn filled(&self, mut draft: Draft) -> Draft {
        let mut room = BLOCK_BYTES_MAX.saturating_sub(BLOCK_BYTES_RESERVED);
        for transaction in self.mempool.waiting() {
            let length = transaction.to_bytes().len();
            let Some(left) = room.checked_sub(length) else { break };
            let (subject, sequence) = transaction.subject();
            match draft.admit(transaction) {
                Ok(()) => room = left,
                Err(rejection) => {
                    tracing::debug!(?subject, %rejection, "left out of the block");
                    self.mempool.drop_refused(subject, sequence);
                }
            }
        }
        draft
    }

    /// Whether a time is longer ago than clocks may differ.
    fn is_behind(&self, time: Timestamp) -> bool {
        time.millis_since(self.clock.now()) < self.drift_max_ms.saturating_neg()
    }

    fn check_time(&self, time: Timestamp, standing: Standing) -> Result<(), String> {
        let now = self.clock.now();
        let ahead_ms = time.millis_since(now);
        // An old block says nothing about clocks, but none can come from the future.
        if standing == Standing::Fresh || ahead_ms > 0 {
            self.clock_offset.note(time, now);
        }
        let late = standing == Standing::Fresh && self.is_behind(time);
        let early = standing != Standing::Certified && ahead_ms > self.drift_max_ms;
        if !late && !early {
            return Ok(());
        }
        Err(format!(
            "its time {time} is {} ms {} this node's clock, at most {} ms are allowed; check the \
             clocks of both",
            ahead_ms.unsigned_abs(),
            if early { "ahead of" } else { "behind" },
            self.drift_max_ms
        ))
    }
}

impl<S: Archive> Application for Validator<S> {
    fn tip(&self) -> u64 {
        self.state.height()
    }

    fn tip_time(&self) -> Timestamp {
        self.state.time()
    }

    fn min_height(&self) -> u64 {
        self.store.min_height()
    }

    fn endpoints(&self) -> Vec<String> {
        self.state.endpoints().iter().map(|endpoint| endpoint.address.clone()).collect()
    }

    fn validators(&self) -> ValidatorSet {
        self.state.validators().clone()
    }

    async fn build(&mut self, _height: u64, _round: u32) -> Result<Candidate, Fatal> {
        let executed = self.draft()?;
        let (hash, bytes) = (executed.block.hash(), executed.block.to_bytes());
        self.executed.insert(hash, executed);
        self.own = Some(hash);
        Ok(Candidate { hash, bytes })
    }

    async fn check(
        &mut self,
        _height: u64,
        bytes: &[u8],
        standing: Standing,
    ) -> Result<BlockHash, Refusal> {
        let garbled = |words: String| Refusal::Garbled { words };
        let block = Block::from_bytes(bytes).map_err(|error| garbled(error.to_string()))?;
        if block.to_bytes() != bytes {
            return Err(garbled("its bytes are not canonical".to_owned()));
        }
        let hash = block.hash();
        let invalid = |words: String| Refusal::Invalid { hash, words };
        self.check_time(block.header.time, standing).map_err(invalid)?;
        if !self.executed.contains_key(&hash) {
            let executed =
                apply(&self.state, &block).map_err(|error| invalid(error.to_string()))?;
            self.executed.insert(hash, executed);
        }
        Ok(hash)
    }

    fn is_late(&self, bytes: &[u8]) -> bool {
        Block::from_bytes(bytes).is_ok_and(|block| self.is_behind(block.header.time))
    }

    async fn commit(
        &mut self,
        bytes: Vec<u8>,
        certificate: CommitCertificate,
    ) -> Result<(), Fatal> {
        let doing = format!("commit block {}", certificate.height);
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| Fatal::new(doing.clone(), error);
        let executed = match self.executed.remove(&certificate.block) {
            Some(executed) => executed,
            None => {
                let block = Block::from_bytes(&bytes).map_err(|error| failed(error.into()))?;
                apply(&self.state, &block).map_err(|error| failed(error.into()))?
            }
        };
        let Executed { block, state, results } = executed;
        self.store
            .commit(&block, &certificate, &results, &state)
            .await
            .map_err(|error| failed(error.into()))?;
        for cleared in &results.clearings {
            let (period, volume) = (cleared.result.period, cleared.result.volume);
            let price = cleared.summary.price.map(|price| price.to_string());
            tracing::info!(?period, %volume, price, "cleared");
        }
        self.state = Arc::new(state);
        self.executed.clear();
        let own = self.own.take() == Some(certificate.block);
        self.mempool.prune(&self.state, self.next_time());
        self.published.send_replace(Arc::clone(&self.state));
        // Nobody listens while the node shuts down; the block is safe.
        let _ = self.commits.send(Committed { block: Arc::new(block), certificate, own });
        Ok(())
    }

    async fn decided(
        &mut self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, Fatal> {
        let found = self.store.decided(height).await;
        found.map_err(|error| Fatal::new(format!("read block {height}"), error))
    }

    async fn put_undecided(&mut self, body: Undecided) -> Result<(), Fatal> {
        let stored = self.store.put_undecided(&body).await;
        stored.map_err(|error| Fatal::new(format!("store block {}", body.height), error))
    }

    async fn undecided(&mut self, height: u64) -> Result<Vec<Undecided>, Fatal> {
        let found = self.store.undecided(height).await;
        found.map_err(|error| Fatal::new(format!("read block {height}"), error))
    }

    async fn work(&mut self) {
        loop {
            // Listen before looking, so that an arrival in between is not missed.
            let arrival = self.mempool.arrival();
            self.mempool.prune(&self.state, self.next_time());
            let due_at = self.due_at();
            if !self.mempool.is_empty() || self.clock.now() >= due_at {
                return;
            }
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep(self.clock.real_time_until(due_at)) => {}
            }
        }
    }
}

impl Archive for Store {
    type Error = StoreError;

    fn min_height(&self) -> u64 {
        Self::min_height(self)
    }

    async fn commit(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        results: &BlockResults,
        state: &State,
    ) -> Result<(), StoreError> {
        Self::commit(self, block, certificate, results, state).await
    }

    async fn decided(
        &self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, StoreError> {
        Self::decided(self, height).await
    }

    async fn put_undecided(&self, body: &Undecided) -> Result<(), StoreError> {
        Self::put_undecided(self, body).await
    }

    async fn undecided(&self, height: u64) -> Result<Vec<Undecided>, StoreError> {
        Self::undecided(self, height).await
    }
}
