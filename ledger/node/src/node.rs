//! A validator process: puts store, consensus, mesh and status pages together, and ends them.

use market::time::{Clock, Timestamp};
use mesh::{Mesh, MeshError};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock_offset::ClockOffset;
use crate::config::{LoadedNode, SnapshotSource};
use crate::consensus::{self, ConsensusConfig, ConsensusError, ConsensusStatus};
use crate::data_dir::{DataDir, DataDirError};
use crate::follow;
use crate::gossip::Gossip;
use crate::http::{self, Pages};
use crate::judge::Judge;
use crate::mempool::Mempool;
use crate::metrics::NodeMetrics;
use crate::snapshot::{self, InstallError, NotFetched, SnapshotFileError};
use crate::store::{Store, StoreError};
use crate::upkeep::Upkeep;
use crate::validator::Validator;

/// Why a node did not start, or ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory cannot be had.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot to start from cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// No other node has a snapshot to start from.
    #[error(transparent)]
    NoSnapshot(#[from] NotFetched),
    /// The ledger cannot be started from a snapshot.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The mesh did not start.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// Consensus did not start, or ended.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// A part of the node ended by itself, which only a defect can cause.
    #[error("the node's {part} ended by itself; its last words are in the log, start it again")]
    PartEnded {
        /// Which part.
        part: &'static str,
    },
    /// This machine's clock stands far before the ledger's.
    #[error(
        "this machine's clock shows {now}, but the last block is of {tip}; set the clock (a time \
         service such as NTP keeps it right) and start again"
    )]
    ClockBehind {
        /// The clock's.
        now: Timestamp,
        /// The last block's.
        tip: Timestamp,
    },
}

/// How long other nodes are asked for a snapshot before the node gives up.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(60);

/// Runs a validator until shutdown.
///
/// # Errors
/// [`NodeError`] says what to do. Everything acknowledged is on the disk.
pub async fn run(
    config: LoadedNode,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), NodeError> {
    let _held = DataDir::take(&config.data_dir)?;
    start_from_snapshot(&config, clock.as_ref(), &shutdown).await?;
    let LoadedNode { genesis, data_dir, prune_after_days, consensus, mesh, .. } = config;
    let (store, state) = Store::open(&data_dir, &genesis).await?;
    tracing::info!(height = state.height(), chain = %genesis.chain_id(), "the ledger is open");
    let drift_max_ms = i64::try_from(genesis.block_drift_max_ms).unwrap_or(i64::MAX);
    if state.time().millis_since(clock.now()) > drift_max_ms {
        return Err(NodeError::ClockBehind { now: clock.now(), tip: state.time() });
    }
    let (mesh, events) = Mesh::start(mesh, shutdown.clone()).await?;

    let mempool = Mempool::default();
    let metrics = Arc::new(NodeMetrics::new());
    let (commits, committed) = mpsc::unbounded_channel();
    let clock_offset = Arc::new(ClockOffset::new(drift_max_ms));
    let moniker = consensus.moniker.clone();
    let (mut validator, state) = Validator::new(
        &genesis,
        state,
        store.clone(),
        mempool.clone(),
        Arc::clone(&clock),
        Arc::clone(&clock_offset),
        commits,
    );
    consensus::begin_record(&consensus, &mut validator).await?;
    let (status, consensus_status) = watch::channel(ConsensusStatus::default());
    let (announced, _) = watch::channel(0_u64);
    let judge = Judge {
        mesh: mesh.clone(),
        mempool: mempool.clone(),
        state: state.clone(),
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
    };
    let gossip = Gossip {
        judge,
        events,
        store: store.clone(),
        commits: committed,
        announced: announced.clone(),
        genesis: Arc::new(borsh::to_vec(&genesis).unwrap_or_default()),
    };
    let key = consensus.signing_key.clone();
    let (store_kept, state_watched) = (store.clone(), state.clone());
    let upkeep = Upkeep {
        store: store_kept,
        genesis,
        data_dir,
        state: state_watched,
        prune_after_days,
        key,
    };
    let pages = Pages {
        moniker,
        state,
        consensus: consensus_status,
        mempool,
        mesh: mesh.clone(),
        clock,
        clock_offset,
        metrics,
        store: store.clone(),
    };
    // Whatever ends first takes the others with it.
    let ending = shutdown.child_token();
    let upkeep = tokio::spawn(upkeep.run(ending.clone()));
    let mut gossip = tokio::spawn(gossip.run(ending.clone()));
    let mut pages = tokio::spawn(http::serve(pages, listener, ending.clone()));
    let node = Node { consensus, mesh, announced, status, ending: ending.clone() };
    let mut deciding = std::pin::pin!(node.run(validator));
    let part = tokio::select! {
        result = &mut deciding => {
            ending.cancel();
            for task in [gossip, pages, upkeep] {
                let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
            }
            store.close().await;
            return Ok(result?);
        }
        _ = &mut gossip => "mesh side",
        _ = &mut pages => "status pages",
    };
    let asked = shutdown.is_cancelled();
    ending.cancel();
    let result = deciding.await;
    if asked { Ok(result?) } else { Err(NodeError::PartEnded { part }) }
}

