//! A copy of the store, made while the node goes on.
//!
//! Blocks never change once they are stored, so they are copied slice by slice between the node's
//! own writes, each checked on the way: a damaged ledger gives no backup. What the validator has
//! signed is not part of it: an older record of that is worse than none.

use ledger::genesis::Genesis;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Store;
use super::check::{self, Walk};
use super::erasures::ErasureReceipt;
use super::error::{Finding, StoreError};
use super::prune::StoredRow;
use super::rows::{CertifiedHeader, SnapshotRow, insert_handover};
use super::schema::{Access, Database};

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BackupProgress {
    /// The last height that was copied.
    pub height: u64,
    /// The last one that will be.
    pub tip: u64,
}

/// Why there is no backup. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{path} is there already; name a file that is not")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The store cannot be read, or does not hold, or the copy cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be put in place.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl Store {
    /// Writes a copy of everything that is committed into a new file, which only this user may
    /// read; returns its height.
    ///
    /// # Errors
    /// [`BackupError`]; then there is no file.
    pub async fn backup(
        &self,
        genesis: &Genesis,
        to: &Path,
        mut tell: impl FnMut(BackupProgress) + Send,
    ) -> Result<u64, BackupError> {
        if to.exists() {
            return Err(BackupError::Exists { path: to.to_owned() });
        }
        let failed = |source| BackupError::Io { path: to.to_owned(), source };
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        // Made before the database, so that nobody else may read it at any time.
        let empty = File::create(&part).map_err(failed)?;
        empty.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        let copy = Database::open(&part, Access::Make).await?;
        let copied = self.copy(genesis, &copy, &mut tell).await;
        copy.close().await;
        let placed = copied.map_err(BackupError::from).and_then(|height| {
            empty.sync_all().map_err(failed)?;
            fs::rename(&part, to).map_err(failed)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or_else(|| Path::new(".")));
            folder.and_then(|folder| folder.sync_all()).map_err(failed)?;
            Ok(height)
        });
        if placed.is_err() {
            // What is left of the attempt says nothing; the error is the one that counts.
            let _ = fs::remove_file(&part);
        }
        placed
    }

    async fn copy(
        &self,
        genesis: &Genesis,
        copy: &Database,
        tell: &mut (dyn FnMut(BackupProgress) + Send),
    ) -> Result<u64, StoreError> {
        copy.prepare(&genesis.chain_id()).await?;
        // The snapshot first: the node keeps only the newest, but every block.
        let tip = check::tip(&self.db).await?;
        if let Some(snapshot) = self.snapshot(0).await? {
            let (header, certificate) = (snapshot.header, snapshot.certificate);
            let certified = CertifiedHeader { header, certificate };
            let row = SnapshotRow { certified, state: snapshot.state };
            if row.certified.header.height <= tip {
                copy.put(row.insert()).await?;
            }
        }
        let mut handovers = self.db.handovers().await?;
        handovers.retain(|handover| handover.header.height <= tip);
        copy.put_all(handovers.iter().map(insert_handover).collect()).await?;
        let erasures = self.db.erasures(&genesis.chain_id()).await?;
        copy.put_all(erasures.iter().map(ErasureReceipt::insert).collect()).await?;
        let base = self.db.base().await?;
        copy.put_all(base.iter().map(CertifiedHeader::insert).collect()).await?;
        let sets = check::sets(&self.db, genesis).await?;
        let mut walk = Walk::new(genesis.chain_id(), sets, base.as_ref());
        while walk.height() < tip {
            let next = walk.height().saturating_add(1);
            let mut rows = check::slice(&self.db, next).await?;
            rows.retain(|row| row.header().height <= tip);
            if rows.is_empty() {
                let finding = Finding::at("blocks", next, "it is missing");
                return Err(self.db.corrupt(finding));
            }
            for row in &rows {
                let height = row.header().height;
                let links = walk.links(row.header());
                links.map_err(|problem| self.db.corrupt(Finding::at("blocks", height, problem)))?;
                walk.pass(row.header());
            }
            copy.put_all(rows.iter().map(StoredRow::insert).collect()).await?;
            tell(BackupProgress { height: walk.height(), tip });
        }
        Ok(walk.height())
    }
}
