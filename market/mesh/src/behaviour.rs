//! The swarm's behaviours, put together, and the transport below them.

use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::upgrade::Version;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config as SwarmConfig, NetworkBehaviour};
use libp2p::{Swarm, Transport, identify, kad, mdns, noise, ping, tcp, yamux};

use crate::address_limit::AddressLimit;
use crate::config::MeshConfig;
use crate::error::MeshError;
use crate::fetch::{self, Fetch};
use crate::gossip::{self, Gossip};
use crate::key::TransportKey;
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, INBOUND_MAX,
    NEGOTIATING_STREAMS_MAX, OUTBOUND_MAX, PENDING_INBOUND_MAX, PENDING_OUTBOUND_MAX,
    PING_INTERVAL, PING_TIMEOUT, QUERY_TIMEOUT, WALK_INTERVAL,
};
use crate::names::Names;
use crate::topic::Topics;

/// The limits come first: what they refuse, the others never see.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    address_limit: AddressLimit,
    connection_limit: connection_limits::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    pub(crate) kademlia: kad::Behaviour<MemoryStore>,
    mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) gossip: Gossip,
    pub(crate) fetch: Fetch,
}

pub(crate) fn build_swarm(
    config: &MeshConfig,
    names: &Names,
    topics: &Topics,
) -> Result<Swarm<Behaviour>, MeshError> {
    let key = config.transport_key.keypair();
    let noise = noise::Config::new(key)
        .map_err(|error| MeshError::Setup { part: "Noise", reason: error.to_string() })?;
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed();
    let behaviour = Behaviour {
        address_limit: AddressLimit::default(),
        connection_limit: connection_limits::Behaviour::new(connection_limits()),
        blocked: allow_block_list::Behaviour::default(),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
        ),
        identify: identify(&config.transport_key, names),
        kademlia: kademlia(&config.transport_key, names)?,
        mdns: mdns(config).into(),
        gossip: gossip::build(names, topics)?,
        fetch: fetch::build(names.blocks()?, config.serve_blocks),
    };
    let swarm_config = SwarmConfig::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX);
    Ok(Swarm::new(transport, behaviour, config.transport_key.peer_id(), swarm_config))
}

fn connection_limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_INBOUND_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUTBOUND_MAX))
        .with_max_established_incoming(Some(INBOUND_MAX))
        .with_max_established_outgoing(Some(OUTBOUND_MAX))
        .with_max_established(Some(CONNECTIONS_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}

fn identify(key: &TransportKey, names: &Names) -> identify::Behaviour {
    let config = identify::Config::new(names.chain(), key.keypair().public())
        .with_agent_version(concat!("hidamari/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true)
        // Addresses reach the dialling through Kademlia, where they are filtered first.
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

/// Kademlia for peer routing alone: records and providers of strangers are not stored.
fn kademlia(key: &TransportKey, names: &Names) -> Result<kad::Behaviour<MemoryStore>, MeshError> {
    let local = key.peer_id();
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut config = kad::Config::new(names.kademlia()?);
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(QUERY_TIMEOUT)
        .set_periodic_bootstrap_interval(Some(WALK_INTERVAL));
    let store = MemoryStore::with_config(local, nothing);
    let mut kademlia = kad::Behaviour::with_config(local, store, config);
    kademlia.set_mode(Some(kad::Mode::Server));
    Ok(kademlia)
}

/// A machine without multicast is no reason not to start: the other ways of discovery remain.
fn mdns(config: &MeshConfig) -> Option<mdns::tokio::Behaviour> {
    if !config.mdns {
        return None;
    }
    let local = config.transport_key.peer_id();
    match mdns::tokio::Behaviour::new(mdns::Config::default(), local) {
        Ok(behaviour) => Some(behaviour),
        Err(error) => {
            tracing::warn!(%error, "cannot look for peers on the local network by mDNS");
            None
        }
    }
}
