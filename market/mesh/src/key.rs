//! The transport key: who this node is on the wire, and nothing else.

use std::fmt;

use libp2p::PeerId;
use libp2p::identity::Keypair;

use crate::key_file::Seed;

/// An Ed25519 key pair for the transport. Its `Debug` shows the [`PeerId`] alone.
#[derive(Clone)]
pub struct TransportKey(Keypair);

impl TransportKey {
    /// The key of a 32-byte Ed25519 seed.
    pub fn from_seed(seed: impl Into<Seed>) -> TransportKey {
        let mut bytes: [u8; 32] = *seed.into();
        // Zeroes the copy it reads from.
        let key = Keypair::ed25519_from_bytes(&mut bytes)
            .expect("any 32 bytes are an Ed25519 secret key");
        TransportKey(key)
    }

    /// A fresh key from the operating system's randomness.
    pub fn generate() -> TransportKey {
        TransportKey(Keypair::generate_ed25519())
    }

    /// The public identity of this key.
    pub fn peer_id(&self) -> PeerId {
        self.0.public().to_peer_id()
    }

    pub(crate) fn keypair(&self) -> &Keypair {
        &self.0
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportKey({})", self.peer_id())
    }
}
