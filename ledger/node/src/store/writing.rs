//! What is written while the node runs. Each call is one transaction, durable when it returns.

use ledger::block::{Block, CommittedBlock};
use ledger::certificate::CommitCertificate;
use ledger::handover::Handover;
use ledger::results::BlockResults;
use ledger::state::State;

use super::Store;
use super::error::StoreError;
use super::rows::{BlockRow, CertifiedHeader, SnapshotRow, insert_handover, insert_undecided};
use super::schema::to_sql;
use crate::consensus::Undecided;
use crate::failpoint::{Place, reach};

/// A snapshot of the state is kept at every multiple of this height.
pub(crate) const SNAPSHOT_EVERY: u64 = 64;

impl Store {
    /// Makes a decided block durable, with everything that belongs to it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing was stored.
    pub async fn commit(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        results: &BlockResults,
        state: &State,
    ) -> Result<(), StoreError> {
        let committed = CommittedBlock { block: block.clone(), certificate: certificate.clone() };
        let row = BlockRow::new(committed, results.leaves());
        let handover = self.handover(block, certificate, state);
        let written = self.write_block(&row, handover.as_ref(), state).await;
        written.map_err(|source| self.db.failed("commit a block", source))?;
        if let Some(handover) = handover
            && let Err(problem) = self.lock_sets().hand_over(&handover)
        {
            // Consensus has verified the certificate, and the block was applied.
            tracing::error!(problem, "a change of validators does not follow");
        }
        Ok(())
    }

    /// The change of validators that a block brings, if it does.
    fn handover(
        &self,
        block: &Block,
        certificate: &CommitCertificate,
        state: &State,
    ) -> Option<Handover> {
        let header = &block.header;
        let sets = self.lock_sets();
        Handover::at(header, certificate, sets.at(header.height), state.validators())
    }

    async fn write_block(
        &self,
        row: &BlockRow,
        handover: Option<&Handover>,
        state: &State,
    ) -> Result<(), sqlx::Error> {
        let height = row.header().height;
        let mut transaction = self.db.pool.begin().await?;
        row.insert().execute(&mut *transaction).await?;
        if let Some(handover) = handover {
            insert_handover(handover).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM undecided WHERE height <= ?")
            .bind(to_sql(height))
            .execute(&mut *transaction)
            .await?;
        if height.is_multiple_of(SNAPSHOT_EVERY) {
            let CommittedBlock { block, certificate } = &row.committed;
            let (header, certificate) = (block.header.clone(), certificate.clone());
            let certified = CertifiedHeader { header, certificate };
            let snapshot = SnapshotRow { certified, state: state.clone() };
            snapshot.insert().execute(&mut *transaction).await?;
            // The one before stays: whoever fetches it now may finish.
            sqlx::query("DELETE FROM snapshots WHERE height < ?")
                .bind(to_sql(height.saturating_sub(SNAPSHOT_EVERY)))
                .execute(&mut *transaction)
                .await?;
        }
        reach(Place::BeforeCommit);
        transaction.commit().await?;
        reach(Place::AfterCommit);
        Ok(())
    }

    /// Makes an undecided body durable.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn put_undecided(&self, body: &Undecided) -> Result<(), StoreError> {
        reach(Place::BeforeUndecided);
        insert_undecided(body)
            .execute(&self.db.pool)
            .await
            .map_err(|source| self.db.failed("store a proposed block", source))?;
        reach(Place::AfterUndecided);
        Ok(())
    }
}
