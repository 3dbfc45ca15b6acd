//! Starting a ledger from a backup.

use ledger::genesis::Genesis;
use market::time::Timestamp;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::consensus::watch_until;
use crate::data_dir::{DataDir, DataDirError, LOCK_FILE};
use crate::store::{FILE, Store, StoreError};

/// Why nothing was restored. The data directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The data directory cannot be had.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The data directory is not empty.
    #[error(
        "{path} is not empty: it holds {found}; restore into an empty directory (to mend a damaged \
         ledger use `hidamari node repair`)"
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// The first thing in it.
        found: String,
    },
    /// The backup does not hold.
    #[error("the backup cannot be used: {0}")]
    Backup(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("cannot copy to {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Copies a backup into an empty data directory after checking all of it, and returns its height.
/// A validator then watches until the others have committed a block of a later market time than
/// `votes_after`: its key may have signed since the backup what nobody here remembers.
///
/// # Errors
/// [`RestoreError`]; then nothing was changed.
pub async fn restore(
    data_dir: &Path,
    genesis: &Genesis,
    from: &Path,
    votes_after: Timestamp,
) -> Result<u64, RestoreError> {
    let _held = DataDir::take(data_dir)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Io { path, source }
    };
    for entry in fs::read_dir(data_dir).map_err(failed(data_dir))? {
        let name = entry.map_err(failed(data_dir))?.file_name();
        if name != LOCK_FILE {
            let (path, found) = (data_dir.to_owned(), name.to_string_lossy().into_owned());
            return Err(RestoreError::NotEmpty { path, found });
        }
    }
    let path = data_dir.join(FILE);
    let draft = path.with_extension("sqlite.restore");
    let checked = async {
        fs::copy(from, &draft).map_err(failed(from))?;
        let height = Store::check_file(&draft, genesis).await?;
        File::open(&draft).and_then(|file| file.sync_all()).map_err(failed(&draft))?;
        watch_until::write(data_dir, votes_after).map_err(failed(data_dir))?;
        fs::rename(&draft, &path).map_err(failed(&path))?;
        File::open(data_dir).and_then(|file| file.sync_all()).map_err(failed(data_dir))?;
        Ok(height)
    };
    let restored = checked.await;
    if restored.is_err() {
        for suffix in ["", "-wal", "-shm"] {
            // What is left of the attempt says nothing; the error is the one that counts.
            let _ = fs::remove_file(format!("{}{suffix}", draft.display()));
        }
    }
    restored
}
