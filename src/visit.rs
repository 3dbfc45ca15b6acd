//! A short stay on the mesh for a tool: opened from files, with the state of the last stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ledger::genesis::Genesis;
use ledger::state::State;
use ledger_node::submit::{SubmitError, Visit};
use market::hash::Digest;
use market::time::Clock;
use mesh::key_file::Seed;
use mesh::{MeshConfig, Multiaddr, TransportKey};

use crate::failure::Failure;

/// The state of the last stay, so that the next one need not begin at genesis.
const KEPT_FILE: &str = "followed.state";

/// Stands in front of the state: its SHA-256.
const DIGEST_BYTES: usize = 32;

/// How long nobody may answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a tool gets onto the mesh.
pub(crate) struct Door {
    pub(crate) genesis: Genesis,
    pub(crate) transport: Seed,
    pub(crate) bootstrap: Vec<Multiaddr>,
    /// Where the state is kept.
    pub(crate) data_dir: PathBuf,
}

impl Door {
    /// Joins the mesh and follows the chain to its end.
    ///
    /// # Errors
    /// [`Failure`] if nobody answers.
    pub(crate) async fn enter(&self, clock: Arc<dyn Clock>) -> Result<Visit, Failure> {
        let config = MeshConfig {
            transport_key: TransportKey::from_seed(self.transport.clone()),
            chain_id: *self.genesis.chain_id().as_bytes(),
            listen: Vec::new(),
            bootstrap: self.bootstrap.clone(),
            mdns: false,
            serve_blocks: false,
        };
        let kept = read_kept(&self.data_dir);
        let visit = Visit::begin(&self.genesis, kept, config, clock).await;
        let mut visit = visit.map_err(Failure::start)?;
        visit.catch_up(PATIENCE, |_| ()).await.map_err(failed)?;
        Ok(visit)
    }

    /// Leaves, and keeps the state for the next time. If that fails, the next time takes longer.
    pub(crate) async fn leave(&self, visit: Visit) {
        let state = visit.end().await;
        if let Err(error) = keep(&self.data_dir, &state) {
            tracing::warn!(%error, "the followed state is not kept; the next time takes longer");
        }
    }
}

/// What keeps a tool from having its way.
pub(crate) fn failed(error: SubmitError) -> Failure {
    match error {
        // Started again, it may well go on.
        SubmitError::Nobody { .. } | SubmitError::NotSeen { .. } => Failure::again(error),
        SubmitError::Mesh(_) | SubmitError::Refused(_) => Failure::start(error),
    }
}

/// The genesis of a file.
///
/// # Errors
/// [`Failure`] names file, line and key.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    ledger::genesis::read(&text).map_err(|error| Failure::file(path, &error))
}

/// What does not read back was written by another version of this program, or is damaged: it is
/// computed again.
fn read_kept(dir: &Path) -> Option<State> {
    let bytes = fs::read(dir.join(KEPT_FILE)).ok()?;
    let (digest, state) = bytes.split_at_checked(DIGEST_BYTES)?;
    (Digest::of(&[state]).as_bytes() == digest).then(|| borsh::from_slice(state).ok())?
}

fn keep(dir: &Path, state: &State) -> std::io::Result<()> {
    let state = borsh::to_vec(state)?;
    let mut bytes = Digest::of(&[&state]).as_bytes().to_vec();
    bytes.extend(state);
    fs::create_dir_all(dir)?;
    let (new, path) = (dir.join(format!("{KEPT_FILE}.new")), dir.join(KEPT_FILE));
    fs::write(&new, bytes)?;
    fs::rename(&new, &path)
}
