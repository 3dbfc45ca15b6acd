//! The validators' own network: who may connect, over what, with which limits.
//!
//! TCP only, an allow list instead of discovery, messages no larger than they need to be. The
//! transport key is not the validator key; the engine's validator proof binds the two.

use std::time::Duration;

use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig as EngineConsensus, DiscoveryConfig, GossipSubConfig, NodeConfig, P2pConfig,
    PubSubProtocol, ValuePayload, ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::net::Multiaddr;
use arc_malachitebft_app_channel::app::types::{Keypair, PeerId};

use super::codec::{RESPONSE_BYTES_MAX, SYNC_BATCH};
use super::{ConsensusConfig, ConsensusError};

/// The largest gossip message: a piece of a block with its frame fits, a whole block does not.
const GOSSIP_BYTES_MAX: &str = "256 KiB";
/// Sync answers and their frame.
const RPC_BYTES_MAX: &str = "8 MiB";
/// Validators of one site or of a demonstration share an address.
const CONNECTIONS_PER_IP_MAX: usize = 256;
/// How often a validator tells the others its height while nothing is decided.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a sync request may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine's settings for this validator.
#[derive(Debug, Clone)]
pub(super) struct EngineConfig {
    moniker: String,
    consensus: EngineConsensus,
    sync: ValueSyncConfig,
}

impl EngineConfig {
    /// Checks the addresses and fixes everything that is not for the operator to choose.
    pub(super) fn of(config: &ConsensusConfig) -> Result<Self, ConsensusError> {
        let peers: Result<_, _> = config.peers.iter().map(|peer| peer_address(peer)).collect();
        let p2p = P2pConfig {
            listen_addr: listen_address(&config.listen)?,
            persistent_peers: peers?,
            persistent_peers_only: true,
            discovery: DiscoveryConfig {
                enabled: false,
                max_connections_per_ip: CONNECTIONS_PER_IP_MAX,
                ..DiscoveryConfig::default()
            },
            protocol: PubSubProtocol::GossipSub(GossipSubConfig::new(
                6, 12, 4, 2, true, false, true,
            )),
            pubsub_max_size: size(GOSSIP_BYTES_MAX)?,
            rpc_max_size: size(RPC_BYTES_MAX)?,
            ..P2pConfig::default()
        };
        let sync = ValueSyncConfig {
            enabled: true,
            status_update_interval: STATUS_INTERVAL,
            request_timeout: SYNC_TIMEOUT,
            max_request_size: size("1 KiB")?,
            max_response_size: size(&RESPONSE_BYTES_MAX.to_string())?,
            parallel_requests: 2,
            batch_size: SYNC_BATCH,
            ..ValueSyncConfig::default()
        };
        let consensus = EngineConsensus {
            enabled: true,
            p2p,
            value_payload: ValuePayload::ProposalAndParts,
            ..EngineConsensus::default()
        };
        Ok(Self { moniker: config.moniker.clone(), consensus, sync })
    }

    /// The same for an engine that fetches blocks and takes no part in deciding them.
    pub(super) fn watching(&self) -> Self {
        let consensus = EngineConsensus { enabled: false, ..self.consensus.clone() };
        let moniker = format!("{}-watching", self.moniker);
        Self { moniker, consensus, sync: self.sync }
    }

    /// The same with these peers on the allow list.
    pub(super) fn admitting(mut self, addresses: Vec<Multiaddr>) -> Self {
        self.consensus.p2p.persistent_peers = addresses;
        self
    }
}

impl NodeConfig for EngineConfig {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &EngineConsensus {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut EngineConsensus {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

/// The key pair that a transport seed stands for.
pub(super) fn transport_keypair(seed: &[u8; 32]) -> Result<Keypair, ConsensusError> {
    let mut bytes = *seed;
    // The bytes are wiped by the callee.
    Keypair::ed25519_from_bytes(&mut bytes).map_err(|_| ConsensusError::TransportKey)
}

/// The size type is the engine's own and comes only out of a text.
fn size<S: std::str::FromStr>(text: &str) -> Result<S, ConsensusError> {
    text.parse().map_err(|_| ConsensusError::EngineStart(format!("{text:?} is not a size")))
}

fn listen_address(text: &str) -> Result<Multiaddr, ConsensusError> {
    let expected = "/ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT";
    let bad = || ConsensusError::BadAddress { address: text.to_owned(), expected };
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["", "ip4" | "ip6", _, "tcp", _] => text.parse().map_err(|_| bad()),
        _ => Err(bad()),
    }
}

pub(super) fn peer_address(text: &str) -> Result<Multiaddr, ConsensusError> {
    peer_of(text)?;
    text.parse().map_err(|_| bad_peer(text))
}

pub(super) fn peer_of(text: &str) -> Result<PeerId, ConsensusError> {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["", "ip4" | "ip6", _, "tcp", _, "p2p", id] => id.parse().map_err(|_| bad_peer(text)),
        _ => Err(bad_peer(text)),
    }
}

fn bad_peer(address: &str) -> ConsensusError {
    let expected = "/ip4/ADDRESS/tcp/PORT/p2p/PEER-ID or /ip6/ADDRESS/tcp/PORT/p2p/PEER-ID";
    ConsensusError::BadAddress { address: address.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_addresses_with_a_peer_id_are_peers() {
        let id = super::super::peer_id(&[7; 32]).unwrap();
        assert!(peer_address(&format!("/ip4/10.0.0.1/tcp/4000/p2p/{id}")).is_ok());
        assert!(peer_address(&format!("/ip6/::1/tcp/4000/p2p/{id}")).is_ok());
        for wrong in [
            "",
            "10.0.0.1:4000",
            "/ip4/10.0.0.1/tcp/4000",
            "/ip4/10.0.0.1/tcp/4000/p2p/nobody",
            &format!("/ip4/10.0.0.256/tcp/4000/p2p/{id}"),
            &format!("/ip4/10.0.0.1/udp/4000/quic-v1/p2p/{id}"),
            &format!("/dns4/example.invalid/tcp/4000/p2p/{id}"),
        ] {
            assert!(peer_address(wrong).is_err(), "{wrong}");
        }
        assert!(listen_address("/ip4/127.0.0.1/tcp/0").is_ok());
        assert!(listen_address("/ip4/127.0.0.1/udp/0/quic-v1").is_err());
        assert!(listen_address("/ip4/127.0.0.1/tcp/70000").is_err());
    }
}
