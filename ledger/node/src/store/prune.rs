//! Forgetting the bodies of old blocks.
//!
//! A pruned block stands in a table of its own: its header and certificate as they were, and of
//! each leaf its bytes with their salt, or the hash alone. So the hash chain and every root still
//! verify. Blocks that a restart may need to compute the state are never pruned.

use ledger::block::Header;
use ledger::certificate::CommitCertificate;
use ledger::pruned::PrunedBlock;
use ledger::state::State;
use market::time::{DeliveryPeriod, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use std::sync::atomic::Ordering;

use super::Store;
use super::check;
use super::erasures::ErasureReceipt;
use super::error::{Finding, StoreError};
use super::rows::{BlockRow, blob, bytes, decode, digest, same_digest};
use super::schema::{Database, from_sql, to_sql};
use super::writing::SNAPSHOT_EVERY;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A pruned block as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct PrunedRow {
    pub(crate) block: PrunedBlock,
    pub(crate) certificate: CommitCertificate,
}

/// What a query for [`PrunedRow::read`] selects.
pub(super) const PRUNED_COLUMNS: &str = "SELECT height, block, certificate, digest FROM pruned";

impl PrunedRow {
    /// A whole row without its block's salt.
    pub(super) fn of(row: BlockRow) -> Self {
        let block = PrunedBlock::of(&row.committed.block, &row.results);
        Self { block, certificate: row.committed.certificate }
    }

    /// Reads a row: its bytes are those written, its header covers its leaves, and its certificate
    /// is for that header.
    pub(super) fn read(row: &SqliteRow) -> Result<Self, String> {
        let height: i64 = row.try_get("height").map_err(|error| error.to_string())?;
        let (block, certificate) = (blob(row, "block")?, blob(row, "certificate")?);
        let columns: [&[u8]; 3] = [&height.to_be_bytes(), &block, &certificate];
        same_digest(row, &digest("pruned", &columns))?;
        let block =
            PrunedBlock::from_bytes(&block).map_err(|error| format!("its body: {error}"))?;
        let certificate: CommitCertificate = decode("certificate", &certificate)?;
        let header = &block.header;
        if to_sql(header.height) != height {
            return Err("its header is another height's".to_owned());
        }
        if certificate.block != header.hash() || certificate.height != header.height {
            return Err("its certificate is another block's".to_owned());
        }
        Ok(Self { block, certificate })
    }

    pub(super) fn insert(&self) -> Query<'static> {
        let height = to_sql(self.block.header.height);
        let (block, certificate) = (self.block.to_bytes(), bytes(&self.certificate));
        let digest = digest("pruned", &[&height.to_be_bytes(), &block, &certificate]);
        sqlx::query(
            "INSERT OR REPLACE INTO pruned (height, block, certificate, digest) \
             VALUES (?, ?, ?, ?)",
        )
        .bind(height)
        .bind(block)
        .bind(certificate)
        .bind(digest)
    }
}

/// A block as it is stored, whole or pruned.
#[derive(Debug, Clone)]
pub(crate) enum StoredRow {
    /// All of it.
    Whole(BlockRow),
    /// What was left of it.
    Pruned(PrunedRow),
}

impl StoredRow {
    pub(crate) fn header(&self) -> &Header {
        match self {
            Self::Whole(row) => row.header(),
            Self::Pruned(row) => &row.block.header,
        }
    }

    pub(crate) fn certificate(&self) -> &CommitCertificate {
        match self {
            Self::Whole(row) => &row.committed.certificate,
            Self::Pruned(row) => &row.certificate,
        }
    }

    pub(crate) fn insert(&self) -> Query<'static> {
        match self {
            Self::Whole(row) => row.insert(),
            Self::Pruned(row) => row.insert(),
        }
    }
}

impl Store {
    /// Forgets the bodies of the oldest blocks: those older than `before`, all of whose delivery
    /// periods are final in `state`, up to the first that must stay. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]; what was forgotten until then stays so.
    pub async fn prune(&self, state: &State, before: Timestamp) -> Result<u64, StoreError> {
        let _alone = self.forgetting.lock().await;
        let mut pruned_count = 0_u64;
        let last = self.last_prunable().await?;
        loop {
            let Some(height) = self.db.lowest_whole().await?.filter(|height| *height <= last)
            else {
                break;
            };
            let rows = check::slice(&self.db, height).await?;
            let mut due = Vec::new();
            for row in rows {
                let StoredRow::Whole(row) = row else { continue };
                let old = row.header().time < before && row.header().height <= last;
                if !old || !periods(&row).all(|period| state.is_final(period)) {
                    break;
                }
                let mut row = PrunedRow::of(row);
                row.block.erase_all();
                due.push(row);
            }
            if due.is_empty() {
                break;
            }
            let count = u64::try_from(due.len()).unwrap_or(u64::MAX);
            self.replace(&due, None).await?;
            pruned_count = pruned_count.saturating_add(count);
        }
        if pruned_count > 0 {
            self.db.give_back_pages().await?;
        }
        Ok(pruned_count)
    }

