//! The bare engine: consensus about blocks that mean nothing, the floor of every ledger on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger::block::BlockHash;
use ledger::certificate::CommitCertificate;
use ledger::validators::ValidatorSet;
use ledger_node::config::LoadedNode;
use ledger_node::consensus::{
    self, Application, Candidate, ConsensusError, ConsensusStatus, Fatal, Refusal, Standing,
    Undecided,
};
use market::hash::Digest;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a bare validator writes down how far it is.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How far a bare validator is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BareProgress {
    /// The last height decided.
    pub(super) height: u64,
    /// How many were not decided in their first round.
    pub(super) late_count: u64,
}

/// Where a bare validator writes how far it is.
pub(super) fn progress_file(data_dir: &Path) -> PathBuf {
    data_dir.join("bare.json")
}

/// Runs the bare engine with blocks of so many bytes, one behind the other, until shutdown.
///
/// # Errors
/// [`ConsensusError`] if it cannot start or go on.
pub async fn run_bare(
    config: LoadedNode,
    block_bytes: usize,
    shutdown: CancellationToken,
) -> Result<(), ConsensusError> {
    let (progress, told) = watch::channel(BareProgress::default());
    tokio::spawn(tell(progress_file(&config.data_dir), told, shutdown.clone()));
    let validators = config.genesis.validators.clone();
    let bare = Bare { validators, block_bytes, undecided: Vec::new(), progress };
    let (status, _) = watch::channel(ConsensusStatus::default());
    consensus::run(config.consensus, bare, shutdown, status).await
}

async fn tell(file: PathBuf, told: watch::Receiver<BareProgress>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let text = serde_json::to_string(&*told.borrow()).unwrap_or_default();
        // Whoever waits for it says that it did not come.
        let _ = tokio::fs::write(&file, text).await;
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// An application without rules, state, disk or mempool.
struct Bare {
    validators: ValidatorSet,
    block_bytes: usize,
    undecided: Vec<Undecided>,
    progress: watch::Sender<BareProgress>,
}

fn hash(bytes: &[u8]) -> BlockHash {
    BlockHash::from_bytes(*Digest::of(&[bytes]).as_bytes())
}

impl Application for Bare {
    fn tip(&self) -> u64 {
        self.progress.borrow().height
    }

    fn tip_time(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.tip()).unwrap_or(i64::MAX))
    }

    fn min_height(&self) -> u64 {
        1
    }

    fn validators(&self) -> ValidatorSet {
        self.validators.clone()
    }

    async fn build(&mut self, height: u64, round: u32) -> Result<Candidate, Fatal> {
        let mut bytes = height.to_le_bytes().to_vec();
        bytes.extend_from_slice(&round.to_le_bytes());
        bytes.resize(self.block_bytes.max(bytes.len()), 0x5a);
        Ok(Candidate { hash: hash(&bytes), bytes })
    }

    async fn check(&mut self, _: u64, bytes: &[u8], _: Standing) -> Result<BlockHash, Refusal> {
        Ok(hash(bytes))
    }

    async fn commit(&mut self, _: Vec<u8>, certificate: CommitCertificate) -> Result<(), Fatal> {
        self.undecided.clear();
        self.progress.send_modify(|progress| {
            progress.height = certificate.height;
            progress.late_count += u64::from(certificate.round > 0);
        });
        Ok(())
    }

    async fn decided(&mut self, _: u64) -> Result<Option<(Vec<u8>, CommitCertificate)>, Fatal> {
        Ok(None)
    }

    async fn put_undecided(&mut self, body: Undecided) -> Result<(), Fatal> {
        self.undecided.push(body);
        Ok(())
    }

    async fn undecided(&mut self, height: u64) -> Result<Vec<Undecided>, Fatal> {
        Ok(self.undecided.iter().filter(|body| body.height == height).cloned().collect())
    }

    /// There always is a reason for the next block.
    async fn work(&mut self) {}
}
