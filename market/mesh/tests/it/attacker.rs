//! A raw peer that speaks gossipsub and nothing else, with limits of its own.

use std::time::Duration;

use futures::StreamExt;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, MessageAuthenticity, MessageId, ValidationMode,
};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Swarm, SwarmBuilder, noise, tcp, yamux};
use mesh::Multiaddr;
use tokio::time::timeout;

use crate::node::{PATIENCE, TAG};

pub(crate) struct Attacker {
    swarm: Swarm<gossipsub::Behaviour>,
}

impl Attacker {
    /// Connects and waits until the victim has said which topics it listens to.
    pub(crate) async fn connect(victim: &Multiaddr) -> Attacker {
        let key = Keypair::generate_ed25519();
        let config = ConfigBuilder::default()
            .protocol_id_prefix(format!("/hidamari/{TAG}/meshsub"))
            .max_transmit_size(8 * 1024 * 1024)
            .validation_mode(ValidationMode::Anonymous)
            .message_id_fn(|message| MessageId::from(message.data.clone()))
            .build()
            .expect("valid settings");
        let authenticity = MessageAuthenticity::Anonymous;
        let gossip = gossipsub::Behaviour::new(authenticity, config).expect("a gossipsub");
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_| gossip)
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        for name in ["orders", "readings", "blocks"] {
            swarm.behaviour_mut().subscribe(&topic(name)).expect("subscribed");
        }
        swarm.dial(victim.clone()).expect("dialled");
        let mut attacker = Attacker { swarm };
        let orders = topic("orders").hash();
        attacker
            .until(|event| {
                matches!(event, SwarmEvent::Behaviour(gossipsub::Event::Subscribed {
                    topic, ..
                }) if *topic == orders)
            })
            .await;
        attacker
    }

    pub(crate) fn dial(&mut self, victim: &Multiaddr) {
        self.swarm.dial(victim.clone()).expect("dialled");
    }

    pub(crate) fn shout(&mut self, payload: Vec<u8>) {
        self.swarm.behaviour_mut().publish(topic("orders"), payload).expect("published");
    }

    /// Lets the swarm work until an event of a kind.
    pub(crate) async fn until(
        &mut self,
        wanted: impl Fn(&SwarmEvent<gossipsub::Event>) -> bool,
    ) -> SwarmEvent<gossipsub::Event> {
        let event = async {
            loop {
                let event = self.swarm.select_next_some().await;
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, event).await.expect("the event comes")
    }

    pub(crate) async fn until_thrown_out(&mut self) {
        self.until(|event| matches!(event, SwarmEvent::ConnectionClosed { .. })).await;
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

    /// Lets the swarm work for a moment.
    pub(crate) async fn linger(&mut self, time: Duration) {
        self.meanwhile(tokio::time::sleep(time)).await;
    }
}

fn topic(name: &str) -> IdentTopic {
    IdentTopic::new(format!("hidamari/{TAG}/{name}/1"))
}