    /// The highest height that no restart needs: behind it lie two snapshots.
    pub(super) async fn last_prunable(&self) -> Result<u64, StoreError> {
        let newest = sqlx::query_scalar::<_, Option<i64>>("SELECT max(height) FROM snapshots");
        let newest = newest.fetch_one(&self.db.pool).await;
        let newest = newest.map_err(|source| self.db.failed("read snapshots", source))?;
        let newest = newest.map_or(0, from_sql);
        Ok(newest.saturating_sub(SNAPSHOT_EVERY).saturating_sub(1))
    }

    /// Puts pruned blocks in the place of what was there, in one transaction, with a receipt for it.
    pub(super) async fn replace(
        &self,
        rows: &[PrunedRow],
        receipt: Option<&ErasureReceipt>,
    ) -> Result<(), StoreError> {
        let Some(highest) = rows.iter().map(|row| row.block.header.height).max() else {
            return Ok(());
        };
        let mut statements = Vec::new();
        for row in rows {
            let height = to_sql(row.block.header.height);
            let forgotten = sqlx::query("DELETE FROM blocks WHERE height = ?").bind(height);
            statements.extend([forgotten, row.insert()]);
        }
        statements.extend(receipt.map(ErasureReceipt::insert));
        self.db.put_all(statements).await?;
        self.whole_from.fetch_max(highest.saturating_add(1), Ordering::Relaxed);
        Ok(())
    }
}

impl Database {
    async fn lowest_whole(&self) -> Result<Option<u64>, StoreError> {
        let query = sqlx::query_scalar::<_, Option<i64>>("SELECT min(height) FROM blocks");
        let lowest = query.fetch_one(&self.pool).await;
        Ok(lowest.map_err(|source| self.failed("read blocks", source))?.map(from_sql))
    }

    /// The highest pruned height; 0 if none is.
    pub(super) async fn highest_pruned(&self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar::<_, Option<i64>>("SELECT max(height) FROM pruned");
        let highest = query.fetch_one(&self.pool).await;
        let highest = highest.map_err(|source| self.failed("read pruned blocks", source))?;
        Ok(highest.map_or(0, from_sql))
    }

    /// Pruned blocks from a height on.
    pub(super) async fn pruned_rows(
        &self,
        connection: &mut SqliteConnection,
        from: u64,
        count: u64,
    ) -> Result<Vec<PrunedRow>, StoreError> {
        let query = format!("{PRUNED_COLUMNS} WHERE height >= ? ORDER BY height LIMIT ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(from)).bind(to_sql(count));
        let rows = query.fetch_all(connection).await;
        let rows = rows.map_err(|source| self.failed("read pruned blocks", source))?;
        let read = |row| {
            PrunedRow::read(row).map_err(|problem| {
                let height = row.try_get::<i64, _>("height").map_or(from, from_sql);
                self.corrupt(Finding::at("pruned", height, problem))
            })
        };
        rows.iter().map(read).collect()
    }

    /// Makes what is read next come from the disk, not from memory: so damage there is seen.
    pub(super) async fn forget_cached_pages(&self) -> Result<(), StoreError> {
        let forgotten = sqlx::raw_sql("PRAGMA shrink_memory").execute(&self.pool).await;
        forgotten.map(drop).map_err(|source| self.failed("forget cached pages", source))
    }

    /// Empties the log, in which forgotten bytes still stand. The pages in the file itself were
    /// overwritten with zeros (`secure_delete`).
    pub(super) async fn give_back_pages(&self) -> Result<(), StoreError> {
        let emptied = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await;
        emptied.map(drop).map_err(|source| self.failed("empty the log", source))
    }
}

/// The delivery periods that a block is about.
fn periods(row: &BlockRow) -> impl Iterator<Item = DeliveryPeriod> {
    let said = row.committed.block.transactions.iter();
    let said = said.filter_map(|transaction| transaction.subject().0.period());
    said.chain(row.results.iter().map(ledger::results::ResultLeaf::period))
}
