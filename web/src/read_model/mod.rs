//! The read model: rows that answer the page's questions, filled from verified blocks alone.
//!
//! Everything in it follows from the stored blocks, so it can be made anew at any time
//! ([`restore`]). Queries keep to SQL that SQLite and Postgres share.

mod error;
pub(crate) mod projection;
pub(crate) mod query;
pub(crate) mod restore;
mod write;

use std::path::{Path, PathBuf};

use ledger::genesis::Genesis;
use market::energy::Energy;
use market::gate::GateIndex;
use market::keys::ChainId;
use market::money::Money;
use market::order::Origin;
use market::price::Price;
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneId;
use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlSafeStr as _};

pub(crate) use error::QueryError;
pub use error::StoreError;

/// The version of the projection. Raise it when the rows of a block change: a read model that an
/// earlier version filled is then made anew from its blocks.
const PROJECTION: i64 = 4;

/// How many connections read and write at once; SQLite has one writer at a time anyway.
const CONNECTIONS_MAX: u32 = 4;

/// The read model of one community.
#[derive(Debug, Clone)]
pub(crate) struct ReadModel {
    pool: SqlitePool,
    path: PathBuf,
    period_length: PeriodLength,
}

impl ReadModel {
    /// Opens the read model in a directory, making it if it is missing.
    ///
    /// # Errors
    /// [`StoreError::OtherCommunity`] if the directory is another community's; others if the file
    /// cannot be used.
    pub(crate) async fn open(dir: &Path, genesis: &Genesis) -> Result<Self, StoreError> {
        let path = dir.join("read_model.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Losing the last blocks with the power costs nothing: peers serve them again.
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options);
        let pool = pool.await.map_err(|source| StoreError::of(&path, source.into()))?;
        let model = Self { pool, path, period_length: genesis.rules.period_length };
        let chain = genesis.chain_id();
        let owner = model.asked(async {
            migrations().run(&model.pool).await?;
            model.owner(&chain).await
        });
        let found = owner.await?;
        if found == chain.to_string() {
            return Ok(model);
        }
        Err(StoreError::OtherCommunity { path: dir.to_owned(), found, expected: chain })
    }

    /// Whose read model it is; a fresh one becomes the given community's.
    async fn owner(&self, chain: &ChainId) -> Result<String, QueryError> {
        let owner: Option<String> =
            sqlx::query_scalar("SELECT chain_id FROM community").fetch_optional(&self.pool).await?;
        if let Some(owner) = owner {
            return Ok(owner);
        }
        sqlx::query("INSERT INTO community (chain_id, projection) VALUES ($1, $2)")
            .bind(chain.to_string())
            .bind(PROJECTION)
            .execute(&self.pool)
            .await?;
        Ok(chain.to_string())
    }

    /// The answer to a question, or an error that names this file and says what to do.
    async fn asked<T>(
        &self,
        question: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, StoreError> {
        question.await.map_err(|error| StoreError::of(&self.path, error))
    }

    /// A delivery period from its column.
    fn period(&self, row: &SqliteRow) -> Result<DeliveryPeriod, QueryError> {
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
    let one = |version, name: &'static str, statements: &'static str| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            statements.into_sql_str(),
            false,
        )
    };
    let first = include_str!("../../migrations/0001_first.sql");
    let zones = include_str!("../../migrations/0002_zones_and_settlement.sql");
    let averages = include_str!("../../migrations/0003_average_prices.sql");
    let proofs = include_str!("../../migrations/0004_search_proofs_and_history.sql");
    Migrator::with_migrations(vec![
        one(1, "first", first),
        one(2, "zones and settlement", zones),
        one(3, "average prices", averages),
        one(4, "search, proofs and history", proofs),
    ])
}

/// A whole number for a column of 64 signed bits.
fn column(value: u64, what: &'static str) -> Result<i64, QueryError> {
    i64::try_from(value).map_err(|_| QueryError::Range(what))
}

/// A whole number that is never negative, from its column.
fn count(row: &SqliteRow, name: &'static str) -> Result<u64, QueryError> {
    let value: i64 = row.try_get(name)?;
    u64::try_from(value).map_err(|_| damaged(name, value))
}

/// An identifier, a hash or a word from its column.
fn parsed<T: std::str::FromStr>(row: &SqliteRow, name: &'static str) -> Result<T, QueryError> {
    let text: String = row.try_get(name)?;
    text.parse().map_err(|_| damaged(name, text))
}

fn energy(row: &SqliteRow, name: &'static str) -> Result<Energy, QueryError> {
    Ok(Energy::from_wh(row.try_get(name)?))
}

fn money(row: &SqliteRow, name: &'static str) -> Result<Money, QueryError> {
    Ok(Money::from_micros(row.try_get(name)?))
}

fn price(row: &SqliteRow, name: &'static str) -> Result<Price, QueryError> {
    Ok(Price::from_micros_per_kwh(row.try_get(name)?))
}

fn price_if_any(row: &SqliteRow, name: &'static str) -> Result<Option<Price>, QueryError> {
    let micros: Option<i64> = row.try_get(name)?;
    Ok(micros.map(Price::from_micros_per_kwh))
}

fn gate(row: &SqliteRow) -> Result<GateIndex, QueryError> {
    let number: i64 = row.try_get("gate")?;
    u8::try_from(number).map(GateIndex).map_err(|_| damaged("gate", number))
}

fn zone(row: &SqliteRow, name: &'static str) -> Result<ZoneId, QueryError> {
    let number: i64 = row.try_get(name)?;
    u16::try_from(number).map(ZoneId).map_err(|_| damaged(name, number))
}

fn origin_if_any(row: &SqliteRow) -> Result<Option<Origin>, QueryError> {
    let word: Option<String> = row.try_get("origin")?;
    match word.as_deref() {
        None => Ok(None),
        Some("solar") => Ok(Some(Origin::Solar)),
        Some("battery") => Ok(Some(Origin::Battery)),
        Some(other) => Err(damaged("origin", other)),
    }
}

fn damaged(column: &'static str, found: impl ToString) -> QueryError {
    QueryError::BadValue { column, found: found.to_string() }
}
