//! What can be wrong with a stored ledger, and what to do about it.

use market::keys::ChainId;
use std::path::{Path, PathBuf};

/// What gets a node with a damaged ledger going again. Whatever is done, the record of what was
/// signed stays: an older one would let the validator contradict itself.
const RESYNC: &str = "stop the node, move ledger.sqlite with its -wal and -shm files out of the \
    directory, leave last-signed where it is, and start again: the node fetches every block from \
    the other validators (a backup of those ledger files does as well)";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error(
        "{path} is in use by another process; two nodes must never share a data directory, so stop \
         the other one"
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Another community's data.
    #[error(
        "{path} holds the chain of community {found}, not of {expected}; name another data \
         directory, or the genesis it was made with"
    )]
    OtherCommunity {
        /// The database.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose was expected.
        expected: ChainId,
    },
    /// What is stored does not hang together.
    #[error("{path} is damaged: table {table}, height {height}: {problem}; {RESYNC}")]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The table of the bad row.
        table: &'static str,
        /// The height of the bad row.
        height: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is no database, or a damaged one.
    #[error("cannot {doing}: {path} is damaged: {source}; {RESYNC}")]
    Damaged {
        /// What failed.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// `SQLite`'s own words.
        source: sqlx::Error,
    },
    /// The database cannot be read or written, though nothing says that it is damaged.
    #[error("cannot {doing} in {path}: {source}; {advice}, then start again")]
    Database {
        /// What failed.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// `SQLite`'s own words.
        source: sqlx::Error,
        /// What to do before the next start.
        advice: &'static str,
    },
}

impl StoreError {
    /// What a failure of the database means for the operator.
    pub(super) fn of(doing: &'static str, path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // The low byte is the primary code, the rest says more (https://sqlite.org/rescode.html).
        let code = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
        let advice = match code {
            Some(5 | 6) => return Self::InUse { path },
            Some(1 | 11 | 26) => return Self::Damaged { doing, path, source },
            Some(13) => "make room on the disk",
            Some(3 | 8 | 14) => "let this user read and write the file and its directory",
            _ => "look at the disk and the system's log",
        };
        Self::Database { doing, path, source, advice }
    }
}
