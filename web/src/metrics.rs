//! What the dashboard counts and measures, for Prometheus.

use std::sync::atomic::AtomicU64;

use axum::http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use crate::status::Status;

/// A number with a value for each status code.
type ByStatus = Family<Vec<(String, String)>, Counter>;

/// All metrics of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: ByStatus,
    height: Gauge<u64, AtomicU64>,
    block_age_ms: Gauge<u64, AtomicU64>,
    peers: Gauge<u64, AtomicU64>,
    listeners: Gauge<u64, AtomicU64>,
    /// Answers of peers that did not hold.
    pub(crate) junk_answers: Counter,
    /// Answers of peers that say that they have blocks, and hold none.
    pub(crate) empty_answers: Counter,
    /// Announcements that did not hold.
    pub(crate) junk_announcements: Counter,
    /// Blocks verified, applied and written down.
    pub(crate) blocks_followed: Counter,
    /// Connections turned away.
    pub(crate) connections_refused: Counter,
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        let mut board = Registry::with_prefix("hidamari_dashboard");
        Self {
            requests: listed(&mut board, "requests", "Requests by status code"),
            height: listed(&mut board, "height", "Height of the last followed block"),
            block_age_ms: listed(
                &mut board,
                "block_age_ms",
                "Real milliseconds since the last block came in",
            ),
            peers: listed(&mut board, "peers", "Connected peers"),
            listeners: listed(&mut board, "events_clients", "Open event streams"),
            junk_answers: listed(&mut board, "junk_answers", "Peers' answers that did not hold"),
            empty_answers: listed(
                &mut board,
                "empty_answers",
                "Peers' answers without the blocks that they say they have",
            ),
            junk_announcements: listed(
                &mut board,
                "junk_announcements",
                "Block announcements that did not hold",
            ),
            blocks_followed: listed(
                &mut board,
                "blocks_followed",
                "Blocks verified, applied and written down",
            ),
            connections_refused: listed(
                &mut board,
                "connections_refused",
                "Connections turned away because there were too many",
            ),
            registry: board,
        }
    }

    /// Counts an answered request.
    pub(crate) fn count_request(&self, status: StatusCode) {
        let label = vec![("status".to_owned(), status.as_str().to_owned())];
        self.requests.get_or_create(&label).inc();
    }

    /// All metrics as Prometheus reads them.
    pub(crate) fn text(&self, status: &Status, listeners_count: usize) -> String {
        self.height.set(status.height);
        self.block_age_ms.set(status.block_age_ms);
        self.peers.set(status.peers_count);
        self.listeners.set(u64::try_from(listeners_count).unwrap_or(u64::MAX));
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

/// A metric that the registry lists under a name.
fn listed<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
