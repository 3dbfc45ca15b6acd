//! What is read while the node runs. Everything is checked before it is handed out.

use ledger::block::{Block, Header};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::results::ServedBlock;
use ledger::state::State;
use market::time::Timestamp;

use super::Store;
use super::check;
use super::error::{Finding, StoreError};
use super::prune::StoredRow;
use super::rows::{
    BlockRow, CertifiedHeader, SNAPSHOT_COLUMNS, SnapshotRow, UNDECIDED_COLUMNS, bytes,
    read_undecided,
};
use super::schema::{from_sql, to_sql};
use crate::consensus::Undecided;
use crate::snapshot::CertifiedSnapshot;
use crate::statement::Shown;

/// A height between others without a row.
pub(super) fn no_row(height: u64) -> Finding {
    Finding::at("blocks", height, "it is missing")
}

impl Store {
    /// All undecided bodies of a height.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn undecided(&self, height: u64) -> Result<Vec<Undecided>, StoreError> {
        let query = format!("{UNDECIDED_COLUMNS} WHERE height = ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(height));
        let rows = self.db.rows("read proposed blocks", query).await?;
        let read = |row| {
            read_undecided(row).map_err(|problem| {
                self.noted(self.db.corrupt(Finding::at("undecided", height, problem)))
            })
        };
        rows.iter().map(read).collect()
    }

    /// A committed block's bytes and certificate, if it is held.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or does not hold.
    pub async fn decided(
        &self,
        height: u64,
    ) -> Result<Option<(Vec<u8>, CommitCertificate)>, StoreError> {
        let row = self.block_row(height).await?;
        Ok(row.map(|row| (row.committed.block.to_bytes(), row.committed.certificate)))
    }

    /// Encoded [`ServedBlock`]s from a height upwards: at most `count_max`, and at most about
    /// `bytes_max` in all, but at least one if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if the first cannot be read, or does not hold. A later one ends the answer.
    pub async fn served(
        &self,
        from_height: u64,
        count_max: u16,
        with_results: bool,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let (mut served, mut total) = (Vec::new(), 0_usize);
        for offset in 0..u64::from(count_max) {
            let row = match self.block_row(from_height.saturating_add(offset)).await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) if served.is_empty() => return Err(error),
                Err(_) => break,
            };
            let BlockRow { committed, results, .. } = row;
            let results = with_results.then_some(results);
            let mut encoded = bytes(&ServedBlock { committed: committed.clone(), results });
            if encoded.len() > bytes_max {
                // A block that decided more than fits still has to be followed.
                encoded = bytes(&ServedBlock { committed, results: None });
            }
            total = total.saturating_add(encoded.len());
            if total > bytes_max && !served.is_empty() {
                break;
            }
            served.push(encoded);
        }
        Ok(served)
    }

    /// The snapshot at a height, or with height 0 the newest, with its proof; `None` if there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or does not hold.
    pub async fn snapshot(&self, height: u64) -> Result<Option<CertifiedSnapshot>, StoreError> {
        let wanted = if height == 0 { u64::MAX } else { height };
        let query = format!("{SNAPSHOT_COLUMNS} WHERE height <= ? ORDER BY height DESC LIMIT 1");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(wanted));
        let rows = self.db.rows("read snapshots", query).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bad = |problem| self.noted(self.db.corrupt(Finding::at("snapshots", height, problem)));
        let SnapshotRow { certified, state } = SnapshotRow::read(row).map_err(bad)?;
        let CertifiedHeader { header, certificate } = certified;
        if height != 0 && header.height != height {
            return Ok(None);
        }
        let mut handovers = self.db.handovers().await.map_err(|error| self.noted(error))?;
        handovers.retain(|handover| handover.header.height <= header.height);
        Ok(Some(CertifiedSnapshot { header, certificate, handovers, state }))
    }

    /// The newest state at hand of a block before a time, or else the one at the genesis, with the
    /// changes of validators up to it. Without either, the header that the chain here starts from.
    pub(crate) async fn state_before(
        &self,
        genesis: &Genesis,
        time: Timestamp,
    ) -> Result<Result<(State, Vec<Handover>), Header>, StoreError> {
        let query = format!("{SNAPSHOT_COLUMNS} ORDER BY height DESC");
        let query = sqlx::query(sqlx::AssertSqlSafe(query));
        let mut found = None;
        for row in self.db.rows("read snapshots", query).await? {
            let height = sqlx::Row::try_get::<i64, _>(&row, "height").map_or(0, from_sql);
            let bad =
                |problem| self.noted(self.db.corrupt(Finding::at("snapshots", height, problem)));
            let snapshot = SnapshotRow::read(&row).map_err(bad)?;
            if snapshot.certified.header.time < time {
                found = Some(snapshot.state);
                break;
            }
        }
        let state = match (found, self.db.base().await?) {
            (Some(state), _) => state,
            (None, None) => State::at_genesis(genesis),
            (None, Some(base)) => return Ok(Err(base.header)),
        };
        let mut handovers = self.db.handovers().await.map_err(|error| self.noted(error))?;
        handovers.retain(|handover| handover.header.height <= state.height());
        Ok(Ok((state, handovers)))
    }

    /// The header that the chain here starts from with its certificate, and the first height here.
    pub(crate) async fn start(
        &self,
    ) -> Result<(Option<(Header, CommitCertificate)>, u64), StoreError> {
        let base = self.db.base().await?.map(|base| (base.header, base.certificate));
        Ok((base, self.base_height.saturating_add(1)))
    }

    /// The height of the last block here.
    pub(crate) async fn tip(&self) -> Result<u64, StoreError> {
        Ok(check::tip(&self.db).await?.max(self.base_height))
    }

    /// Some headers from a height on, with their blocks as far as those are whole.
    pub(crate) async fn rows_from(&self, height: u64) -> Result<Vec<Shown>, StoreError> {
        let rows = check::slice(&self.db, height).await.map_err(|error| self.noted(error))?;
        let served = |row| match row {
            StoredRow::Whole(BlockRow { committed, results, .. }) => {
                Shown::Whole(ServedBlock { committed, results: Some(results) })
            }
            StoredRow::Pruned(row) => Shown::HeaderOnly(row.block.header, row.certificate),
        };
        Ok(rows.into_iter().map(served).collect())
    }

    /// What was found damaged since the store was opened; empty if nothing was.
    pub fn damage(&self) -> Vec<Finding> {
        self.lock_damage().iter().cloned().collect()
    }

    /// The block at a height; damage is noted.
    pub(crate) async fn block_row(&self, height: u64) -> Result<Option<BlockRow>, StoreError> {
        self.db.block_row(height).await.map_err(|error| self.noted(error))
    }

    pub(super) async fn block(&self, height: u64) -> Result<Block, StoreError> {
        let row = self.block_row(height).await?;
        row.map(|row| row.committed.block).ok_or_else(|| self.db.corrupt(no_row(height)))
    }

    /// Remembers and tells damage, once.
    pub(crate) fn note(&self, error: &StoreError) {
        let Some(finding) = error.finding() else { return };
        if self.lock_damage().insert(finding) {
            tracing::error!(%error, "the ledger is damaged");
        }
    }

    fn noted(&self, error: StoreError) -> StoreError {
        self.note(&error);
        error
    }
}
