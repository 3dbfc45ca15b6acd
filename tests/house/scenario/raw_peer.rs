//! A peer that speaks gossipsub and nothing else, with limits of its own: the mesh itself would not
//! send what it sends.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, MessageAuthenticity, MessageId, ValidationMode,
};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};
use market::keys::ChainId;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct RawPeer {
    swarm: Swarm<gossipsub::Behaviour>,
    orders: IdentTopic,
}

impl RawPeer {
    /// Connects to a node and waits until it has said that it listens to orders.
    pub(crate) async fn connect(victim: Multiaddr, chain: &ChainId) -> Self {
        let tag = hex::encode(&chain.as_bytes()[..8]);
        let key = Keypair::generate_ed25519();
        let config = ConfigBuilder::default()
            .protocol_id_prefix(format!("/hidamari/{tag}/meshsub"))
            .max_transmit_size(8 << 20)
            .validation_mode(ValidationMode::Anonymous)
            .message_id_fn(|message| MessageId::from(message.data.clone()))
            .build()
            .expect("settings");
        let gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config);
        let gossip = gossip.expect("a gossipsub");
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_| gossip)
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let orders = IdentTopic::new(format!("hidamari/{tag}/orders/1"));
        swarm.behaviour_mut().subscribe(&orders).expect("subscribed");
        swarm.dial(victim).expect("dialled");
        let mut peer = Self { swarm, orders };
        let wanted = peer.orders.hash();
        let joined = async {
            loop {
                let event = peer.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(gossipsub::Event::Subscribed { topic, .. }) = event
                    && topic == wanted
                {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, joined).await.expect("the node listens to orders");
        peer
    }

    pub(crate) fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Sends bytes as an order, however many.
    pub(crate) fn shout(&mut self, payload: Vec<u8>) {
        let orders = self.orders.clone();
        self.swarm.behaviour_mut().publish(orders, payload).expect("sent");
    }

    /// Lets the swarm work while something else is waited for.
    pub(crate) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = self.swarm.select_next_some() => {}
            }
        }
    }
}
