//! The swarm task: one loop that owns the libp2p swarm and everything that changes with it.

pub(crate) mod blocks;
mod messages;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::request_response::{InboundRequestId, OutboundRequestId};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, TransportError, identify, mdns, ping};
use tokio::sync::mpsc;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::behaviour::{Behaviour, BehaviourEvent, build_swarm};
use crate::board::Board;
use crate::config::{MeshConfig, check_free, dialable};
use crate::counters::{MeshCounters, count};
use crate::dialer::{Dial, Dialer};
use crate::error::MeshError;
use crate::handle::{Command, MeshEvent};
use crate::inbox::Inbox;
use crate::limits::{
    ADDRESSES_PER_PEER_MAX, COMMANDS_MAX, EVENTS_MAX, LISTEN_TIMEOUT, UPKEEP_INTERVAL,
};
use crate::links::{Identity, Links};
use crate::names::Names;
use crate::published::Published;
use crate::ticket::Reply;
use crate::topic::Topics;

/// The ends of the task's channels that belong to the handle.
pub(crate) struct Started {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) replies: mpsc::UnboundedSender<Reply>,
    pub(crate) events: mpsc::Receiver<MeshEvent>,
    pub(crate) board: Arc<Board>,
    pub(crate) counters: Arc<MeshCounters>,
}

pub(crate) struct SwarmTask {
    swarm: Swarm<Behaviour>,
    topics: Topics,
    chain: String,
    blocks_protocol: StreamProtocol,
    kademlia_protocol: StreamProtocol,
    dialer: Dialer,
    links: Links,
    inbox: Inbox,
    published: Published,
    fetches: BTreeMap<OutboundRequestId, blocks::Pending>,
    serving: BTreeMap<InboundRequestId, PeerId>,
    cut_off: BTreeMap<PeerId, Instant>,
    foreign: BTreeSet<PeerId>,
    events: mpsc::Sender<MeshEvent>,
    commands: mpsc::Receiver<Command>,
    replies: mpsc::UnboundedReceiver<Reply>,
    reply_sender: mpsc::UnboundedSender<Reply>,
    board: Arc<Board>,
    counters: Arc<MeshCounters>,
}

impl SwarmTask {
    /// Builds the swarm and brings its listeners up.
    pub(crate) async fn start(config: &MeshConfig) -> Result<(Started, SwarmTask), MeshError> {
        config.check()?;
        let names = Names::new(&config.chain_id);
        let topics = Topics::new(&names);
        let local = config.transport_key.peer_id();
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (replies, reply_receiver) = mpsc::unbounded_channel();
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let (board, counters) = (Arc::<Board>::default(), Arc::<MeshCounters>::default());
        let mut task = SwarmTask {
            swarm: build_swarm(config, &names, &topics)?,
            topics,
            chain: names.chain(),
            blocks_protocol: names.blocks()?,
            kademlia_protocol: names.kademlia()?,
            dialer: Dialer::new(local, &config.bootstrap, Instant::now()),
            links: Links::default(),
            inbox: Inbox::default(),
            published: Published::new(local),
            fetches: BTreeMap::new(),
            serving: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            foreign: BTreeSet::new(),
            events: event_sender,
            commands: command_receiver,
            replies: reply_receiver,
            reply_sender: replies.clone(),
            board: Arc::clone(&board),
            counters: Arc::clone(&counters),
        };
        for address in &config.listen {
            task.listen(address).await?;
        }
        Ok((Started { commands, replies, events, board, counters }, task))
    }

    async fn listen(&mut self, address: &Multiaddr) -> Result<(), MeshError> {
        let refused = |source| MeshError::Listen { address: address.clone(), source };
        check_free(address).map_err(refused)?;
        let listener = self.swarm.listen_on(address.clone()).map_err(|error| match error {
            TransportError::Other(source) => refused(source),
            TransportError::MultiaddrNotSupported(address) => {
                MeshError::AddressNotIpTcp { address }
            }
        })?;
        let up = time::timeout(LISTEN_TIMEOUT, self.listener_up(listener)).await;
        match up {
            Ok(result) => result.map_err(refused),
            Err(_) => Err(MeshError::ListenTimedOut { address: address.clone() }),
        }
    }

