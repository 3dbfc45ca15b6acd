//! The state at the start: from a snapshot and the blocks behind it, all of it checked again; or,
//! where something does not hold, from genesis, with all rows made anew.

use ledger::block::CommittedBlock;
use ledger::certificate::CommitCertificate;
use ledger::draft::Executed;
use ledger::follower::{Follower, check_commit};
use ledger::genesis::Genesis;
use ledger::state::State;
use sqlx::Row as _;

use crate::read_model::projection::{BlockRows, project};
use crate::read_model::{PROJECTION, ReadModel, StoreError, column, count};

/// How many blocks lie between two snapshots: what is replayed at most at the start.
pub(crate) const SNAPSHOT_EVERY: u64 = 100;

/// What follows from blocks; emptied before everything is made anew.
const DERIVED: [&str; 15] = [
    "DELETE FROM clearings",
    "DELETE FROM clearing_steps",
    "DELETE FROM clearing_zones",
    "DELETE FROM clearing_edges",
    "DELETE FROM trades",
    "DELETE FROM answers",
    "DELETE FROM declared_origins",
    "DELETE FROM settlements",
    "DELETE FROM settled_periods",
    "DELETE FROM origin_certificates",
    "DELETE FROM postings",
    "DELETE FROM readings",
    "DELETE FROM transactions",
    "DELETE FROM validator_sets",
    "DELETE FROM snapshots",
];

/// The state after the last stored block that holds.
///
/// # Errors
/// [`StoreError`] if the database fails. Damaged rows are no error: they are made anew, and blocks
/// that do not hold are dropped, to be fetched again.
pub(crate) async fn restore(model: &ReadModel, genesis: &Genesis) -> Result<State, StoreError> {
    match resume(model, genesis).await {
        Ok(Some(state)) => return Ok(state),
        Ok(None) => {}
        Err(error @ StoreError::BadValue { .. }) => tracing::warn!(%error, "a row is damaged"),
        Err(error) => return Err(error),
    }
    tracing::warn!("the read model does not hold together; it is made anew from its blocks");
    rebuild(model, genesis).await
}

/// Whether a state is the one that a certified block leaves.
fn is_certified(state: &State, committed: &CommittedBlock) -> bool {
    let header = &committed.block.header;
    check_commit(header, &committed.certificate, state.validators()).is_ok()
        && state.height() == header.height
        && state.tip() == header.hash()
        && state.root() == header.state_root
}

async fn resume(model: &ReadModel, genesis: &Genesis) -> Result<Option<State>, StoreError> {
    if model.projection().await? != PROJECTION {
        return Ok(None);
    }
    let start = match model.newest_snapshot().await? {
        None => State::at_genesis(genesis),
        Some((height, state)) => {
            let state: Option<State> = borsh::from_slice(&state).ok();
            let committed = model.committed(height).await?;
            match (state, committed) {
                (Some(state), Some(committed)) if is_certified(&state, &committed) => state,
                _ => return Ok(None),
            }
        }
    };
    let mut follower = Follower::resume(start);
    while let Some(stored) = model.stored_after(follower.state().height()).await? {
        let Some(committed) = decode(&stored) else { return Ok(None) };
        if let Err(error) = follower.follow(&committed) {
            tracing::warn!(%error, "a stored block does not follow");
            return Ok(None);
        }
    }
    Ok(Some(follower.state().clone()))
}

async fn rebuild(model: &ReadModel, genesis: &Genesis) -> Result<State, StoreError> {
    model.forget_derived().await?;
    let mut follower = Follower::at_genesis(genesis);
    while let Some(stored) = model.stored_after(follower.state().height()).await? {
        let followed = decode(&stored).and_then(|committed| {
            let executed = follower.follow(&committed).ok()?;
            Some((executed, committed.certificate))
        });
        let Some((executed, certificate)) = followed else { break };
        let height = executed.block.header.height;
        let snapshot = (height % SNAPSHOT_EVERY == 0).then_some(&executed.state);
        let rows = model.project(&executed, &certificate)?;
        model.write(&rows, snapshot).await?;
    }
    let height = follower.state().height();
    let dropped = model.finish_anew(height).await?;
    tracing::info!(height, dropped, "the read model was made anew");
    Ok(follower.state().clone())
}

fn decode(stored: &[u8]) -> Option<CommittedBlock> {
    borsh::from_slice(stored).ok()
}

impl ReadModel {
    /// The rows of a block.
    ///
    /// # Errors
    /// [`StoreError::Overflow`] if a sum leaves its range.
    pub(crate) fn project(
        &self,
        executed: &Executed,
        certificate: &CommitCertificate,
    ) -> Result<BlockRows, StoreError> {
        project(executed, certificate).map_err(|error| StoreError::of(&self.path, error.into()))
    }

    async fn projection(&self) -> Result<i64, StoreError> {
        let query = sqlx::query_scalar("SELECT projection FROM community");
        self.asked(async { Ok(query.fetch_one(&self.pool).await?) }).await
    }

    async fn forget_derived(&self) -> Result<(), StoreError> {
        self.asked(async {
            let mut tx = self.pool.begin().await?;
            // Marks the work as unfinished: a process killed in the middle of it starts over.
            sqlx::query("UPDATE community SET projection = 0").execute(&mut *tx).await?;
            for statement in DERIVED {
                sqlx::query(statement).execute(&mut *tx).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Drops the blocks above a height; gives how many.
    async fn finish_anew(&self, height: u64) -> Result<u64, StoreError> {
        self.asked(async {
            let dropped = sqlx::query("DELETE FROM blocks WHERE height > $1")
                .bind(column(height, "a height")?)
                .execute(&self.pool)
                .await?
                .rows_affected();
            sqlx::query("UPDATE community SET projection = $1")
                .bind(PROJECTION)
                .execute(&self.pool)
                .await?;
            Ok(dropped)
        })
        .await
    }

    async fn newest_snapshot(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let query = sqlx::query("SELECT height, state FROM snapshots ORDER BY height DESC LIMIT 1");
        self.asked(async {
            let row = query.fetch_optional(&self.pool).await?;
            row.map(|row| Ok((count(&row, "height")?, row.try_get("state")?))).transpose()
        })
        .await
    }

    /// The bytes of the first block above a height. A gap is seen when the block does not follow.
    async fn stored_after(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let next = "SELECT committed FROM blocks WHERE height > $1 ORDER BY height LIMIT 1";
        self.asked(async {
            Ok(sqlx::query_scalar(next)
                .bind(column(height, "a height")?)
                .fetch_optional(&self.pool)
                .await?)
        })
        .await
    }
}
