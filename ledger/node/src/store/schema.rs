//! The tables, and the one connection to them.
//!
//! Every row carries the SHA-256 of all its columns, so that a flipped byte shows wherever it
//! stands; what is certified is checked against its certificate besides. No table has an index
//! beside itself, so there is none that could disagree with it.

use market::keys::ChainId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, SqlitePool};
use std::path::{Path, PathBuf};

use super::error::{Finding, StoreError};
use super::rows::digest;

/// The database in the data directory.
pub(crate) const FILE: &str = "ledger.sqlite";

/// Which tables a store has.
const VERSION: &str = "version";

/// The tables of this program.
const THIS_VERSION: &str = "2";

/// Which community a store belongs to.
const CHAIN: &str = "chain";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    header BLOB NOT NULL,
    block BLOB NOT NULL,
    certificate BLOB NOT NULL,
    results BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS pruned (
    height INTEGER PRIMARY KEY,
    block BLOB NOT NULL,
    certificate BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS erasure_receipts (
    height INTEGER NOT NULL,
    party BLOB NOT NULL,
    receipt BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (height, party)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS handovers (
    height INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    certificate BLOB NOT NULL,
    validators BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS base (
    height INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    certificate BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS snapshots (
    height INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    certificate BLOB NOT NULL,
    state BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS undecided (
    height INTEGER NOT NULL,
    round INTEGER NOT NULL,
    hash BLOB NOT NULL,
    own INTEGER NOT NULL,
    block BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (height, round, hash)
) STRICT, WITHOUT ROWID;
";

/// Refuses a file of no length beside a log that has some: `SQLite` would take it for a new database,
/// throw the log away, and the node would start at genesis without a word.
pub(super) fn refuse_emptied(path: &Path) -> Result<(), StoreError> {
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    let log = PathBuf::from(format!("{}-wal", path.display()));
    if path.exists() && length(path) == 0 && length(&log) > 0 {
        let finding = Finding::of("file", "it is empty, and the log beside it is not");
        return Err(StoreError::Corrupt { path: path.to_owned(), finding });
    }
    Ok(())
}

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Made if it is missing.
    Make,
    /// Only if it is there.
    Existing,
}

/// One connection, held by one process alone.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(super) pool: SqlitePool,
    pub(super) path: PathBuf,
}

impl Database {
    /// Opens a database file.
    pub(crate) async fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(access == Access::Make)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(2))
            .pragma("cache_size", "-2048")
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|source| StoreError::of("open the ledger", path, source))?;
        Ok(Self { pool, path: path.to_owned() })
    }

    /// Makes the tables if they are missing, and checks whose they are.
    pub(crate) async fn prepare(&self, chain: &ChainId) -> Result<(), StoreError> {
        let opening = |source| self.failed("open the ledger", source);
        sqlx::raw_sql(SCHEMA).execute(&self.pool).await.map_err(opening)?;
        match self.meta(VERSION).await? {
            None => self.put_meta(VERSION, THIS_VERSION).await?,
            Some(found) if found == THIS_VERSION => {}
            Some(found) => return Err(StoreError::OtherVersion { path: self.path.clone(), found }),
        }
        match self.meta(CHAIN).await? {
            None => self.put_meta(CHAIN, &chain.to_string()).await,
            Some(found) if found == chain.to_string() => Ok(()),
            Some(found) => {
                let path = self.path.clone();
                Err(StoreError::OtherCommunity { path, found, expected: *chain })
            }
        }
    }

    /// A named value, checked.
    pub(super) async fn meta(&self, key: &'static str) -> Result<Option<String>, StoreError> {
        let rows = sqlx::query("SELECT key, value, digest FROM meta")
            .fetch_all(&self.pool)
            .await
            .map_err(|source| self.failed("read the store's marks", source))?;
        let mut found = None;
        for row in rows {
            let bad = |error: sqlx::Error| self.corrupt(Finding::of("table meta", error));
            let name: String = row.try_get("key").map_err(bad)?;
            let value: String = row.try_get("value").map_err(bad)?;
            let stored: Vec<u8> = row.try_get("digest").map_err(bad)?;
            if stored != digest("meta", &[name.as_bytes(), value.as_bytes()]) {
                let problem = format!("the entry {name:?} is not what was written");
                return Err(self.corrupt(Finding::of("table meta", problem)));
            }
            if name == key {
                found = Some(value);
            }
        }
        Ok(found)
    }

    /// Writes a named value.
    pub(super) async fn put_meta(&self, key: &'static str, value: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO meta (key, value, digest) VALUES (?, ?, ?)")
            .bind(key)
            .bind(value)
            .bind(digest("meta", &[key.as_bytes(), value.as_bytes()]))
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|source| self.failed("write a mark", source))
    }

    /// Rows of one query; `doing` says for what.
    pub(super) async fn rows(
        &self,
        doing: &'static str,
        query: sqlx::query::Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        query.fetch_all(&self.pool).await.map_err(|source| self.failed(doing, source))
    }

    /// Closes it, so that another process may open it, and brings the log into the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) fn failed(&self, doing: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::of(doing, &self.path, source)
    }

    pub(super) fn corrupt(&self, finding: Finding) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), finding }
    }
}

/// `SQLite` counts with signed 64 bits; no chain reaches the end of them.
pub(super) fn to_sql(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

/// A height as `SQLite` counts; a negative one is none.
pub(super) fn from_sql(height: i64) -> u64 {
    u64::try_from(height).unwrap_or_default()
}
