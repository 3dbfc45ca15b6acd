//! What a node keeps: blocks with their certificates and results, snapshots of the state, changes
//! of validators, and the bodies of blocks that are not decided yet.
//!
//! `SQLite` in WAL mode with `synchronous=FULL`: what was committed is on the disk. The store is
//! held by one process alone.
//!
//! When it is opened, all of it is checked: the file's structure, the digest of every row, the
//! hash chain, every body, certificate and result against its header, every snapshot against the
//! state root of its header. Then the state is rebuilt from the newest snapshot. While the node
//! runs the same is checked again in the background, and each row before it is handed out.

mod backup;
mod check;
mod erase;
mod erasures;
mod error;
mod prune;
mod reading;
mod rows;
mod salvage;
mod schema;
mod writing;

use ledger::apply::apply;
use ledger::block::Header;
use ledger::genesis::Genesis;
use ledger::state::State;
use market::time::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use backup::{BackupError, BackupProgress};
pub use check::check_again;
pub use erase::ErasureStanding;
pub use erasures::{Erasure, ErasureEntry, ErasureReceipt};
pub use error::{Finding, StoreError};

pub(crate) use check::{Walk, patrol};
pub(crate) use prune::StoredRow;
pub(crate) use rows::{BlockRow, CertifiedHeader, Sets, SnapshotRow, insert_handover};
pub(crate) use schema::{Access, Database, FILE};
pub(crate) use writing::SNAPSHOT_EVERY;

use check::Earlier;
use schema::{from_sql, refuse_emptied};

/// The height up to which certificates were checked.
const SIGNATURES_CHECKED: &str = "signatures-checked";

/// The node's store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    db: Database,
    sets: Arc<Mutex<Sets>>,
    damage: Arc<Mutex<BTreeSet<Finding>>>,
    /// The height behind which the chain here starts.
    base_height: u64,
    /// The lowest height from which on all blocks are whole.
    whole_from: Arc<AtomicU64>,
    /// Held by whoever forgets something: one at a time.
    forgetting: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// Opens or makes the store of a community in a directory, checks all that is in it, and
    /// returns it with the state after its last block.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong and what to do; nothing is changed then.
    pub async fn open(data_dir: &Path, genesis: &Genesis) -> Result<(Self, State), StoreError> {
        Self::open_at(&data_dir.join(FILE), Access::Make, genesis).await
    }

    async fn open_at(
        path: &Path,
        access: Access,
        genesis: &Genesis,
    ) -> Result<(Self, State), StoreError> {
        refuse_emptied(path)?;
        let db = Database::open(path, access).await?;
        let opened = Self::checked(db.clone(), genesis, Earlier::Counts).await;
        if opened.is_err() {
            db.close().await;
        }
        opened
    }

    async fn checked(
        db: Database,
        genesis: &Genesis,
        earlier: Earlier,
    ) -> Result<(Self, State), StoreError> {
        db.prepare(&genesis.chain_id()).await?;
        let checked = check::all(&db, genesis, earlier).await?;
        let sets = Arc::new(Mutex::new(checked.sets));
        let (damage, base_height) = (Arc::default(), checked.base_height);
        let whole_from = Arc::new(AtomicU64::new(checked.whole_from));
        let forgetting = Arc::default();
        let store = Self { db, sets, damage, base_height, whole_from, forgetting };
        let mut state = checked.state.unwrap_or_else(|| State::at_genesis(genesis));
        for height in state.height().saturating_add(1)..=checked.tip {
            let block = store.block(height).await?;
            let executed = apply(&state, &block)
                .map_err(|refused| store.db.corrupt(Finding::at("blocks", height, refused)))?;
            state = executed.state;
        }
        store.db.put_meta(SIGNATURES_CHECKED, &checked.tip.to_string()).await?;
        Ok((store, state))
    }

    /// Whether a directory holds a store at all.
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join(FILE).is_file()
    }

    /// The time of the last block in the store of a stopped node; `None` if it holds none. The
    /// chain is not checked.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn last_block_time(data_dir: &Path) -> Result<Option<Timestamp>, StoreError> {
        if !Self::exists(data_dir) {
            return Ok(None);
        }
        let db = Database::open(&data_dir.join(FILE), Access::Existing).await?;
        let time = db.tip_time().await;
        db.close().await;
        time
    }

    /// The lowest height from which on all blocks are here and whole, or of the first one to come.
    pub fn min_height(&self) -> u64 {
        self.whole_from.load(Ordering::Relaxed)
    }

    /// Closes the database, so that another process may open it.
    pub async fn close(&self) {
        self.db.close().await;
    }

    fn lock_sets(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_damage(&self) -> MutexGuard<'_, BTreeSet<Finding>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database {
    async fn tip_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'blocks'";
        if self.rows("read the schema", sqlx::query(query)).await?.is_empty() {
            return Ok(None);
        }
        let query = "SELECT height, header FROM blocks ORDER BY height DESC LIMIT 1";
        let rows = self.rows("read the last block", sqlx::query(query)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let height = sqlx::Row::try_get::<i64, _>(row, "height").map_or(0, from_sql);
        let bad = |problem: String| self.corrupt(Finding::at("blocks", height, problem));
        let header: Vec<u8> =
            sqlx::Row::try_get(row, "header").map_err(|error| bad(error.to_string()))?;
        let header: Header = borsh::from_slice(&header).map_err(|error| bad(error.to_string()))?;
        Ok(Some(header.time))
    }
}
