//! Erasing parties: every request that stands in a block is carried out, once no restart needs the
//! blocks up to it any more.
//!
//! A crash on the way loses nothing: the receipt grows in the same transactions that erase, and
//! counts as given only when all is done. The newest blocks come first, because the oldest ones
//! tell by which invitations the party came.

use ledger::genesis::Genesis;
use ledger::pruned::Traces;
use ledger::transaction::Transaction;
use market::keys::{ChainId, SigningKey};
use market::member::PartyId;
use std::collections::BTreeSet;
use std::path::Path;

use super::Store;
use super::check::{self, SLICE};
use super::erasures::{Erasure, ErasureReceipt};
use super::error::StoreError;
use super::prune::{PrunedRow, StoredRow};
use super::schema::{Access, FILE};
use super::writing::SNAPSHOT_EVERY;

/// The height up to which requests were looked for and carried out.
const ERASED_THROUGH: &str = "erased-through";

/// How a request to erase a party stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureStanding {
    /// No block here asks for it.
    NotRequested,
    /// It is asked for, and a restart still needs the blocks before.
    Waiting {
        /// The height of the block that asks for it.
        requested_at: u64,
        /// The height from which on it is carried out.
        due_at: u64,
    },
    /// It is done.
    Done(ErasureReceipt),
}

/// In whose name it is erased.
#[derive(Debug, Clone)]
pub(crate) struct Eraser {
    pub(crate) chain: ChainId,
    pub(crate) key: SigningKey,
}

/// What is written beside each slice that is erased.
#[derive(Debug, Default)]
struct Progress {
    heights: BTreeSet<u64>,
    leaves_count: u64,
}

impl Store {
    /// Carries out every request to erase a party that stands in a block which no restart needs,
    /// and was not carried out before. Returns the receipts of those.
    ///
    /// # Errors
    /// [`StoreError`]; what was erased until then stays so, and asking again does the rest.
    pub async fn carry_out_erasures(
        &self,
        chain: &ChainId,
        key: &SigningKey,
    ) -> Result<Vec<ErasureReceipt>, StoreError> {
        let _alone = self.forgetting.lock().await;
        let last = self.last_prunable().await?;
        let done = self.erased_through().await?;
        if last <= done {
            return Ok(Vec::new());
        }
        let mut receipts = Vec::new();
        let eraser = Eraser { chain: *chain, key: key.clone() };
        for (requested_at, party) in self.requests(done, last).await? {
            receipts.push(self.erase_for(requested_at, party, last, &eraser).await?);
        }
        self.db.put_meta(ERASED_THROUGH, &last.to_string()).await?;
        if !receipts.is_empty() {
            self.db.give_back_pages().await?;
        }
        Ok(receipts)
    }

    /// How the erasure of a party stands here.
    ///
    /// # Errors
    /// [`StoreError`] if the ledger cannot be read, or does not hold.
    pub async fn erasure_of(
        &self,
        party: &PartyId,
        chain: &ChainId,
    ) -> Result<ErasureStanding, StoreError> {
        let receipts = self.erasures(chain).await?;
        if let Some(receipt) = receipts.into_iter().find(|one| one.erasure.party == *party) {
            return Ok(ErasureStanding::Done(receipt));
        }
        let requests = self.requests(self.erased_through().await?, u64::MAX).await?;
        let found = requests.into_iter().find(|(_, named)| named == party);
        Ok(match found {
            Some((requested_at, _)) => {
                // The first snapshot behind which the one before it lies behind the request.
                let due_at = requested_at
                    .saturating_add(SNAPSHOT_EVERY)
                    .saturating_add(1)
                    .next_multiple_of(SNAPSHOT_EVERY);
                ErasureStanding::Waiting { requested_at, due_at }
            }
            None => ErasureStanding::NotRequested,
        })
    }

    /// The receipts for everything that was erased here, by the height of the request.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read, or do not hold.
    pub async fn erasures(&self, chain: &ChainId) -> Result<Vec<ErasureReceipt>, StoreError> {
        let through = self.erased_through().await?;
        let mut receipts = self.db.erasures(chain).await?;
        receipts.retain(|receipt| receipt.erasure.requested_at <= through);
        Ok(receipts)
    }

    /// Erases parties again from a closed store: what was fetched may name them.
    pub(crate) async fn erase_again(
        path: &Path,
        genesis: &Genesis,
        parties: &[PartyId],
    ) -> Result<(), StoreError> {
        if parties.is_empty() {
            return Ok(());
        }
        let (store, _) = Self::open_at(path, Access::Existing, genesis).await?;
        let erased = async {
            let last = store.last_prunable().await?;
            for party in parties {
                store.erase(party, last, &mut Progress::default(), |_| None).await?;
            }
            store.db.give_back_pages().await
        };
        let erased = erased.await;
        store.close().await;
        erased
    }

