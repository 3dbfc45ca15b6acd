//! A snapshot as a file.

use ledger::genesis::Genesis;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{BadSnapshot, CertifiedSnapshot, SNAPSHOT_BYTES_MAX, VerifiedSnapshot};
use crate::store::{Store, StoreError};

/// Why a snapshot was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// The chain is too short.
    #[error("the ledger has no snapshot before height 64; try again then")]
    None,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read or written, or is there already.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// What it holds is not used.
    #[error("{path}: {source}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadSnapshot,
    },
}

/// Writes the newest snapshot of a store into a new file; returns its height.
///
/// # Errors
/// [`SnapshotFileError`]; then there is no file.
pub async fn write_snapshot(store: &Store, to: &Path) -> Result<u64, SnapshotFileError> {
    let snapshot = store.snapshot(0).await?.ok_or(SnapshotFileError::None)?;
    let failed = |source| SnapshotFileError::Io { path: to.to_owned(), source };
    let mut file = File::create_new(to).map_err(failed)?;
    let written = file.write_all(&snapshot.to_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // A part of a snapshot is none.
        let _ = fs::remove_file(to);
    }
    written.map_err(failed)?;
    Ok(snapshot.header.height)
}

/// Reads a snapshot from a file and verifies it from the genesis on.
///
/// # Errors
/// [`SnapshotFileError`] names the file and what does not hold.
pub fn read_snapshot(
    from: &Path,
    genesis: &Genesis,
) -> Result<VerifiedSnapshot, SnapshotFileError> {
    let failed = |source| SnapshotFileError::Io { path: from.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(from).map_err(failed)?;
    file.take(SNAPSHOT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    let snapshot = CertifiedSnapshot::from_bytes(&bytes);
    let verified = snapshot.and_then(|snapshot| snapshot.verify(genesis));
    verified.map_err(|source| SnapshotFileError::Bad { path: from.to_owned(), source })
}
