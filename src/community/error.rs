//! What can be wrong with founding a community, in sentences that say what to mend.

use std::io;
use std::path::PathBuf;

use ledger::genesis::GenesisFileError;
use mesh::key_file::KeyFileError;

/// Why nothing was founded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommunityError {
    /// There is something where it should be written.
    #[error("{} exists already; name a new directory, nothing is ever overwritten", .0.display())]
    Exists(PathBuf),
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A plan that is none.
    #[error("{}: {problem}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        problem: String,
    },
    /// Something that nobody said.
    #[error(
        "nobody said {what}; give it with {option}, in a plan with --from, or run this at a \
         terminal, which asks"
    )]
    Missing {
        /// What.
        what: &'static str,
        /// How to say it.
        option: &'static str,
    },
    /// A word that does not fit.
    #[error("{what} {found:?}: {problem}")]
    Word {
        /// What it is for.
        what: &'static str,
        /// The word.
        found: String,
        /// Why it does not fit.
        problem: String,
    },
    /// Two validators at one place.
    #[error("validators {one} and {other} would both listen on {address}; give one other ports")]
    SamePlace {
        /// One of them.
        one: String,
        /// The other.
        other: String,
        /// Where.
        address: String,
    },
    /// Values that found no community together.
    #[error("these values do not found a community: {0}")]
    Unsound(String),
    /// The genesis cannot be used.
    #[error(transparent)]
    Genesis(#[from] GenesisFileError),
    /// A key file that cannot be written.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// No randomness for keys.
    #[error("the system gives no randomness for new keys: {0}")]
    Randomness(io::Error),
    /// Whoever was asked went away.
    #[error("the questions were not answered: {0}; nothing was written")]
    Questions(io::Error),
}

impl CommunityError {
    /// A value that does not fit.
    pub(crate) fn unsound(problem: impl std::fmt::Display) -> Self {
        Self::Unsound(problem.to_string())
    }
}
