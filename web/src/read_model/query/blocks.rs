//! Blocks.

use ledger::block::CommittedBlock;
use ledger::results::{ResultLeaf, results_root};
use market::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::read_model::{QueryError, ReadModel, StoreError, column, count, damaged};

/// A block in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockLine {
    /// Its height.
    pub(crate) height: u64,
    /// Its time.
    pub(crate) time: Timestamp,
    /// Its hash, hexadecimal.
    pub(crate) hash: String,
    /// The round in which it was decided.
    pub(crate) round: u64,
    /// How many transactions it carries.
    pub(crate) transactions_count: u64,
    /// How many results it has.
    pub(crate) results_count: u64,
    /// How many validators signed it.
    pub(crate) signatures_count: u64,
}

impl ReadModel {
    /// Blocks below a height, newest first.
    pub(crate) async fn blocks_below(
        &self,
        height: u64,
        count_max: u64,
    ) -> Result<Vec<BlockLine>, StoreError> {
        self.asked(async {
            let rows = sqlx::query(
                "SELECT height, time_ms, hash, round, transactions_count, results_count, \
                 signatures_count FROM blocks WHERE height < $1 ORDER BY height DESC LIMIT $2",
            )
            .bind(i64::try_from(height).unwrap_or(i64::MAX))
            .bind(column(count_max, "a count")?)
            .fetch_all(&self.pool)
            .await?;
            rows.iter().map(line).collect()
        })
        .await
    }

    /// A block with its certificate; `None` if there is none at this height.
    pub(crate) async fn committed(
        &self,
        height: u64,
    ) -> Result<Option<CommittedBlock>, StoreError> {
        self.asked(async {
            let Ok(height) = i64::try_from(height) else { return Ok(None) };
            let stored: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT committed FROM blocks WHERE height = $1")
                    .bind(height)
                    .fetch_optional(&self.pool)
                    .await?;
            let decode = |bytes: Vec<u8>| {
                borsh::from_slice(&bytes)
                    .map_err(|_| damaged("committed", format!("block {height}")))
            };
            stored.map(decode).transpose()
        })
        .await
    }

    /// A block with its certificate and its results, checked against its results root; `None` if
    /// there is none at this height.
    pub(crate) async fn block_with_results(
        &self,
        height: u64,
    ) -> Result<Option<(CommittedBlock, Vec<ResultLeaf>)>, StoreError> {
        let Some(committed) = self.committed(height).await? else { return Ok(None) };
        self.asked(async {
            let stored: Vec<u8> =
                sqlx::query_scalar("SELECT results FROM blocks WHERE height = $1")
                    .bind(column(height, "a height")?)
                    .fetch_one(&self.pool)
                    .await?;
            let results: Option<Vec<ResultLeaf>> = borsh::from_slice(&stored).ok();
            let root = committed.block.header.results_root;
            match results.filter(|results| results_root(results, &committed.block.salt) == root) {
                Some(results) => Ok(Some((committed, results))),
                None => Err(damaged("results", format!("those of block {height}"))),
            }
        })
        .await
    }
}

fn line(row: &SqliteRow) -> Result<BlockLine, QueryError> {
    Ok(BlockLine {
        height: count(row, "height")?,
        time: Timestamp::from_millis(row.try_get("time_ms")?),
        hash: row.try_get("hash")?,
        round: count(row, "round")?,
        transactions_count: count(row, "transactions_count")?,
        results_count: count(row, "results_count")?,
        signatures_count: count(row, "signatures_count")?,
    })
}
