//! What can go wrong with the read model, and what to do about it.

use market::keys::ChainId;
use std::path::{Path, PathBuf};

/// The way out of any damage: nothing is in the read model that the blocks do not say.
const REMAKE: &str = "stop the dashboard, delete read_model.sqlite with its -wal and -shm files, \
    and start again: everything in it is made anew from the blocks that the validators serve";

/// What can go wrong with the read model.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is no database, or a damaged one.
    #[error("the read model {path} is damaged: {source}; {REMAKE}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The database's own words.
        source: sqlx::Error,
    },
    /// A stored value that this program never writes.
    #[error("the read model {path} is damaged: it holds {found:?} as {column}; {REMAKE}")]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Of which column.
        column: &'static str,
        /// The value.
        found: String,
    },
    /// The database cannot be read or written, though nothing says that it is damaged.
    #[error("the read model {path} cannot be used: {source}; {advice}")]
    Database {
        /// The file.
        path: PathBuf,
        /// The database's own words.
        source: sqlx::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The tables cannot be made or brought up to date.
    #[error("the read model {path} cannot be brought up to date: {source}; {REMAKE}")]
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
    /// A number that does not fit a column or a type, which the limits of the ledger exclude.
    #[error("{what} leaves the range that the read model {path} can hold")]
    Range {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// An amount that leaves its range, which the limits of the ledger exclude.
    #[error("a sum over the read model {path} leaves its range: {source}")]
    Overflow {
        /// The file.
        path: PathBuf,
        /// What it is.
        source: market::Overflow,
    },
}

/// Why one question to the read model has no answer, before the file is named
/// ([`StoreError::of`]).
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("{found:?} stands as {column}")]
    BadValue { column: &'static str, found: String },
    #[error("{0} leaves its range")]
    Range(&'static str),
    #[error(transparent)]
    Overflow(#[from] market::Overflow),
}

impl StoreError {
    /// What a failed question means for the operator of this file.
    pub(super) fn of(path: &Path, error: QueryError) -> Self {
        let path = path.to_owned();
        match error {
            QueryError::Database(source) => of_database(path, source),
            QueryError::Migration(sqlx::migrate::MigrateError::Execute(source)) => {
                of_database(path, source)
            }
            QueryError::Migration(source) => Self::Migration { path, source },
            QueryError::BadValue { column, found } => Self::BadValue { path, column, found },
            QueryError::Range(what) => Self::Range { path, what },
            QueryError::Overflow(source) => Self::Overflow { path, source },
        }
    }
}

fn of_database(path: PathBuf, source: sqlx::Error) -> StoreError {
    let is_misfit = matches!(
        source,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
    );
    let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // The low byte is the primary code, the rest says more (https://sqlite.org/rescode.html).
    let code = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    let advice = match code {
        Some(1 | 11 | 26) => return StoreError::Damaged { path, source },
        None if is_misfit => return StoreError::Damaged { path, source },
        Some(5 | 6) => "stop the other program that has it open",
        Some(13) => "make room on the disk",
        Some(3 | 8 | 14) => "let this user read and write the file and its directory",
        _ => "look at the disk and the system's log",
    };
    StoreError::Database { path, source, advice }
}
