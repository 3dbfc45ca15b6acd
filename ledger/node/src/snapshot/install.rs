//! Starting a ledger from a snapshot.

use ledger::genesis::Genesis;
use market::time::Timestamp;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::VerifiedSnapshot;
use crate::consensus::watch_until;
use crate::store::{
    Access, CertifiedHeader, Database, FILE, SnapshotRow, Store, StoreError, insert_handover,
};

/// Why a ledger was not started from a snapshot. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is a ledger already.
    #[error("{path} is there already; a snapshot starts a ledger only where there is none")]
    LedgerThere {
        /// The database.
        path: PathBuf,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Starts a ledger from a snapshot, in a directory that has none. A validator among these then
/// watches until the chain has gone on without it for certain, `votes_after` in market time: an
/// earlier life of its key may have signed what nobody here remembers.
///
/// # Errors
/// [`InstallError`]; then nothing was changed.
pub async fn install(
    data_dir: &Path,
    genesis: &Genesis,
    snapshot: &VerifiedSnapshot,
    votes_after: Timestamp,
) -> Result<(), InstallError> {
    let path = data_dir.join(FILE);
    if path.exists() {
        return Err(InstallError::LedgerThere { path });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    let draft = path.with_extension("sqlite.snapshot");
    if draft.exists() {
        fs::remove_file(&draft).map_err(failed(&draft))?;
    }
    let content = snapshot.get();
    let (header, certificate) = (content.header.clone(), content.certificate.clone());
    let certified = CertifiedHeader { header, certificate };
    let row = SnapshotRow { certified: certified.clone(), state: content.state.clone() };
    let db = Database::open(&draft, Access::Make).await?;
    let written = async {
        db.prepare(&genesis.chain_id()).await?;
        let mut rows: Vec<_> = content.handovers.iter().map(insert_handover).collect();
        rows.extend([certified.insert(), row.insert()]);
        db.put_all(rows).await
    };
    let written = written.await;
    db.close().await;
    written?;
    Store::check_file(&draft, genesis).await?;
    watch_until::write(data_dir, votes_after).map_err(failed(data_dir))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(failed(&draft))?;
    fs::rename(&draft, &path).map_err(failed(&path))?;
    File::open(data_dir).and_then(|file| file.sync_all()).map_err(failed(data_dir))
}
