//! What goes on around the store while the node runs: it is checked again and again, old bodies
//! are forgotten, and the operator's requests for copies are answered.

use ledger::genesis::Genesis;
use ledger::state::State;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
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
        let mut tasks = JoinSet::new();
        tasks.spawn(patrol(store.clone(), genesis.clone(), shutdown.clone()));
        tasks.spawn(keep_pruned(store.clone(), prune_after_days, state, shutdown.clone()));
        tasks.spawn(admin::serve(data_dir, store, genesis, shutdown));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task beside the ledger ended by a defect");
            }
        }
    }
}
