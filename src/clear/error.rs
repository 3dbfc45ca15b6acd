//! What can be wrong with a run of `hidamari clear`, in sentences that say what to mend.

use std::fmt;
use std::io;

use market::book::NotABook;
use market::clearing::ClearingError;
use market::zone::ZoneError;

/// How many mistakes in the input are told at once.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Why nothing was cleared, or not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClearError {
    /// A file that cannot be read.
    #[error("{file}: cannot be read: {error}")]
    Unreadable {
        /// Which.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// Both files from standard input.
    #[error("--orders and --zones cannot both be read from standard input; name a file for one")]
    OneStandardInput,
    /// Mistakes in the files.
    #[error(transparent)]
    Input(#[from] Problems),
    /// A mechanism for one zone over a grid with charges or limits.
    #[error(
        "--mechanism {mechanism} knows one zone only, but the edge above zone {zone:?} has a \
         charge or a capacity; use --mechanism zonal, or leave them empty"
    )]
    EdgeBinds {
        /// As on the command line.
        mechanism: &'static str,
        /// The zone below the edge.
        zone: String,
    },
    /// The rows do not form a grid, though each was found to be right.
    #[error("the zones do not form a tree: {0}")]
    NotATree(#[from] ZoneError),
    /// The rows do not form a book, though each was found to be right.
    #[error("the orders do not form a book: {0}")]
    NotABook(#[from] NotABook),
    /// Numbers too large to be added up, and the like.
    #[error("these orders cannot be cleared: {0}; their prices or energies are too large together")]
    Clearing(#[from] ClearingError),
    /// More than fits into memory.
    #[error("these orders cannot be cleared: {0}; clear parts of the grid, or merge zones")]
    TooDeep(ClearingError),
    /// An amount left its range.
    #[error("these orders cannot be cleared: {0}; their prices or energies are too large together")]
    Overflow(#[from] market::Overflow),
    /// A result that does not add up.
    #[error("the result does not add up, which is a defect of this program: {what}")]
    DoesNotAddUp {
        /// Which sum.
        what: String,
    },
    /// The output would replace what it was computed from.
    #[error("--out {file} is one of the input files; name another file")]
    OutIsInput {
        /// Which.
        file: String,
    },
    /// Output that cannot be written.
    #[error("{file}: cannot be written: {error}")]
    Unwritable {
        /// Where to.
        file: String,
        /// What the system says.
        error: io::Error,
    },
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The file as it was named.
    pub(crate) file: String,
    /// The line where the row begins, from 1.
    pub(crate) line: u64,
    /// Where in the row, if it is not the row itself.
    pub(crate) column: Option<Column>,
    /// What stands there.
    pub(crate) found: String,
    /// What should.
    pub(crate) expected: String,
}

/// A column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// From 1.
    pub(crate) number: usize,
    /// As in the header; empty if the header was not read.
    pub(crate) name: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, found, expected } = self;
        write!(f, "{file}, line {line}, ")?;
        match column {
            Some(Column { number, name: "" }) => write!(f, "column {number}: ")?,
            Some(Column { number, name }) => write!(f, "column {number} ({name}): ")?,
            None => {}
        }
        write!(f, "found {found}, expected {expected}")
    }
}

/// All mistakes that were found, up to a number at which reading stops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl std::error::Error for Problems {}

impl Problems {
    /// Notes a mistake, unless there are enough.
    pub(crate) fn add(&mut self, problem: Problem) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    /// Whether there are as many as are told at once.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= PROBLEMS_MAX
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// All right, or all mistakes.
    pub(crate) fn none(self) -> Result<(), ClearError> {
        if self.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        let many = if self.is_full() { "the first " } else { "" };
        write!(f, "{many}{} mistakes in the input:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
