//! The book of open connections: who is connected how, since when, and known as what.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::board::PeerStatus;
use crate::config::ip_of;
use crate::topic::Topic;

#[derive(Default)]
pub(crate) struct Links {
    peers: BTreeMap<PeerId, Link>,
}

#[derive(Default)]
struct Link {
    connections: BTreeMap<ConnectionId, Connection>,
    identity: Option<Identity>,
    topics: BTreeSet<Topic>,
    joined: bool,
}

struct Connection {
    address: Multiaddr,
    outbound: bool,
    since: Instant,
}

/// What a peer of this chain said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) serves_blocks: bool,
}

impl Links {
    pub(crate) fn opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let connection_entry = Connection {
            address: endpoint.get_remote_address().clone(),
            outbound: endpoint.is_dialer(),
            since: now,
        };
        self.peers.entry(peer).or_default().connections.insert(connection, connection_entry);
    }

    /// Returns whether a peer that had joined left with its last connection.
    pub(crate) fn closed(&mut self, peer: PeerId, connection: ConnectionId) -> bool {
        let Some(link) = self.peers.get_mut(&peer) else {
            return false;
        };
        link.connections.remove(&connection);
        if !link.connections.is_empty() {
            return false;
        }
        self.peers.remove(&peer).is_some_and(|link| link.joined)
    }

    pub(crate) fn identified(&mut self, peer: PeerId, identity: Identity) {
        if let Some(link) = self.peers.get_mut(&peer) {
            link.identity = Some(identity);
        }
    }

    pub(crate) fn subscribed(&mut self, peer: &PeerId, topic: Topic) {
        if let Some(link) = self.peers.get_mut(peer) {
            link.topics.insert(topic);
        }
    }

    /// Lets a peer that is identified and listens to every topic join. Returns whether it joined
    /// just now.
    pub(crate) fn join(&mut self, peer: &PeerId) -> bool {
        let Some(link) = self.peers.get_mut(peer) else {
            return false;
        };
        let ready = link.identity.is_some() && link.topics.len() == Topic::ALL.len();
        let joined = ready && !link.joined;
        link.joined |= ready;
        joined
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    pub(crate) fn connections(&self) -> usize {
        self.peers.values().map(|link| link.connections.len()).sum()
    }

    /// Whether the peer sits on this machine, judged by where its connection comes from.
    pub(crate) fn is_near(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|link| {
            link.connections
                .values()
                .any(|connection| ip_of(&connection.address).is_some_and(|ip| ip.is_loopback()))
        })
    }

    /// Connections opened before `since` with peers that never joined.
    pub(crate) fn not_joined_since(&self, since: Instant) -> Vec<ConnectionId> {
        self.peers
            .values()
            .filter(|link| !link.joined)
            .flat_map(|link| &link.connections)
            .filter(|(_, connection)| connection.since < since)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Peers that only this node wanted to be connected with, oldest first.
    pub(crate) fn dialled_only(&self) -> Vec<PeerId> {
        let mut peers: Vec<(Instant, PeerId)> = self
            .peers
            .iter()
            .filter(|(_, link)| link.connections.values().all(|connection| connection.outbound))
            .filter_map(|(peer, link)| {
                let since = link.connections.values().map(|connection| connection.since).min()?;
                Some((since, *peer))
            })
            .collect();
        peers.sort_unstable();
        peers.into_iter().map(|(_, peer)| peer).collect()
    }

    pub(crate) fn statuses(&self) -> Vec<PeerStatus> {
        self.peers
            .iter()
            .filter(|(_, link)| link.joined)
            .filter_map(|(peer, link)| {
                let identity = link.identity.as_ref()?;
                let mut addresses = identity.addresses.clone();
                for connection in link.connections.values() {
                    if !addresses.contains(&connection.address) {
                        addresses.push(connection.address.clone());
                    }
                }
                let serves_blocks = identity.serves_blocks;
                Some(PeerStatus { peer: *peer, addresses, serves_blocks })
            })
            .collect()
    }
}