/// Starts a ledger that is not there yet from a snapshot, if that is configured.
async fn start_from_snapshot(
    config: &LoadedNode,
    clock: &dyn Clock,
    shutdown: &CancellationToken,
) -> Result<(), NodeError> {
    let Some(source) = config.from_snapshot.as_ref().filter(|_| !Store::exists(&config.data_dir))
    else {
        return Ok(());
    };
    let genesis = &config.genesis;
    let snapshot = match source {
        SnapshotSource::File(file) => snapshot::read_snapshot(file, genesis)?,
        SnapshotSource::Peers => {
            snapshot::fetch(genesis, config.mesh.clone(), SNAPSHOT_PATIENCE, shutdown).await?
        }
    };
    let drift_ms = i64::try_from(genesis.block_drift_max_ms).unwrap_or(i64::MAX);
    let votes_after = clock.now().plus_millis(drift_ms);
    snapshot::install(&config.data_dir, genesis, &snapshot, votes_after).await?;
    tracing::info!(height = snapshot.height(), "the ledger starts from a snapshot");
    Ok(())
}

/// A node that votes as long as the ledger names it, and follows otherwise.
struct Node {
    consensus: ConsensusConfig,
    mesh: Mesh,
    announced: watch::Sender<u64>,
    status: watch::Sender<ConsensusStatus>,
    ending: CancellationToken,
}

impl Node {
    async fn run(self, mut validator: Validator) -> Result<(), ConsensusError> {
        let key = self.consensus.signing_key.public();
        let votes = validator.state().validators().iter().any(|one| one.key == key);
        let mut follows = !votes;
        while !self.ending.is_cancelled() {
            if follows {
                let Self { mesh, announced, status, ending, .. } = &self;
                let announced = announced.subscribe();
                follow::until_validator(
                    &mut validator,
                    Some(&key),
                    mesh,
                    announced,
                    status,
                    ending,
                )
                .await?;
            } else {
                validator = self.vote(validator).await?;
            }
            follows = !follows;
        }
        Ok(())
    }

    /// Takes part in consensus until the ledger names this node no more, or the chain goes on
    /// without it.
    async fn vote(&self, validator: Validator) -> Result<Validator, ConsensusError> {
        let voting = self.ending.child_token();
        let (config, status) = (self.consensus.clone(), self.status.clone());
        let taking_part = consensus::take_part(config, validator, voting.clone(), status);
        let mut taking_part = std::pin::pin!(taking_part);
        tokio::select! {
            ended = &mut taking_part => return ended,
            () = follow::cut_off(&self.mesh, self.status.subscribe()) => voting.cancel(),
        }
        taking_part.await
    }
}
