//! The read model: rows that answer the page's questions, filled from verified blocks alone.
//!
//! Everything in it follows from the stored blocks, so it can be made anew at any time
//! ([`restore`]). Queries keep to SQL that SQLite and Postgres share.

pub(crate) mod projection;
pub(crate) mod query;
pub(crate) mod restore;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ledger::genesis::Genesis;
use market::energy::Energy;
use market::gate::GateIndex;
use market::keys::ChainId;
use market::money::Money;
use market::order::Origin;
use market::price::Price;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlSafeStr as _};

/// The version of the projection. Raise it when the rows of a block change: a read model that an
/// earlier version filled is then made anew from its blocks.
const PROJECTION: i64 = 1;

/// How many connections read and write at once; SQLite has one writer at a time anyway.
const CONNECTIONS_MAX: u32 = 4;

/// What can go wrong with the read model.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be made.
    #[error("the data directory {path} cannot be used: {source}; choose one that can be written")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The database failed.
    #[error("the read model failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables cannot be made or brought up to date.
    #[error("the read model in {path} cannot be brought up to date: {source}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: sqlx::migrate::MigrateError,
    },
    /// The data directory belongs to another community.
    #[error(
        "the data directory {path} belongs to community {found}, the genesis is of {expected}; \
         name another data directory or another genesis"
    )]
    OtherCommunity {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: ChainId,
    },
    /// A stored value that this program never writes.
    #[error("the read model holds {found:?} as {column}")]
    Damaged {
        /// Of which column.
        column: &'static str,
        /// The value.
        found: String,
    },
    /// A number that does not fit a column or a type.
    #[error("{0} leaves its range")]
    Range(&'static str),
    /// An amount that leaves its range.
    #[error(transparent)]
    Overflow(#[from] market::Overflow),
}

/// The read model of one community.
#[derive(Debug, Clone)]
pub(crate) struct ReadModel {
    pool: SqlitePool,
    period_length: PeriodLength,
}

impl ReadModel {
    /// Opens the read model in a directory, making both if they are missing.
    ///
    /// # Errors
    /// [`StoreError::OtherCommunity`] if the directory is another community's;
    /// [`StoreError::Directory`], [`StoreError::Migration`] or [`StoreError::Database`] if it
    /// cannot be used.
    pub(crate) async fn open(dir: &Path, genesis: &Genesis) -> Result<Self, StoreError> {
        let unusable = |source| StoreError::Directory { path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(unusable)?;
        let path = dir.join("read_model.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Losing the last blocks with the power costs nothing: peers serve them again.
            .synchronous(SqliteSynchronous::Normal);
        let pool =
            SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        let failed = |source| StoreError::Migration { path: path.clone(), source };
        migrations().run(&pool).await.map_err(failed)?;
        let model = Self { pool, period_length: genesis.rules.period_length };
        model.claim(dir, &genesis.chain_id()).await?;
        Ok(model)
    }

    /// Makes sure that the read model is this community's; a fresh one becomes it.
    async fn claim(&self, dir: &Path, chain: &ChainId) -> Result<(), StoreError> {
        let owner: Option<String> =
            sqlx::query_scalar("SELECT chain_id FROM community").fetch_optional(&self.pool).await?;
        let own = chain.to_string();
        match owner {
            Some(found) if found == own => Ok(()),
            Some(found) => {
                Err(StoreError::OtherCommunity { path: dir.to_owned(), found, expected: *chain })
            }
            None => {
                sqlx::query("INSERT INTO community (chain_id, projection) VALUES ($1, $2)")
                    .bind(own)
                    .bind(PROJECTION)
                    .execute(&self.pool)
                    .await?;
                Ok(())
            }
        }
    }

    /// A delivery period from its column.
    fn period(&self, row: &SqliteRow) -> Result<DeliveryPeriod, StoreError> {
        let start_ms: i64 = row.try_get("period_start_ms")?;
        DeliveryPeriod::starting_at(Timestamp::from_millis(start_ms), self.period_length)
            .map_err(|_| damaged("period_start_ms", start_ms))
    }

    /// Waits for running queries and closes the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

fn migrations() -> Migrator {
    let first = include_str!("../../migrations/0001_first.sql").into_sql_str();
    Migrator::with_migrations(vec![Migration::new(
        1,
        "first".into(),
        MigrationType::Simple,
        first,
        false,
    )])
}

/// A whole number for a column of 64 signed bits.
fn column(value: u64, what: &'static str) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Range(what))
}

/// A whole number that is never negative, from its column.
fn count(row: &SqliteRow, name: &'static str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(name)?;
    u64::try_from(value).map_err(|_| damaged(name, value))
}

/// An identifier, a hash or a word from its column.
fn parsed<T: std::str::FromStr>(row: &SqliteRow, name: &'static str) -> Result<T, StoreError> {
    let text: String = row.try_get(name)?;
    text.parse().map_err(|_| damaged(name, text))
}

fn energy(row: &SqliteRow, name: &'static str) -> Result<Energy, StoreError> {
    Ok(Energy::from_wh(row.try_get(name)?))
}

fn money(row: &SqliteRow, name: &'static str) -> Result<Money, StoreError> {
    Ok(Money::from_micros(row.try_get(name)?))
}

fn price(row: &SqliteRow, name: &'static str) -> Result<Price, StoreError> {
    Ok(Price::from_micros_per_kwh(row.try_get(name)?))
}

fn price_if_any(row: &SqliteRow, name: &'static str) -> Result<Option<Price>, StoreError> {
    let micros: Option<i64> = row.try_get(name)?;
    Ok(micros.map(Price::from_micros_per_kwh))
}

fn gate(row: &SqliteRow) -> Result<GateIndex, StoreError> {
    let number: i64 = row.try_get("gate")?;
    u8::try_from(number).map(GateIndex).map_err(|_| damaged("gate", number))
}

fn origin_if_any(row: &SqliteRow) -> Result<Option<Origin>, StoreError> {
    let word: Option<String> = row.try_get("origin")?;
    match word.as_deref() {
        None => Ok(None),
        Some("solar") => Ok(Some(Origin::Solar)),
        Some("battery") => Ok(Some(Origin::Battery)),
        Some(other) => Err(damaged("origin", other)),
    }
}

fn damaged(column: &'static str, found: impl ToString) -> StoreError {
    StoreError::Damaged { column, found: found.to_string() }
}
