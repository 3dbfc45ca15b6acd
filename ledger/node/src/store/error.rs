//! What can be wrong with a stored ledger, and what to do about it.

use market::keys::ChainId;
use std::fmt;
use std::path::{Path, PathBuf};

/// What gets a node with a damaged ledger going again. Whatever is done, the record of what was
/// signed stays: an older one would let the validator contradict itself.
const REPAIR: &str = "stop the node and run `hidamari node repair` with its configuration: what \
    is damaged is fetched from other nodes and checked, the damaged file is kept aside, and \
    last-signed stays as it is";

/// Something stored that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// The table of the bad row; `file` if it is the database file as such.
    pub table: &'static str,
    /// The height of the bad row, if it has one.
    pub height: Option<u64>,
    /// What is wrong with it.
    pub problem: String,
}

impl Finding {
    /// A row at a height.
    pub(crate) fn at(table: &'static str, height: u64, problem: impl fmt::Display) -> Self {
        Self { table, height: Some(height), problem: problem.to_string() }
    }

    /// Something without a height.
    pub(crate) fn of(table: &'static str, problem: impl fmt::Display) -> Self {
        Self { table, height: None, problem: problem.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.height {
            Some(height) => write!(f, "table {}, height {height}: {}", self.table, self.problem),
            None => write!(f, "{}: {}", self.table, self.problem),
        }
    }
}

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
    /// Made by a program with other tables.
    #[error(
        "{path} has tables of version {found}, which this program does not know; use the program \
         that made it, or name another data directory"
    )]
    OtherVersion {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// What is stored does not hang together.
    #[error("{path} is damaged: {finding}; {REPAIR}")]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What does not hold.
        finding: Finding,
    },
    /// The file is no database, or a damaged one.
    #[error("cannot {doing}: {path} is damaged: {source}; {REPAIR}")]
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

    /// Whether it is damage, which repairing mends.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged { .. })
    }

    /// The damage as a finding; `None` if it is none.
    pub(crate) fn finding(&self) -> Option<Finding> {
        match self {
            Self::Corrupt { finding, .. } => Some(finding.clone()),
            Self::Damaged { doing, source, .. } => {
                Some(Finding::of("file", format!("cannot {doing}: {source}")))
            }
            _ => None,
        }
    }
}
