//! A disk: what was synced survives the process, what was not is lost, and a process can die at
//! any write, just before or just after it.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_malachitebft_app_channel::app::consensus::Input;
use ledger::apply::apply;
use ledger::block::Block;
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::results::BlockResults;
use ledger::state::State;

use super::lock;
use crate::consensus::Undecided;
use crate::consensus::context::Chain;
use crate::validator::Archive;

/// The disk of one node; clones are the same disk.
#[derive(Clone, Default)]
pub(in crate::consensus) struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    blocks: Vec<(Block, CommitCertificate)>,
    undecided: Vec<Undecided>,
    log: Log,
    /// Writes until the process dies, and whether the last one still reaches the disk.
    fails: Option<(u64, bool)>,
    dead: bool,
}

/// The engine's write-ahead log: the entries of one height.
#[derive(Default)]
struct Log {
    height: u64,
    synced: Vec<Input<Chain>>,
    unsynced: Vec<Input<Chain>>,
}

/// The process has died at this write.
#[derive(Debug, thiserror::Error)]
#[error("the process died while it wrote")]
pub(in crate::consensus) struct Died;

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        lock(&self.0)
    }

    /// Lets the process die at its `write`-th write from now.
    pub(in crate::consensus) fn fail_at(&self, write: u64, lands: bool) {
        self.platter().fails = Some((write.max(1), lands));
    }

    pub(in crate::consensus) fn fail_never(&self) {
        self.platter().fails = None;
    }

    pub(in crate::consensus) fn is_dead(&self) -> bool {
        self.platter().dead
    }

    /// The process is gone; what it had not synced is gone with it.
    pub(in crate::consensus) fn lose_unsynced(&self) {
        let mut platter = self.platter();
        platter.log.unsynced.clear();
        platter.dead = false;
    }

    /// Damage: the log ends after its first `kept` entries.
    pub(in crate::consensus) fn cut_log(&self, kept: usize) {
        self.platter().log.synced.truncate(kept);
    }

    pub(in crate::consensus) fn tip(&self) -> u64 {
        u64::try_from(self.platter().blocks.len()).unwrap()
    }

    pub(in crate::consensus) fn chain(&self) -> Vec<(Block, CommitCertificate)> {
        self.platter().blocks.clone()
    }

    pub(in crate::consensus) fn has_traces(&self) -> bool {
        let platter = self.platter();
        !platter.blocks.is_empty()
            || !platter.undecided.is_empty()
            || !platter.log.synced.is_empty()
    }

    /// What a node computes from its blocks when it starts.
    pub(in crate::consensus) fn restore(&self, genesis: &Genesis) -> State {
        let mut state = State::at_genesis(genesis);
        for (block, _) in &self.platter().blocks {
            state = apply(&state, block).expect("a committed block applies again").state;
        }
        state
    }

    /// The log's entries for a height that starts; those of another height are dropped.
    pub(in crate::consensus) fn log_of(&self, height: u64) -> Vec<Input<Chain>> {
        let mut platter = self.platter();
        if platter.log.height != height {
            platter.log = Log { height, ..Log::default() };
        }
        platter.log.synced.clone()
    }

    pub(in crate::consensus) fn forget_log(&self, height: u64) {
        self.platter().log = Log { height, ..Log::default() };
    }

    pub(in crate::consensus) fn append(&self, height: u64, entry: Input<Chain>) {
        let mut platter = self.platter();
        if platter.log.height == height {
            platter.log.unsynced.push(entry);
        }
    }

    pub(in crate::consensus) fn sync_log(&self) -> Result<(), Died> {
        self.platter().write(|platter| {
            let mut fresh = std::mem::take(&mut platter.log.unsynced);
            platter.log.synced.append(&mut fresh);
        })
    }
}

impl Platter {
    fn write(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Died> {
        if self.dead {
            return Err(Died);
        }
        match &mut self.fails {
            Some((left, lands)) if *left <= 1 => {
                let lands = *lands;
                (self.fails, self.dead) = (None, true);
                if lands {
                    change(self);
                }
                Err(Died)
            }
            fails => {
                if let Some((left, _)) = fails {
                    *left -= 1;
                }
                change(self);
                Ok(())
            }
        }
    }
}

impl Archive for Disk {
    type Error = Died;

    fn min_height(&self) -> u64 {
        1
    }

    async fn commit(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        _: &BlockResults,
        _: &State,
    ) -> Result<(), Died> {
        self.platter().write(|platter| {
            platter.undecided.retain(|body| body.height > block.header.height);
            platter.blocks.push((block.clone(), certificate.clone()));
        })
    }

    async fn decided(&self, height: u64) -> Result<Option<(Vec<u8>, CommitCertificate)>, Died> {
        let platter = self.platter();
        let at = height.checked_sub(1).map(|at| usize::try_from(at).unwrap());
        let held = at.and_then(|at| platter.blocks.get(at));
        Ok(held.map(|(block, certificate)| (block.to_bytes(), certificate.clone())))
    }

    async fn put_undecided(&self, body: &Undecided) -> Result<(), Died> {
        self.platter().write(|platter| {
            let place = |body: &Undecided| (body.height, body.round, body.hash);
            if platter.undecided.iter().all(|known| place(known) != place(body)) {
                platter.undecided.push(body.clone());
            }
        })
    }

    async fn undecided(&self, height: u64) -> Result<Vec<Undecided>, Died> {
        let platter = self.platter();
        Ok(platter.undecided.iter().filter(|body| body.height == height).cloned().collect())
    }
}
