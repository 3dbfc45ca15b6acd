//! Whom the validators' network admits.
//!
//! The ledger's endpoints decide, from the block that names them on. While it names none, as at a
//! community's beginning, the configuration does. An endpoint that this network cannot use is left
//! out and told: what an operator wrote must not stop a validator.

use std::collections::BTreeSet;
use std::time::Duration;

use arc_malachitebft_app_channel::NetworkRequest;
use arc_malachitebft_app_channel::app::net::Multiaddr;
use arc_malachitebft_app_channel::app::types::PeerId;
use tokio::sync::mpsc;

use super::network::{peer_address, peer_of};
use super::{ConsensusConfig, ConsensusError, peer_id};

/// How long the engine's network may take to admit or dismiss a peer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The peers that may connect, and where they listen.
#[derive(Debug)]
pub(super) struct AllowList {
    own: PeerId,
    configured: BTreeSet<Multiaddr>,
    /// As the engine's network has it.
    admitted: BTreeSet<Multiaddr>,
    /// The endpoints that were looked at last.
    seen: Vec<String>,
}

impl AllowList {
    /// The list that holds where the ledger names these endpoints.
    ///
    /// # Errors
    /// [`ConsensusError`] if a configured address or the transport key cannot be used.
    pub(super) fn new(
        config: &ConsensusConfig,
        endpoints: Vec<String>,
    ) -> Result<Self, ConsensusError> {
        let own = peer_id(&config.transport_key_seed)?.parse();
        let own = own.map_err(|_| ConsensusError::TransportKey)?;
        let configured = config.peers.iter().map(|peer| peer_address(peer));
        let configured = configured.collect::<Result<BTreeSet<_>, _>>()?;
        let mut list = Self { own, configured, admitted: BTreeSet::new(), seen: Vec::new() };
        list.admitted = list.wanted(&endpoints);
        list.seen = endpoints;
        Ok(list)
    }

    /// Where the others listen.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        self.admitted.iter().cloned().collect()
    }

    /// Who the others are.
    pub(super) fn peers(&self) -> BTreeSet<PeerId> {
        self.admitted.iter().filter_map(|address| peer_of(&address.to_string()).ok()).collect()
    }

    /// Makes the engine's network admit whom the ledger names now; whether anything changed. What
    /// the network does not do just now is asked for with the next call.
    pub(super) async fn adjust(
        &mut self,
        endpoints: Vec<String>,
        network: &mpsc::Sender<NetworkRequest>,
    ) -> bool {
        if endpoints != self.seen {
            self.seen = endpoints;
        }
        let wanted = self.wanted(&self.seen);
        if wanted == self.admitted {
            return false;
        }
        let (gone, new): (Vec<_>, Vec<_>) = (
            self.admitted.difference(&wanted).cloned().collect(),
            wanted.difference(&self.admitted).cloned().collect(),
        );
        // Whoever listens elsewhere from now on is dismissed there before it is admitted here.
        for address in gone {
            let asked = NetworkRequest::remove_persistent_peer(network, address.clone());
            if let Ok(Ok(answer)) = tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
                tracing::info!(%address, ?answer, "a validator's address is dismissed");
                self.admitted.remove(&address);
            }
        }
        for address in new {
            let asked = NetworkRequest::add_persistent_peer(network, address.clone());
            if let Ok(Ok(answer)) = tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
                tracing::info!(%address, ?answer, "a validator's address is admitted");
                self.admitted.insert(address);
            }
        }
        true
    }

    fn wanted(&self, endpoints: &[String]) -> BTreeSet<Multiaddr> {
        let is_other =
            |address: &Multiaddr| peer_of(&address.to_string()).is_ok_and(|peer| peer != self.own);
        if endpoints.is_empty() {
            return self.configured.iter().filter(|address| is_other(address)).cloned().collect();
        }
        let usable = endpoints.iter().filter_map(|endpoint| match peer_address(endpoint) {
            Ok(address) => Some(address),
            Err(error) => {
                if !self.seen.contains(endpoint) {
                    tracing::warn!(%error, "a validator's endpoint in the ledger cannot be used");
                }
                None
            }
        });
        usable.filter(is_other).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Timeouts;
    use super::*;
    use market::keys::{ChainId, SigningKey};

    fn address(seed: u8, port: u16) -> String {
        format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", peer_id(&[seed; 32]).unwrap())
    }

    fn list(peers: Vec<String>, endpoints: Vec<String>) -> AllowList {
        let config = ConsensusConfig {
            chain: ChainId::from_bytes([1; 32]),
            moniker: "own".to_owned(),
            data_dir: std::path::PathBuf::new(),
            signing_key: SigningKey::from_seed(&[1; 32]),
            transport_key_seed: [1; 32].into(),
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
            peers,
            timeouts: Timeouts::default(),
            quorum_wait_ms: 0,
        };
        AllowList::new(&config, endpoints).unwrap()
    }

    #[tokio::test]
    async fn the_ledger_decides_as_soon_as_it_names_endpoints() {
        let mut list = list(vec![address(2, 2), address(3, 3)], Vec::new());
        assert_eq!(list.peers().len(), 2);
        let (network, mut asked) = mpsc::channel(8);
        assert!(!list.adjust(Vec::new(), &network).await, "nothing to change");
        // Validator 2 listens elsewhere, 3 is gone, 4 is new, this node itself is no peer, and
        // two addresses are none.
        let endpoints = vec![
            address(1, 1),
            address(2, 22),
            address(4, 4),
            "/dns4/example.invalid/tcp/1".to_owned(),
            "nonsense".to_owned(),
        ];
        let told = tokio::spawn(async move {
            let mut told = Vec::new();
            while let Some(request) = asked.recv().await {
                let NetworkRequest::UpdatePersistentPeers(op, reply) = request else { continue };
                told.push(format!("{op:?}").replace('"', ""));
                reply.send(Ok(())).unwrap();
            }
            told
        });
        assert!(list.adjust(endpoints.clone(), &network).await);
        assert!(!list.adjust(endpoints, &network).await, "done once");
        drop(network);
        let mut told = told.await.unwrap();
        assert!(told[..2].iter().all(|op| op.starts_with("Remove")), "dismissed first: {told:?}");
        told.sort_unstable();
        let mut expected: Vec<_> =
            [("Add", 2, 22), ("Add", 4, 4), ("Remove", 2, 2), ("Remove", 3, 3)]
                .map(|(op, seed, port)| format!("{op}({})", address(seed, port)))
                .to_vec();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn what_the_network_does_not_do_is_asked_for_again() {
        let mut list = list(vec![address(2, 2)], Vec::new());
        let (network, asked) = mpsc::channel(8);
        drop(asked);
        assert!(list.adjust(vec![address(3, 3)], &network).await);
        assert_eq!(list.addresses(), [address(2, 2).parse::<Multiaddr>().unwrap()]);
        assert!(list.adjust(vec![address(3, 3)], &network).await, "still to be done");
    }
}