    async fn listener_up(&mut self, listener: ListenerId) -> std::io::Result<()> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    self.on_listening(address);
                    if listener_id == listener {
                        return Ok(());
                    }
                }
                SwarmEvent::ListenerClosed { listener_id, reason, .. }
                    if listener_id == listener =>
                {
                    return reason;
                }
                event => self.on_swarm_event(event),
            }
        }
    }

    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut upkeep = time::interval(UPKEEP_INTERVAL);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.dialer.next_due();
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(reply) = self.replies.recv() => self.on_reply(reply),
                Some(command) = self.commands.recv() => self.on_command(command),
                () = sleep_until(due) => self.dial_due(),
                _ = upkeep.tick() => self.upkeep(),
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, payload, done } => {
                // The publisher may have stopped waiting.
                let _ = done.send(self.publish(topic, payload));
            }
            Command::Fetch { peer, request, done } => self.fetch(peer, request, done),
        }
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Judgement(judgement) => self.on_judgement(&judgement),
            Reply::Answer { ticket, response } => self.on_answer(ticket, response),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                count(&self.counters.connections_opened);
                self.links.opened(peer_id, connection_id, &endpoint, Instant::now());
                self.dialer.connected(peer_id, connection_id);
                self.show_links();
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                let left = self.links.closed(peer_id, connection_id);
                if num_established == 0 {
                    self.dialer.disconnected(peer_id, Instant::now());
                }
                self.show_links();
                if left {
                    self.emit(MeshEvent::PeerLeft { peer: peer_id });
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                count(&self.counters.connections_refused);
                tracing::debug!(%error, from = %send_back_addr, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { .. } => self.show_listening(),
            SwarmEvent::ListenerClosed { reason, .. } => {
                tracing::error!(?reason, "the mesh lost a listener");
                self.show_listening();
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener of the mesh failed to take a connection");
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Fetch(event) => self.on_fetch(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, &info);
            }
            BehaviourEvent::Ping(ping::Event { connection, result, .. }) => {
                // A peer whose machine died leaves no closed socket behind, only silence.
                if matches!(result, Err(ping::Failure::Timeout | ping::Failure::Other { .. })) {
                    self.swarm.close_connection(connection);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    if let Some(address) = dialable(&address, false) {
                        self.swarm.behaviour_mut().kademlia.add_address(&peer, address);
                    }
                }
                self.dial_known();
            }
            _ => {}
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if info.protocol_version != self.chain {
            self.send_away_foreigner(peer, &info.protocol_version);
            return;
        }
        let near = self.links.is_near(&peer);
        let addresses: Vec<Multiaddr> = info
            .listen_addrs
            .iter()
            .filter_map(|address| dialable(address, near))
            .take(ADDRESSES_PER_PEER_MAX)
            .collect();
        if info.protocols.contains(&self.kademlia_protocol) {
            for address in &addresses {
                self.swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
            }
        }
        let serves_blocks = info.protocols.contains(&self.blocks_protocol);
        self.links.identified(peer, Identity { addresses, serves_blocks });
        self.welcome(peer);
    }

    /// To be called when more is known of a peer: it has joined once it is of this chain and hears
    /// what is published here.
    fn welcome(&mut self, peer: PeerId) {
        let joined = self.links.join(&peer);
        self.show_links();
        if joined {
            self.dialer.joined(peer);
            self.emit(MeshEvent::PeerJoined { peer });
        }
    }

    fn on_dial_failed(&mut self, connection: libp2p::swarm::ConnectionId, error: &DialError) {
        if matches!(error, DialError::LocalPeerId { .. }) {
            self.dialer.is_own(connection);
        } else if let Some(address) = self.dialer.failed(connection, Instant::now()) {
            tracing::info!(%address, %error, "a bootstrap peer does not answer, trying on");
        } else {
            tracing::debug!(%error, "dialling failed");
        }
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        for Dial { target, address, peer } in self.dialer.due(now) {
            // From a port of its own: two nodes that dial each other from their listening ports
            // at the same moment would meet in one half-made connection.
            let options = match peer {
                Some(peer) => DialOpts::peer_id(peer)
                    .addresses(vec![address.clone()])
                    .allocate_new_port()
                    .build(),
                None => {
                    DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build()
                }
            };
            let connection = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => self.dialer.dialling(target, connection),
                Err(error) => {
                    tracing::debug!(%address, %error, "not dialling a bootstrap address");
                    self.dialer.refused(target, now);
                }
            }
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        tracing::info!(%address, peer = %self.swarm.local_peer_id(), "the mesh listens");
        self.show_listening();
        self.emit(MeshEvent::Listening { address });
    }

    fn show_listening(&self) {
        self.board.show_listening(self.swarm.listeners().cloned().collect());
    }

    fn show_links(&self) {
        let connections = u64::try_from(self.links.connections()).unwrap_or(u64::MAX);
        self.counters.connections.store(connections, Ordering::Relaxed);
        self.board.show_peers(self.links.statuses());
    }

    /// Hands an event to the role, if there is room. What carries a ticket answers for itself.
    fn emit(&self, event: MeshEvent) {
        if self.events.try_send(event).is_err() {
            count(&self.counters.events_lost);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => future::pending().await,
    }
}
