//! The validator under test, with an observer on its shoulder, and for some a devil on the other.

use std::sync::{Arc, Mutex};

use ledger::block::{Block, BlockHash};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::state::State;
use ledger::validators::ValidatorSet;
use market::time::Timestamp;
use tokio::sync::watch;

use super::disk::Disk;
use super::forgery::Forgery;
use super::lock;
use super::record::Record;
use crate::consensus::{Application, Candidate, Fatal, Refusal, Standing, Undecided};
use crate::validator::Validator;

pub(in crate::consensus) type RightTime = Box<dyn Fn() -> Timestamp + Send + Sync>;

pub(in crate::consensus) struct Member {
    pub(in crate::consensus) validator: Validator<Disk>,
    pub(in crate::consensus) state: watch::Receiver<Arc<State>>,
    pub(in crate::consensus) genesis: Arc<Genesis>,
    /// Market time by a right clock.
    pub(in crate::consensus) right_time: RightTime,
    /// What it proposes instead of good blocks.
    pub(in crate::consensus) forgery: Arc<Mutex<Option<Forgery>>>,
    pub(in crate::consensus) node: usize,
    pub(in crate::consensus) record: Arc<Mutex<Record>>,
}

impl Application for Member {
    fn tip(&self) -> u64 {
        self.validator.tip()
    }

    fn tip_time(&self) -> Timestamp {
        self.validator.tip_time()
    }

    fn endpoints(&self) -> Vec<String> {
        self.validator.endpoints()
    }

    fn min_height(&self) -> u64 {
        self.validator.min_height()
    }

    fn validators(&self) -> ValidatorSet {
        self.validator.validators()
    }

    async fn build(&mut self, height: u64, round: u32) -> Result<Candidate, Fatal> {
        let honest = self.validator.build(height, round).await?;
        let Some(forgery) = *lock(&self.forgery) else { return Ok(honest) };
        let state = self.state.borrow().clone();
        let block = Block::from_bytes(&honest.bytes).expect("an honest block");
        let forged = forgery.forge(&self.genesis, &state, block);
        lock(&self.record).forged.insert(forged.hash);
        Ok(forged)
    }

    async fn check(
        &mut self,
        height: u64,
        bytes: &[u8],
        standing: Standing,
    ) -> Result<BlockHash, Refusal> {
        let judged = self.validator.check(height, bytes, standing).await;
        if let Err(refusal) = &judged {
            lock(&self.record).refusals.push((self.node, refusal.clone()));
        }
        judged
    }

    fn is_late(&self, bytes: &[u8]) -> bool {
        self.validator.is_late(bytes)
    }

    async fn commit(
        &mut self,
        bytes: Vec<u8>,
        certificate: CommitCertificate,
    ) -> Result<(), Fatal> {
        let block = Block::from_bytes(&bytes).expect("a decided block");
        self.validator.commit(bytes, certificate.clone()).await?;
        let root = self.state.borrow().root();
        lock(&self.record).note_commit(self.node, block, certificate, root, (self.right_time)());
        Ok(())
    }

    async fn decided(
        &mut self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, Fatal> {
        self.validator.decided(height).await
    }

    async fn put_undecided(&mut self, body: Undecided) -> Result<(), Fatal> {
        self.validator.put_undecided(body).await
    }

    async fn undecided(&mut self, height: u64) -> Result<Vec<Undecided>, Fatal> {
        self.validator.undecided(height).await
    }

    async fn work(&mut self) {
        self.validator.work().await;
    }
}
