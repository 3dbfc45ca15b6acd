//! The dashboard's own database: operators, sessions, used links, and who did what.
//!
//! It lies beside the read model and is not made anew from blocks: nothing in it is on the ledger.

mod audit;
mod operators;
mod sessions;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr as _, SqlitePool};

pub(crate) use audit::{Action, AuditEntry};
pub use operators::{NotAName, OperatorEntry, OperatorName};
pub(crate) use sessions::{Begin, Role, Session, SessionId};

/// The file in the data directory.
const FILE: &str = "sign_in.sqlite";

/// The command line writes while the dashboard runs.
const CONNECTIONS_MAX: u32 = 4;

/// Operators, sessions, used links, audit log.
#[derive(Debug, Clone)]
pub struct Accounts {
    pool: SqlitePool,
    path: PathBuf,
}

/// Why the database of sign-ins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The file cannot be made.
    #[error("the file {path} cannot be made: {source}; let this user write to its directory")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A query failed.
    #[error(
        "the sign-in database {path} cannot be used: {source}; make room on the disk, let this \
         user write the file, or put a backup in its place"
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// The database's own words.
        source: sqlx::Error,
    },
    /// The tables cannot be made.
    #[error("the sign-in database {path} cannot be brought up to date: {source}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: MigrateError,
    },
    /// A stored value that this program never writes.
    #[error("the sign-in database {path} is damaged at {what}; put a backup in its place")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which column.
        what: &'static str,
    },
    /// The system gives no randomness or memory.
    #[error("a secret cannot be made: {0}")]
    Secret(io::Error),
}

impl Accounts {
    /// Opens the database in a data directory, making it, readable by its owner alone, if it is
    /// missing. The dashboard may be running.
    ///
    /// # Errors
    /// [`AccountsError`] names the file and what to do.
    pub async fn open(data_dir: &Path) -> Result<Self, AccountsError> {
        let path = data_dir.join(FILE);
        // The database's other files take over its mode.
        let made = std::fs::create_dir_all(data_dir).and_then(|()| {
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map(drop)
        });
        made.map_err(|source| AccountsError::File { path: path.clone(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // A used link and a revoked session stay so after a power failure.
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "on");
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options);
        let pool =
            pool.await.map_err(|source| AccountsError::Database { path: path.clone(), source })?;
        let accounts = Self { pool, path };
        let migrated = migrations().run(&accounts.pool).await;
        migrated
            .map_err(|source| AccountsError::Migration { path: accounts.path.clone(), source })?;
        Ok(accounts)
    }

    /// Waits for running queries and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The answer to a question, or an error that names this file.
    async fn asked<T>(
        &self,
        question: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, AccountsError> {
        question.await.map_err(|source| AccountsError::Database { path: self.path.clone(), source })
    }

    fn damaged(&self, what: &'static str) -> AccountsError {
        AccountsError::Damaged { path: self.path.clone(), what }
    }
}

fn migrations() -> Migrator {
    let first = include_str!("../../migrations/sign_in_0001_first.sql");
    Migrator::with_migrations(vec![Migration::new(
        1,
        "first".into(),
        MigrationType::Simple,
        first.into_sql_str(),
        false,
    )])
}
