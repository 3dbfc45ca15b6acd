//! What goes on around the store while the node runs: it is checked again and again, old bodies
//! are forgotten, and the operator's requests for copies are answered.

use ledger::genesis::Genesis;
use ledger::state::State;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::store::{Store, keep_pruned, patrol};

/// Everything it needs.
pub(crate) struct Upkeep {
    pub(crate) store: Store,
    pub(crate) genesis: Genesis,
    pub(crate) data_dir: PathBuf,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) prune_after_days: Option<u32>,
}

impl Upkeep {
    /// Works until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self { store, genesis, data_dir, state, prune_after_days } = self;
        let tasks = [
            tokio::spawn(patrol(store.clone(), genesis.clone(), shutdown.clone())),
            tokio::spawn(keep_pruned(store.clone(), prune_after_days, state, shutdown.clone())),
            tokio::spawn(admin::serve(data_dir, store, genesis, shutdown)),
        ];
        for task in tasks {
            // A part that panicked has said so itself; the others go on.
            let _ = task.await;
        }
    }
}
