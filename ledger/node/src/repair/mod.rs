//! Mends the ledger of a stopped node.
//!
//! Every row that holds is copied into a fresh file; what is missing or damaged is fetched from
//! other nodes and checked like every block that is followed; results and states that nobody sends
//! are recomputed. Only when the fresh file is whole and checked does it take the place of the
//! damaged one, which is kept beside it. What the validator has signed (`last-signed`) is never
//! touched.

mod peers;
mod rebuild;

use ledger::apply::BlockRefused;
use ledger::genesis::Genesis;
use mesh::{MeshConfig, MeshError};
use serde::Serialize;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::consensus::Guard;
use crate::data_dir::{DataDir, DataDirError};
use crate::store::{FILE, Finding, Store, StoreError};

pub(crate) use peers::Peers;

use rebuild::Rebuild;

/// Behind the name of the database: the fresh one while it is made.
const DRAFT: &str = "repair";

/// What to mend, and whom to ask.
#[derive(Debug)]
pub struct RepairTask {
    /// The community.
    pub genesis: Genesis,
    /// Where the ledger is; its node must have stopped.
    pub data_dir: PathBuf,
    /// The members' network. Nothing is listened on and nothing served.
    pub mesh: MeshConfig,
    /// How long to look for a node that has what is missing (real time).
    pub patience: Duration,
}

/// How far a repair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairProgress {
    /// Rows are read and copied.
    Copying {
        /// The height that is read.
        height: u64,
        /// The last one.
        tip: u64,
    },
    /// Blocks are asked for.
    Fetching {
        /// The first height.
        from: u64,
        /// The last one.
        through: u64,
    },
    /// The state is computed again.
    Replaying {
        /// The height that is computed.
        height: u64,
        /// The last one.
        tip: u64,
    },
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// What was damaged; empty if nothing was, and then nothing was done.
    pub damaged: Vec<Finding>,
    /// The heights of blocks that were fetched.
    pub fetched: Vec<u64>,
    /// Nodes that sent something that does not hold.
    pub refused_peers: Vec<String>,
    /// Where the damaged database is now.
    pub kept_aside: Option<PathBuf>,
    /// The height of the last block in the ledger.
    pub height: u64,
    /// The height at which this validator signed last, if it is ahead of the ledger: then the
    /// ledger is an older copy or has lost blocks, and the node fetches them before it votes.
    pub signed_height: Option<u64>,
}

/// Why a ledger was not mended. The damaged one is where and as it was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The node runs, or its directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// There is nothing to mend.
    #[error("there is no {path}; the node makes it when it starts, and fetches every block")]
    NoLedger {
        /// Where it would be.
        path: PathBuf,
    },
    /// The store cannot be used, for another reason than damage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mesh did not start.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Nobody has what is missing.
    #[error(
        "no node on the mesh sent blocks {from} to {through} within {patience_s} s; check \
         mesh.bootstrap and that other nodes run, then repair again (nothing was changed)"
    )]
    NobodyServes {
        /// The first height.
        from: u64,
        /// The last height.
        through: u64,
        /// How long was asked, in seconds.
        patience_s: u64,
    },
    /// The chain here starts behind blocks that are not held, and no state to start from is left.
    #[error(
        "no state from which the blocks here can be computed is left; move the ledger files out of \
         the directory and start the node from a snapshot (`--from-snapshot`)"
    )]
    NoState,
    /// A certified block does not follow for this program.
    #[error(
        "block {height} is certified, but does not follow here: {refused}; use the version of the \
         program that the other nodes use"
    )]
    Diverged {
        /// The height.
        height: u64,
        /// Why not.
        refused: BlockRefused,
    },
    /// A file cannot be written or renamed.
    #[error("cannot put {path} in place: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It was asked to end.
    #[error("ended before the ledger was mended; nothing was changed")]
    Stopped,
}

/// Mends a ledger; `tell` hears how far it is.
///
/// # Errors
/// [`RepairError`]; then nothing was changed.
pub async fn repair(
    task: RepairTask,
    mut tell: impl FnMut(RepairProgress) + Send,
    shutdown: CancellationToken,
) -> Result<RepairReport, RepairError> {
    let _held = DataDir::take(&task.data_dir)?;
    let path = task.data_dir.join(FILE);
    if !path.is_file() {
        return Err(RepairError::NoLedger { path });
    }
    let found = match Store::check_file(&path, &task.genesis).await {
        Ok(height) => return Ok(unharmed(&task.data_dir, height)),
        Err(error) => error.finding().ok_or(error)?,
    };
    let draft = path.with_extension(format!("sqlite.{DRAFT}"));
    remove(&draft)?;
    let ending = shutdown.child_token();
    let rebuilt = {
        let rebuild = Rebuild::new(&task, &path, &draft, ending.clone(), &mut tell);
        let work = async { rebuild.await?.run(found).await };
        shutdown.run_until_cancelled(work).await
    };
    ending.cancel();
    let (mut report, erased) = match rebuilt {
        None => {
            remove(&draft)?;
            return Err(RepairError::Stopped);
        }
        Some(Err(error)) => {
            remove(&draft)?;
            return Err(error);
        }
        Some(Ok(done)) => done,
    };
    // The last word: everything in the fresh file holds, signatures included.
    report.height = Store::check_file(&draft, &task.genesis).await?;
    Store::erase_again(&draft, &task.genesis, &erased).await?;
    report.kept_aside = Some(put_in_place(&path, &draft)?);
    report.signed_height = signed_ahead(&task.data_dir, report.height);
    Ok(report)
}

fn unharmed(data_dir: &Path, height: u64) -> RepairReport {
    let signed_height = signed_ahead(data_dir, height);
    RepairReport { height, signed_height, ..RepairReport::default() }
}

/// The height of the last signature, if the ledger ends before it should.
fn signed_ahead(data_dir: &Path, height: u64) -> Option<u64> {
    let signed = Guard::last_signed(data_dir)?.height;
    (signed > height.saturating_add(1)).then_some(signed)
}

/// The fresh database takes the place of the damaged one, which stays as `.damaged-<n>`. A crash
/// at any instant leaves one of the two in place.
fn put_in_place(path: &Path, draft: &Path) -> Result<PathBuf, RepairError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RepairError::Io { path, source }
    };
    let aside = (1_u32..)
        .map(|n| with_suffix(path, &format!(".damaged-{n}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| with_suffix(path, ".damaged"));
    fs::hard_link(path, &aside).map_err(failed(&aside))?;
    // The old log must never be read into the fresh file.
    let log = with_suffix(path, "-wal");
    if log.exists() {
        fs::rename(&log, with_suffix(&aside, "-wal")).map_err(failed(&log))?;
    }
    remove_one(&with_suffix(path, "-shm"))?;
    File::open(draft).and_then(|file| file.sync_all()).map_err(failed(draft))?;
    fs::rename(draft, path).map_err(failed(path))?;
    remove(draft)?;
    if let Some(directory) = path.parent() {
        File::open(directory).and_then(|file| file.sync_all()).map_err(failed(directory))?;
    }
    Ok(aside)
}

/// Removes a database with its companions.
fn remove(path: &Path) -> Result<(), RepairError> {
    ["", "-wal", "-shm"].iter().try_for_each(|suffix| remove_one(&with_suffix(path, suffix)))
}

fn remove_one(path: &Path) -> Result<(), RepairError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RepairError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
