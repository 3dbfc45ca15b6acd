//! The smallest application that consensus can decide about: a chain of lists of numbers. The
//! disk and the mempool outlive the node, as a real disk and the neighbours' memory do.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::BlockHash;
use ledger::certificate::CommitCertificate;
use ledger::validators::ValidatorSet;
use market::hash::Digest;
use market::time::Timestamp;
use tokio::sync::Notify;

use super::api::{Application, Candidate, Fatal, Refusal, Standing, Undecided};

/// A block of the toy chain.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ToyBlock {
    pub(crate) height: u64,
    pub(crate) previous: BlockHash,
    /// Makes every block that is built another one.
    pub(crate) nonce: u64,
    pub(crate) numbers: Vec<u64>,
}

impl ToyBlock {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).unwrap()
    }

    pub(crate) fn hash(&self) -> BlockHash {
        BlockHash::from_bytes(*Digest::of(&[&self.bytes()]).as_bytes())
    }
}

/// What survives the node.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) blocks: Vec<(ToyBlock, CommitCertificate)>,
    pub(crate) undecided: Vec<Undecided>,
    /// Where it survives the process, too.
    pub(crate) file: Option<File>,
}

/// One entry of the file.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) enum Entry {
    Undecided { height: u64, round: u32, hash: BlockHash, own: bool, bytes: Vec<u8> },
    Committed(ToyBlock, CommitCertificate),
}

impl Disk {
    fn put(&mut self, entry: Entry) -> Result<(), Fatal> {
        if let Some(file) = &mut self.file {
            let bytes = borsh::to_vec(&entry).map_err(|error| Fatal::new("write", error))?;
            file.write_all(&bytes).map_err(|error| Fatal::new("write", error))?;
            file.sync_data().map_err(|error| Fatal::new("sync", error))?;
        }
        self.note(entry);
        Ok(())
    }

    pub(crate) fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Undecided { height, round, hash, own, bytes } => {
                self.undecided.push(Undecided { height, round, hash, own, bytes });
            }
            Entry::Committed(block, certificate) => {
                self.undecided.clear();
                self.blocks.push((block, certificate));
            }
        }
    }
}

/// Numbers that wait for a block.
#[derive(Debug, Default)]
pub(crate) struct Mempool {
    numbers: Mutex<BTreeSet<u64>>,
    arrived: Notify,
}

impl Mempool {
    pub(crate) fn submit(&self, number: u64) {
        lock(&self.numbers).insert(number);
        self.arrived.notify_one();
    }
}

/// The application.
#[derive(Debug, Clone)]
pub(crate) struct Toy {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) validators: ValidatorSet,
    /// Builds blocks that do not follow the chain.
    pub(crate) evil: bool,
    /// Always finds a reason for a block.
    pub(crate) restless: bool,
    /// How many blocks it built.
    pub(crate) nonce: u64,
}

impl Toy {
    pub(crate) fn new(validators: ValidatorSet) -> Self {
        let (disk, mempool) = (Arc::default(), Arc::default());
        Self { disk, mempool, validators, evil: false, restless: false, nonce: 0 }
    }

    fn previous(&self) -> BlockHash {
        let disk = lock(&self.disk);
        disk.blocks.last().map(|(block, _)| block.hash()).unwrap_or_default()
    }
}

impl Application for Toy {
    fn tip(&self) -> u64 {
        u64::try_from(lock(&self.disk).blocks.len()).unwrap()
    }

    /// A minute for each block.
    fn tip_time(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.tip()).unwrap() * 60_000)
    }

    fn min_height(&self) -> u64 {
        1
    }

    fn validators(&self) -> ValidatorSet {
        self.validators.clone()
    }

    async fn build(&mut self, height: u64, _: u32) -> Result<Candidate, Fatal> {
        self.nonce += 1;
        let previous = if self.evil { BlockHash::from_bytes([6; 32]) } else { self.previous() };
        let numbers = lock(&self.mempool.numbers).iter().copied().collect();
        let block = ToyBlock { height, previous, nonce: self.nonce, numbers };
        Ok(Candidate { hash: block.hash(), bytes: block.bytes() })
    }

    async fn check(
        &mut self,
        height: u64,
        bytes: &[u8],
        _: Standing,
    ) -> Result<BlockHash, Refusal> {
        let block: ToyBlock = borsh::from_slice(bytes)
            .map_err(|error| Refusal::Garbled { words: error.to_string() })?;
        let hash = block.hash();
        if (block.height, block.previous) == (height, self.previous()) {
            Ok(hash)
        } else {
            Err(Refusal::Invalid { hash, words: "it does not follow the chain".to_owned() })
        }
    }

    fn is_late(&self, _: &[u8]) -> bool {
        false
    }

    async fn commit(
        &mut self,
        bytes: Vec<u8>,
        certificate: CommitCertificate,
    ) -> Result<(), Fatal> {
        let block: ToyBlock =
            borsh::from_slice(&bytes).map_err(|error| Fatal::new("read a block", error))?;
        let mut waiting = lock(&self.mempool.numbers);
        waiting.retain(|number| !block.numbers.contains(number));
        lock(&self.disk).put(Entry::Committed(block, certificate))
    }

    async fn decided(
        &mut self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, Fatal> {
        let disk = lock(&self.disk);
        let at = height.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let held = at.and_then(|at| disk.blocks.get(at));
        Ok(held.map(|(block, certificate)| (block.bytes(), certificate.clone())))
    }

    async fn put_undecided(&mut self, body: Undecided) -> Result<(), Fatal> {
        let Undecided { height, round, hash, own, bytes } = body;
        lock(&self.disk).put(Entry::Undecided { height, round, hash, own, bytes })
    }

    async fn undecided(&mut self, height: u64) -> Result<Vec<Undecided>, Fatal> {
        let disk = lock(&self.disk);
        Ok(disk.undecided.iter().filter(|body| body.height == height).cloned().collect())
    }

    async fn work(&mut self) {
        if self.restless {
            return;
        }
        loop {
            let arrived = self.mempool.arrived.notified();
            if !lock(&self.mempool.numbers).is_empty() {
                return;
            }
            arrived.await;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
