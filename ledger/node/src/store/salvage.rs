//! Reading a database of which some parts cannot be read, and filling a fresh one.

use ledger::genesis::Genesis;
use ledger::handover::Handover;
use ledger::state::State;
use sqlx::Row as _;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use std::path::Path;

use super::Store;
use super::check;
use super::check::Earlier;
use super::error::{Finding, StoreError};
use super::rows::{
    SNAPSHOT_COLUMNS, SnapshotRow, UNDECIDED_COLUMNS, insert_undecided, read_handover,
    read_undecided,
};
use super::schema::{Access, Database, from_sql, to_sql};
use crate::consensus::Undecided;

/// How many heights without a readable row are looked at before the chain counts as ended.
const LOOK_AHEAD: u64 = 1024;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

impl Store {
    /// Checks a store in full, every signature included, and closes it; returns its height.
    pub(crate) async fn check_file(path: &Path, genesis: &Genesis) -> Result<u64, StoreError> {
        let db = Database::open(path, Access::Existing).await?;
        let checked = Self::checked(db.clone(), genesis, Earlier::CountsNot).await;
        db.close().await;
        checked.map(|(_, state)| state.height())
    }
}

impl Database {
    /// Rows of a table one by one by their place, as far as they can be read.
    async fn each(&self, columns: &str) -> (Vec<SqliteRow>, Option<Finding>) {
        let query = sqlx::query(sqlx::AssertSqlSafe(columns.to_owned()));
        match self.rows("read the damaged ledger", query).await {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), error.finding()),
        }
    }

    /// The changes of validators that can be read.
    pub(crate) async fn readable_handovers(&self) -> Vec<Handover> {
        let columns = "SELECT height, header, certificate, validators, digest FROM handovers";
        let (rows, _) = self.each(columns).await;
        let mut read: Vec<_> = rows.iter().filter_map(|row| read_handover(row).ok()).collect();
        read.sort_by_key(|handover| handover.header.height);
        read
    }

    /// The snapshots that hold, and what is wrong with the others.
    pub(crate) async fn readable_snapshots(&self) -> (Vec<SnapshotRow>, Vec<Finding>) {
        let (rows, finding) = self.each(SNAPSHOT_COLUMNS).await;
        split(&rows, finding, "snapshots", SnapshotRow::read)
    }

    /// The undecided bodies that hold, and what is wrong with the others.
    pub(crate) async fn readable_undecided(&self) -> (Vec<Undecided>, Vec<Finding>) {
        let (rows, finding) = self.each(UNDECIDED_COLUMNS).await;
        split(&rows, finding, "undecided", read_undecided)
    }

    /// The lowest height of a block, as far as that can be read; 0 if none can.
    pub(crate) async fn lowest(&self) -> u64 {
        let mut lowest = u64::MAX;
        for query in ["SELECT min(height) FROM blocks", "SELECT min(height) FROM pruned"] {
            let found = sqlx::query_scalar::<_, Option<i64>>(query).fetch_one(&self.pool).await;
            lowest = found.ok().flatten().map_or(lowest, |height| lowest.min(from_sql(height)));
        }
        if lowest == u64::MAX { 0 } else { lowest }
    }

    /// The highest height of a block, as far as that can be found out.
    pub(crate) async fn highest(&self) -> u64 {
        if let Ok(tip) = check::tip(self).await {
            return tip;
        }
        // The way to the last row is broken; others may lead to rows before it.
        let mut last = self.lowest().await;
        let mut height = last;
        while height.saturating_sub(last) < LOOK_AHEAD {
            height = height.saturating_add(1);
            if matches!(self.stored_row(height).await, Ok(Some(_))) {
                last = height;
            }
        }
        last
    }

    /// The newest state at or before a height.
    pub(crate) async fn snapshot_before(&self, height: u64) -> Result<Option<State>, StoreError> {
        let query = format!("{SNAPSHOT_COLUMNS} WHERE height <= ? ORDER BY height DESC LIMIT 1");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(to_sql(height));
        let rows = self.rows("read snapshots", query).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = SnapshotRow::read(row);
        let bad = |problem| self.corrupt(Finding::at("snapshots", height, problem));
        read.map(|snapshot| Some(snapshot.state)).map_err(bad)
    }

    /// Whether there is a snapshot at a height.
    pub(crate) async fn has_snapshot(&self, height: u64) -> Result<bool, StoreError> {
        let query = sqlx::query("SELECT height FROM snapshots WHERE height = ?");
        let rows = self.rows("read snapshots", query.bind(to_sql(height))).await?;
        Ok(!rows.is_empty())
    }

    /// Writes one row.
    pub(crate) async fn put(&self, row: Query<'static>) -> Result<(), StoreError> {
        self.put_all(vec![row]).await
    }

    /// Writes rows in one transaction.
    pub(crate) async fn put_all(&self, rows: Vec<Query<'static>>) -> Result<(), StoreError> {
        let written = async {
            let mut transaction = self.pool.begin().await?;
            for row in rows {
                row.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        };
        written.await.map_err(|source| self.failed("write the ledger", source))
    }

    /// Writes a body that is not decided yet.
    pub(crate) async fn put_body(&self, body: &Undecided) -> Result<(), StoreError> {
        self.put(insert_undecided(body)).await
    }
}

fn split<T>(
    rows: &[SqliteRow],
    finding: Option<Finding>,
    table: &'static str,
    read: fn(&SqliteRow) -> Result<T, String>,
) -> (Vec<T>, Vec<Finding>) {
    let (mut sound, mut findings) = (Vec::new(), Vec::from_iter(finding));
    for row in rows {
        match read(row) {
            Ok(value) => sound.push(value),
            Err(problem) => {
                let height = row.try_get::<i64, _>("height").map_or(0, from_sql);
                findings.push(Finding::at(table, height, problem));
            }
        }
    }
    (sound, findings)
}
