//! What the swarm task shows to the outside without being asked: neighbours and own addresses.

use std::sync::{PoisonError, RwLock};

use libp2p::{Multiaddr, PeerId};

/// A connected peer that has joined: it is of this chain and hears what is published here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who it is.
    pub peer: PeerId,
    /// Where it listens by its own word, and the far ends of the connections with it.
    pub addresses: Vec<Multiaddr>,
    /// Whether it answers block requests.
    pub serves_blocks: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Board {
    peers: RwLock<Vec<PeerStatus>>,
    listening: RwLock<Vec<Multiaddr>>,
}

impl Board {
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn listening(&self) -> Vec<Multiaddr> {
        self.listening.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show_peers(&self, peers: Vec<PeerStatus>) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    pub(crate) fn show_listening(&self, addresses: Vec<Multiaddr>) {
        *self.listening.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}
