//! A node that does not vote: it follows the chain over the mesh, verifies and recomputes every
//! block, and serves them to others.

use std::time::Duration;

use market::keys::PublicKey;
use mesh::Mesh;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::consensus::{ConsensusStatus, Fatal, Phase};
use crate::fetch::{Fetched, Fetcher};
use crate::validator::{NotTaken, Validator};

/// How often neighbours are asked although nothing was announced.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How often they are asked while something announced is missing, or nobody is connected yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// How long consensus may be without a quorum before it is looked whether the chain has gone on
/// without this node.
const CUT_OFF_PATIENCE: Duration = Duration::from_secs(15);

/// What following one batch of blocks came to.
enum Step {
    Advanced,
    UpToDate,
    Alone,
}

/// Follows until this node's key is a validator's and nobody knows of a further block, or until
/// shutdown.
///
/// # Errors
/// [`Fatal`] if a block cannot be stored.
pub(crate) async fn until_validator(
    validator: &mut Validator,
    key: Option<&PublicKey>,
    mesh: &Mesh,
    mut announced: watch::Receiver<u64>,
    status: &watch::Sender<ConsensusStatus>,
    shutdown: &CancellationToken,
) -> Result<(), Fatal> {
    let mut fetcher = Fetcher::new(mesh.clone());
    tracing::info!(height = validator.state().height(), "following the chain, not voting");
    while !shutdown.is_cancelled() {
        let step = step(validator, &mut fetcher).await?;
        publish(validator, status);
        let height = validator.state().height();
        let votes =
            key.is_some_and(|key| validator.state().validators().iter().any(|one| one.key == *key));
        let pause = match step {
            Step::Advanced => continue,
            Step::UpToDate if votes => {
                tracing::info!(height, "this node is a validator from the next height on");
                return Ok(());
            }
            Step::UpToDate if *announced.borrow_and_update() <= height => POLL_INTERVAL,
            Step::UpToDate | Step::Alone => RETRY_INTERVAL,
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Ok(()) = announced.changed() => {}
        }
    }
    Ok(())
}

async fn step(validator: &mut Validator, fetcher: &mut Fetcher) -> Result<Step, Fatal> {
    let (peer, blocks) = match fetcher.fetch(validator.state().height().saturating_add(1)).await {
        Fetched::Blocks(peer, blocks) => (peer, blocks),
        Fetched::NothingNew => return Ok(Step::UpToDate),
        Fetched::Nobody => return Ok(Step::Alone),
    };
    for block in blocks {
        match validator.take(block).await {
            Ok(()) => {}
            Err(NotTaken::Unsound(error)) => {
                tracing::warn!(%peer, %error, "a neighbour served a block that does not hold");
                fetcher.avoid_liar(peer);
                break;
            }
            Err(NotTaken::Fatal(fatal)) => return Err(fatal),
        }
    }
    Ok(Step::Advanced)
}

fn publish(validator: &Validator, status: &watch::Sender<ConsensusStatus>) {
    let state = validator.state();
    status.send_if_modified(|status| {
        let found = ConsensusStatus {
            phase: Phase::Following,
            height: state.height(),
            validators_count: state.validators().count(),
            evidence_count: status.evidence_count,
            last_commit_at: status.last_commit_at,
            last_progress_at: status.last_progress_at,
            ..ConsensusStatus::default()
        };
        let changed = *status != found;
        *status = found;
        changed
    });
}

/// Resolves when this validator has had no quorum for a while although the chain goes on: the
/// others do not admit it any more, or their addresses have changed, as the blocks that it lacks
/// will tell.
pub(crate) async fn cut_off(mesh: &Mesh, mut status: watch::Receiver<ConsensusStatus>) {
    let mut fetcher = Fetcher::new(mesh.clone());
    loop {
        // Closed only when the node ends.
        let lost = status.wait_for(|status| !status.has_quorum).await.map(drop);
        let regained = async { status.wait_for(|status| status.has_quorum).await.map(drop) };
        let waited = tokio::time::timeout(CUT_OFF_PATIENCE, regained).await;
        if lost.is_err() || waited.is_ok() {
            tokio::time::sleep(RETRY_INTERVAL).await;
            continue;
        }
        let height = status.borrow().height;
        if let Fetched::Blocks(peer, _) = fetcher.fetch(height.saturating_add(1)).await {
            tracing::warn!(
                height, %peer,
                "no quorum here, but a neighbour has further blocks; fetching them over the mesh"
            );
            return;
        }
    }
}
