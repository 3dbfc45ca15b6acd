//! What goes on around the store while the node runs: it is checked again and again, parties and old
//! bodies are forgotten, and the operator's requests are answered.

use ledger::genesis::Genesis;
use ledger::state::State;
use market::keys::SigningKey;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::store::{SNAPSHOT_EVERY, Store, StoreError, patrol};

const DAY_MS: i64 = 86_400_000;

/// Everything it needs.
pub(crate) struct Upkeep {
    pub(crate) store: Store,
    pub(crate) genesis: Genesis,
    pub(crate) data_dir: PathBuf,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) prune_after_days: Option<u32>,
    /// Signs receipts for what was erased.
    pub(crate) key: SigningKey,
}

impl Upkeep {
    /// Works until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self { store, genesis, data_dir, state, prune_after_days, key } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn(patrol(store.clone(), genesis.clone(), shutdown.clone()));
        let forgetful = Forgetful {
            store: store.clone(),
            data_dir: data_dir.clone(),
            key: key.clone(),
            prune_after_days,
        };
        tasks.spawn(forgetful.run(state, shutdown.clone()));
        tasks.spawn(admin::Admin { data_dir, store, genesis, key }.serve(shutdown));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task beside the ledger ended by a defect");
            }
        }
    }
}

/// Forgets what is to be forgotten.
struct Forgetful {
    store: Store,
    data_dir: PathBuf,
    key: SigningKey,
    prune_after_days: Option<u32>,
}

impl Forgetful {
    /// Looks whenever there is a new snapshot, behind which more can be forgotten, until shutdown.
    async fn run(self, mut state: watch::Receiver<Arc<State>>, shutdown: CancellationToken) {
        let snapshot = |state: &Arc<State>| state.height() / SNAPSHOT_EVERY;
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            // Erasures first: their requests must not be pruned before.
            let done = match self.erase(&now).await {
                Ok(()) => self.prune(&now).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "not everything that is due could be forgotten");
                self.store.note(&error);
            }
            let next = state.wait_for(|state| snapshot(state) > snapshot(&now));
            match shutdown.run_until_cancelled(next).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    async fn erase(&self, state: &State) -> Result<(), StoreError> {
        let receipts = self.store.carry_out_erasures(state.chain(), &self.key).await?;
        if receipts.is_empty() {
            return Ok(());
        }
        for receipt in &receipts {
            let erasure = &receipt.erasure;
            let (party, leaves) = (erasure.party, erasure.leaves_count);
            tracing::info!(%party, leaves, requested_at = erasure.requested_at, "a party is erased");
        }
        match Store::forget_set_aside(&self.data_dir) {
            Ok(removed) => removed.iter().for_each(|path| {
                let path = path.display();
                tracing::info!(%path, "a ledger that was set aside named the party; it is removed");
            }),
            Err(error) => {
                let folder = self.data_dir.display();
                tracing::warn!(%error, %folder, "ledgers set aside still name the party; remove them");
            }
        }
        Ok(())
    }

    async fn prune(&self, state: &State) -> Result<(), StoreError> {
        let Some(days) = self.prune_after_days else { return Ok(()) };
        let age_ms = i64::from(days).saturating_mul(DAY_MS);
        let before = state.time().plus_millis(age_ms.saturating_neg());
        match self.store.prune(state, before).await? {
            0 => {}
            count => tracing::info!(count, "the bodies of old blocks are forgotten"),
        }
        Ok(())
    }
}
