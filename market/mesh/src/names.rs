//! Names on the wire. Each carries the first 8 bytes of the chain id, so that two chains which
//! meet on one network share no protocol but the one that tells them apart.

use libp2p::StreamProtocol;

use crate::error::MeshError;

/// The wire names of one chain.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    tag: String,
}

impl Names {
    pub(crate) fn new(chain_id: &[u8; 32]) -> Names {
        Names { tag: chain_id.iter().take(8).map(|byte| format!("{byte:02x}")).collect() }
    }

    /// What identify tells: the chain. Peers that say anything else are of another chain.
    pub(crate) fn chain(&self) -> String {
        format!("hidamari/{}/1", self.tag)
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("hidamari/{}/{name}/1", self.tag)
    }

    /// gossipsub appends its own version.
    pub(crate) fn gossip_prefix(&self) -> String {
        format!("/hidamari/{}/meshsub", self.tag)
    }

    pub(crate) fn kademlia(&self) -> Result<StreamProtocol, MeshError> {
        self.protocol("kad", 1)
    }

    pub(crate) fn blocks(&self) -> Result<StreamProtocol, MeshError> {
        self.protocol("blocks", 2)
    }

    fn protocol(&self, name: &str, version: u8) -> Result<StreamProtocol, MeshError> {
        StreamProtocol::try_from_owned(format!("/hidamari/{}/{name}/{version}", self.tag))
            .map_err(|error| MeshError::Setup { part: "protocol name", reason: error.to_string() })
    }
}
