//! The outbox's file: its settings, its tables, and whose it is.

use market::keys::ChainId;
use market::member::PartyId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::path::Path;
use std::time::Duration;

use crate::outbox::{FILE_NAME, OutboxError, get_meta, put_meta};

/// The format that this program writes.
const FORMAT: i64 = 1;

const OWNER: &str = "owner";

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (
    hash BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    useless_from INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    committed_height INTEGER
);
CREATE INDEX messages_by_period ON messages (period_start, kind, sequence);
CREATE TABLE sequences (
    kind INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (kind, period_start)
) WITHOUT ROWID;
CREATE TABLE fills (
    kind INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    gate INTEGER NOT NULL,
    filled_wh INTEGER NOT NULL,
    PRIMARY KEY (kind, period_start, gate)
) WITHOUT ROWID;
CREATE TABLE settlements (period_start INTEGER PRIMARY KEY, settlement BLOB NOT NULL);
";

/// Opens the file, makes the tables if it is new, and checks whose it is.
pub(super) async fn open(
    dir: &Path,
    chain: &ChainId,
    party: &PartyId,
) -> Result<SqlitePool, OutboxError> {
    let path = dir.join(FILE_NAME);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(2))
        .statement_cache_capacity(24)
        .command_buffer_size(8)
        .row_buffer_size(8)
        // Small on purpose: a household's machine is.
        .pragma("cache_size", "-256")
        .pragma("journal_size_limit", "1048576");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|source| OutboxError::Open { path: path.clone(), source })?;
    let not_opened = |error| match error {
        OutboxError::Database(source) => OutboxError::Open { path: path.clone(), source },
        other => other,
    };
    match prepare(&pool, chain, party).await {
        Ok(()) => Ok(pool),
        Err(error) => {
            pool.close().await;
            Err(not_opened(error))
        }
    }
}

async fn prepare(pool: &SqlitePool, chain: &ChainId, party: &PartyId) -> Result<(), OutboxError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let format: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    if format > FORMAT {
        return Err(OutboxError::Newer { found: format, known: FORMAT });
    }
    let owner = (*chain, *party);
    if format == 0 {
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
        sqlx::query("PRAGMA user_version = 1").execute(&mut *transaction).await?;
        put_meta(&mut transaction, OWNER, &owner).await?;
    }
    let found: Option<(ChainId, PartyId)> = get_meta(&mut transaction, OWNER).await?;
    let found = found.ok_or(OutboxError::Damaged { what: OWNER })?;
    transaction.commit().await?;
    if found == owner {
        Ok(())
    } else {
        Err(OutboxError::Foreign { chain: found.0, party: found.1 })
    }
}