    async fn erase_for(
        &self,
        requested_at: u64,
        party: PartyId,
        last: u64,
        eraser: &Eraser,
    ) -> Result<ErasureReceipt, StoreError> {
        let sign = |progress: &Progress| {
            let heights = progress.heights.iter().copied().collect();
            let leaves_count = progress.leaves_count;
            let erasure = Erasure { requested_at, party, heights, leaves_count };
            ErasureReceipt::sign(erasure, &eraser.chain, &eraser.key)
        };
        let begun = self.db.erasures(&eraser.chain).await?.into_iter();
        let mut begun = begun.map(|receipt| receipt.erasure);
        let begun = begun.find(|one| one.requested_at == requested_at && one.party == party);
        let mut progress = begun.map_or_else(Progress::default, |begun| Progress {
            heights: begun.heights.into_iter().collect(),
            leaves_count: begun.leaves_count,
        });
        self.erase(&party, last, &mut progress, |progress| Some(sign(progress))).await?;
        let receipt = sign(&progress);
        self.db.put(receipt.insert()).await?;
        Ok(receipt)
    }

    /// Forgets every leaf that tells of a party, up to a height.
    async fn erase(
        &self,
        party: &PartyId,
        last: u64,
        progress: &mut Progress,
        receipt: impl Fn(&Progress) -> Option<ErasureReceipt>,
    ) -> Result<(), StoreError> {
        let mut traces = Traces::of(*party);
        self.each_slice(0, last, |rows| {
            for row in rows {
                match row {
                    StoredRow::Whole(row) => traces.learn(&row.committed.block.transactions),
                    StoredRow::Pruned(row) => traces.learn(row.block.said()),
                }
            }
        })
        .await?;
        let mut end = last.saturating_add(1);
        let first = self.base_height.saturating_add(1);
        while end > first {
            let from = end.saturating_sub(SLICE).max(first);
            let mut changed = Vec::new();
            for row in check::slice(&self.db, from).await? {
                if row.header().height >= end {
                    break;
                }
                let mut row = row.into_pruned();
                let count = u64::try_from(row.block.erase(&traces)).unwrap_or(u64::MAX);
                if count > 0 {
                    progress.leaves_count = progress.leaves_count.saturating_add(count);
                    progress.heights.insert(row.block.header.height);
                    changed.push(row);
                }
            }
            if !changed.is_empty() {
                self.replace(&changed, receipt(progress).as_ref()).await?;
            }
            end = from;
        }
        Ok(())
    }

    /// The parties to erase by what blocks above one height and up to another say.
    async fn requests(&self, above: u64, last: u64) -> Result<Vec<(u64, PartyId)>, StoreError> {
        let mut requests = Vec::new();
        self.each_slice(above, last, |rows| {
            for row in rows {
                let height = row.header().height;
                let mut note = |said: &Transaction| {
                    requests.extend(said.to_erase().map(|party| (height, party)));
                };
                match row {
                    StoredRow::Whole(row) => {
                        row.committed.block.transactions.iter().for_each(note);
                    }
                    StoredRow::Pruned(row) => row.block.said().for_each(&mut note),
                }
            }
        })
        .await?;
        Ok(requests)
    }

    /// Shows all rows above one height and up to another, slice by slice.
    async fn each_slice(
        &self,
        above: u64,
        last: u64,
        mut show: impl FnMut(&[StoredRow]),
    ) -> Result<(), StoreError> {
        let mut next = above.max(self.base_height).saturating_add(1);
        while next <= last {
            let mut rows = check::slice(&self.db, next).await?;
            rows.retain(|row| row.header().height <= last);
            let Some(highest) = rows.last() else { break };
            next = highest.header().height.saturating_add(1);
            show(&rows);
        }
        Ok(())
    }

    async fn erased_through(&self) -> Result<u64, StoreError> {
        let through = self.db.meta(ERASED_THROUGH).await?;
        Ok(through.and_then(|height| height.parse().ok()).unwrap_or_default())
    }

    /// Where damaged ledgers are kept that a repair has replaced: they may name whom this one has
    /// forgotten.
    pub(crate) fn forget_set_aside(data_dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        let prefix = format!("{FILE}.damaged-");
        let mut removed = Vec::new();
        for entry in std::fs::read_dir(data_dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(&prefix)) {
                std::fs::remove_file(&path)?;
                removed.push(path);
            }
        }
        Ok(removed)
    }
}

impl StoredRow {
    fn into_pruned(self) -> PrunedRow {
        match self {
            Self::Whole(row) => PrunedRow::of(row),
            Self::Pruned(row) => row,
        }
    }
}
