//! What a node tells its operator over HTTP: `/healthz`, `/metrics`, `/status`, `/erasures`. Read only; it
//! belongs on a loopback or management address.

use axum::Json;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::get;
use ledger::state::State;
use market::time::Clock;
use mesh::Mesh;
use serde::Serialize;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock_offset::ClockOffset;
use crate::consensus::{ConsensusStatus, Phase, engine_metrics};
use crate::mempool::Mempool;
use crate::metrics::NodeMetrics;
use crate::store::{ErasureEntry, Finding, Store};

/// What the pages read from.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) moniker: String,
    pub(crate) state: watch::Receiver<Arc<State>>,
    pub(crate) consensus: watch::Receiver<ConsensusStatus>,
    pub(crate) mempool: Mempool,
    pub(crate) mesh: Mesh,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_offset: Arc<ClockOffset>,
    pub(crate) metrics: Arc<NodeMetrics>,
    pub(crate) store: Store,
}

/// How a node stands, as `/status` says it.
#[derive(Debug, Serialize)]
struct StatusPage {
    moniker: String,
    chain_id: String,
    height: u64,
    round: u32,
    tip: String,
    block_time_ms: i64,
    market_time_ms: i64,
    /// This clock minus the other validators', in milliseconds of market time, by the last
    /// proposals: positive if it is ahead; null before anybody else has proposed.
    clock_offset_ms: Option<i64>,
    phase: &'static str,
    validators_connected: usize,
    validators_count: usize,
    has_quorum: bool,
    mesh_peers: usize,
    mempool_waiting: usize,
    /// What was found damaged in the ledger; `hidamari node repair` mends it.
    damage: Vec<Finding>,
    /// Pairs of signed statements that prove that another validator broke the rules; they stand in
    /// `evidence.jsonl` in the data directory.
    evidence_count: u64,
    failure: Option<String>,
}

/// Serves until shutdown.
pub(crate) async fn serve(pages: Pages, listener: TcpListener, shutdown: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/erasures", get(erasures))
        .with_state(pages);
    let stopped = async move { shutdown.cancelled().await };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the node's status pages ended");
    }
}

async fn healthz(Shared(pages): Shared<Pages>) -> (StatusCode, String) {
    let consensus = pages.consensus.borrow().clone();
    if let Some(finding) = pages.store.damage().first() {
        let words = format!("the ledger is damaged: {finding}; stop the node and repair it\n");
        return (StatusCode::SERVICE_UNAVAILABLE, words);
    }
    match (consensus.phase, consensus.has_quorum) {
        (Phase::Stopped, _) => {
            let why = consensus.failure.unwrap_or_else(|| "it was asked to stop".to_owned());
            (StatusCode::SERVICE_UNAVAILABLE, format!("consensus has stopped: {why}\n"))
        }
        (Phase::Following, _) => (StatusCode::OK, "ok: following, not voting\n".to_owned()),
        (_, false) => {
            let (have, all) = (consensus.validators_connected, consensus.validators_count);
            let words = format!("no quorum: {have} of {all} validators are connected\n");
            (StatusCode::SERVICE_UNAVAILABLE, words)
        }
        (_, true) => (StatusCode::OK, "ok\n".to_owned()),
    }
}

async fn metrics(Shared(pages): Shared<Pages>) -> String {
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    pages.metrics.height.set(i64::try_from(pages.state.borrow().height()).unwrap_or(i64::MAX));
    pages.metrics.clock_offset_ms.set(pages.clock_offset.median_ms().unwrap_or_default());
    pages.metrics.mempool.set(gauge(pages.mempool.len()));
    pages.metrics.peers.set(gauge(pages.mesh.peers().len()));
    pages.metrics.note_mesh(&pages.mesh.counters().snapshot());
    let connected = pages.consensus.borrow().validators_connected;
    pages.metrics.validators_connected.set(gauge(connected));
    let evidence = pages.consensus.borrow().evidence_count;
    pages.metrics.evidence.set(i64::try_from(evidence).unwrap_or(i64::MAX));
    // Each part ends with its own end mark; only the last may stay.
    let own = pages.metrics.encode();
    format!("{}{}", own.trim_end_matches("# EOF\n"), engine_metrics())
}

async fn status(Shared(pages): Shared<Pages>) -> Json<StatusPage> {
    let state = Arc::clone(&pages.state.borrow());
    let consensus = pages.consensus.borrow().clone();
    Json(StatusPage {
        moniker: pages.moniker.clone(),
        chain_id: state.chain().to_string(),
        height: state.height(),
        round: consensus.round,
        tip: state.tip().to_string(),
        block_time_ms: state.time().as_millis(),
        market_time_ms: pages.clock.now().as_millis(),
        clock_offset_ms: pages.clock_offset.median_ms(),
        phase: match consensus.phase {
            Phase::Connecting => "connecting",
            Phase::Deciding => "deciding",
            Phase::Idle => "idle",
            Phase::Following => "following",
            Phase::Stopped => "stopped",
        },
        validators_connected: consensus.validators_connected,
        validators_count: consensus.validators_count,
        has_quorum: consensus.has_quorum,
        mesh_peers: pages.mesh.peers().len(),
        mempool_waiting: pages.mempool.len(),
        damage: pages.store.damage(),
        evidence_count: consensus.evidence_count,
        failure: consensus.failure,
    })
}

async fn erasures(
    Shared(pages): Shared<Pages>,
) -> Result<Json<Vec<ErasureEntry>>, (StatusCode, String)> {
    let chain = *pages.state.borrow().chain();
    let receipts = pages.store.erasures(&chain).await;
    let receipts =
        receipts.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")))?;
    Ok(Json(receipts.into_iter().map(ErasureEntry::from).collect()))
}
