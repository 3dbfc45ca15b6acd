//! The data directory: one dashboard's alone, for as long as it runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "dashboard.lock";

/// Why a data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another dashboard has it.
    #[error(
        "the data directory {path} is in use by another dashboard; stop that one, or give this \
         one a data_dir of its own"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made, or nothing can be written in it.
    #[error("the data directory {path} cannot be used: {source}; choose one that can be written")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A data directory that no other dashboard can have until it is released or dropped. The system
/// lets go of it also when the process is killed.
#[derive(Debug)]
pub(crate) struct DataDir {
    lock: File,
}

impl DataDir {
    /// Takes a directory, made if it is missing, before anything else is written into it.
    pub(crate) fn take(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
        let lock = file.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Lets go of it although somebody may still hold this value. Nothing is written any more.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the data directory is released when the process ends");
        }
    }
}
