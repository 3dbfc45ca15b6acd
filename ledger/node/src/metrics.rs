//! What a node counts, for Prometheus.

use mesh::{MeshCounts, Topic};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Mutex;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// The node's own counters and gauges.
pub(crate) struct NodeMetrics {
    registry: Mutex<Registry>,
    refused: Family<Reason, Counter>,
    accepted: Family<Kind, Counter>,
    mesh: Family<Reason, Gauge>,
    pub(crate) height: Gauge,
    pub(crate) mempool: Gauge,
    pub(crate) peers: Gauge,
    pub(crate) validators_connected: Gauge,
    pub(crate) clock_offset_ms: Gauge,
    pub(crate) evidence: Gauge,
}

impl NodeMetrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("hidamari_node")),
            refused: Family::default(),
            accepted: Family::default(),
            mesh: Family::default(),
            height: Gauge::default(),
            mempool: Gauge::default(),
            peers: Gauge::default(),
            validators_connected: Gauge::default(),
            clock_offset_ms: Gauge::default(),
            evidence: Gauge::default(),
        };
        if let Ok(mut registry) = metrics.registry.lock() {
            let refused = "Messages refused, by the law they break";
            registry.register("messages_refused", refused, metrics.refused.clone());
            let accepted = "Messages taken into the mempool";
            registry.register("messages_accepted", accepted, metrics.accepted.clone());
            let mesh = "Mesh messages and peers turned away since the start, by reason";
            registry.register("mesh_turned_away", mesh, metrics.mesh.clone());
            registry.register("height", "Height of the last block", metrics.height.clone());
            registry.register("mempool_waiting", "Messages waiting", metrics.mempool.clone());
            registry.register("mesh_peers", "Connected mesh peers", metrics.peers.clone());
            let connected = "Connected validators, this one included";
            let gauge = metrics.validators_connected.clone();
            registry.register("validators_connected", connected, gauge);
            let evidence = "Proofs that another validator contradicted itself, kept in all";
            registry.register("evidence", evidence, metrics.evidence.clone());
            let offset = "This clock minus the other validators' in milliseconds of market time, \
                          by their last proposals; 0 before the first";
            registry.register("clock_offset_ms", offset, metrics.clock_offset_ms.clone());
        }
        metrics
    }

    /// Counts a refused message.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// Takes over what the mesh itself turned away, before anybody looked at its meaning.
    pub(crate) fn note_mesh(&self, counts: &MeshCounts) {
        let reasons = [
            ("oversized", counts.oversized),
            ("throttled", counts.throttled),
            ("crowded_out", counts.crowded_out),
            ("foreign_chain", counts.foreign),
            ("cut_off", counts.cut_off),
            ("connections_refused", counts.connections_refused),
        ];
        for (reason, count) in reasons {
            let gauge = self.mesh.get_or_create(&Reason { reason });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a message that waits for a block now.
    pub(crate) fn accepted(&self, topic: Topic) {
        let kind = match topic {
            Topic::Orders => "order",
            Topic::Readings => "reading",
            Topic::Acts => "act",
            Topic::Blocks => "announcement",
        };
        self.accepted.get_or_create(&Kind { kind }).inc();
    }

    /// All of it in the Prometheus text format.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            // Writing into a string cannot fail.
            let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        }
        text
    }
}
