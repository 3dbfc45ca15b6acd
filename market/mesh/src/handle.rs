//! The handle that roles hold, and the events that come to them.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, PeerStatus};
use crate::config::MeshConfig;
use crate::counters::{MeshCounters, count};
use crate::error::MeshError;
use crate::frame::{
    BlockRequest, BlockResponse, Request, Response, SnapshotRequest, SnapshotResponse,
};
use crate::limits::{FETCH_TIMEOUT, PAYLOAD_BYTES_MAX};
use crate::swarm::{self, blocks::other_kind};
use crate::ticket::{MessageTicket, Reply, RequestTicket, Verdict};
use crate::topic::Topic;

/// Something that happened on the mesh.
#[derive(Debug)]
pub enum MeshEvent {
    /// A payload came in for the first time. It is not forwarded before [`Mesh::judge`].
    Message {
        /// What it is about.
        topic: Topic,
        /// The bytes as published, at most [`PAYLOAD_BYTES_MAX`].
        payload: Vec<u8>,
        /// The neighbour it came from, not necessarily its author.
        from: PeerId,
        /// To judge it with.
        ticket: MessageTicket,
    },
    /// A neighbour asks for blocks.
    BlocksRequested {
        /// Who asks.
        from: PeerId,
        /// For what.
        request: BlockRequest,
        /// To answer with.
        ticket: RequestTicket,
    },
    /// A neighbour asks for a part of a snapshot.
    SnapshotRequested {
        /// Who asks.
        from: PeerId,
        /// For what.
        request: SnapshotRequest,
        /// To answer with.
        ticket: RequestTicket,
    },
    /// A peer of this chain is connected, and hears what is published from now on.
    PeerJoined {
        /// Who.
        peer: PeerId,
    },
    /// The last connection with a peer that had joined is gone.
    PeerLeft {
        /// Who.
        peer: PeerId,
    },
    /// This node listens on one more address.
    Listening {
        /// Where, with the port really bound.
        address: Multiaddr,
    },
}

/// The receiving end of one mesh, for one consumer. The queue is bounded: while it is full,
/// messages are ignored, block requests refused, and other events lost; all are counted. The
/// truth about neighbours is [`Mesh::peers`], not the sum of the events.
#[derive(Debug)]
pub struct MeshEvents {
    receiver: mpsc::Receiver<MeshEvent>,
    task: JoinHandle<()>,
}

impl MeshEvents {
    /// The next event; `None` once the mesh has stopped and everything is read. Cancel-safe.
    pub async fn recv(&mut self) -> Option<MeshEvent> {
        self.receiver.recv().await
    }

    /// Waits until the swarm task has ended and its sockets are closed.
    ///
    /// # Errors
    /// [`MeshError::Crashed`] if it ended by a panic.
    pub async fn stopped(self) -> Result<(), MeshError> {
        drop(self.receiver);
        self.task.await.map_err(|_| MeshError::Crashed)
    }
}

/// A handle on a running mesh. Cheap to clone; all clones are equal.
#[derive(Debug, Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    local: PeerId,
    commands: mpsc::Sender<Command>,
    replies: mpsc::UnboundedSender<Reply>,
    board: Arc<Board>,
    counters: Arc<MeshCounters>,
}

/// What the handle asks of the swarm task.
pub(crate) enum Command {
    Publish { topic: Topic, payload: Vec<u8>, done: oneshot::Sender<Result<(), MeshError>> },
    Fetch { peer: PeerId, request: Request, done: FetchDone },
}

pub(crate) type FetchDone = oneshot::Sender<Result<Response, MeshError>>;

impl Mesh {
    /// Binds the listeners and starts the swarm task, which runs until `shutdown`. Returns when
    /// every listener is up, so that [`Mesh::listening`] is complete; bootstrap addresses are
    /// dialled from then on.
    ///
    /// # Errors
    /// [`MeshError::AddressNotIpTcp`], [`MeshError::Listen`], [`MeshError::ListenTimedOut`] or
    /// [`MeshError::Setup`]. An unreachable bootstrap peer is no error.
    pub async fn start(
        config: MeshConfig,
        shutdown: CancellationToken,
    ) -> Result<(Mesh, MeshEvents), MeshError> {
        let local = config.transport_key.peer_id();
        let (started, task) = swarm::SwarmTask::start(&config).await?;
        let swarm::Started { commands, replies, events, board, counters } = started;
        let task = tokio::spawn(task.run(shutdown));
        let inner = Inner { local, commands, replies, board, counters };
        Ok((Mesh { inner: Arc::new(inner) }, MeshEvents { receiver: events, task }))
    }

    /// This node's own identity.
    pub fn peer_id(&self) -> PeerId {
        self.inner.local
    }

    /// Sends a payload to all neighbours that listen to the topic, and through them to all
    /// members. The publisher does not receive its own message. The same payload again within
    /// [`crate::DUPLICATE_WINDOW`] is a success that sends nothing.
    ///
    /// # Errors
    /// [`MeshError::PayloadTooLarge`], [`MeshError::NoPeers`], [`MeshError::QueuesFull`],
    /// [`MeshError::PublishFailed`], [`MeshError::Stopped`].
    pub async fn publish(&self, topic: Topic, payload: Vec<u8>) -> Result<(), MeshError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            count(&self.inner.counters.oversized);
            return Err(MeshError::PayloadTooLarge {
                length: payload.len(),
                limit: PAYLOAD_BYTES_MAX,
            });
        }
        let (done, result) = oneshot::channel();
        self.command(Command::Publish { topic, payload, done }).await?;
        result.await.map_err(|_| MeshError::Stopped)?
    }

    /// Says what becomes of a message, once. After [`crate::VERDICT_WINDOW`] an
    /// [`Verdict::Accept`] forwards nothing any more.
    pub fn judge(&self, message: MessageTicket, verdict: Verdict) {
        message.settle(verdict);
    }

    /// Asks a neighbour for blocks and waits for its answer, at most [`crate::FETCH_TIMEOUT`].
    /// The answer is checked for its form and number of blocks alone.
    ///
    /// # Errors
    /// [`MeshError::NotConnected`], [`MeshError::FetchBusy`], [`MeshError::FetchTimedOut`],
    /// [`MeshError::FetchFailed`], [`MeshError::TooManyBlocks`], [`MeshError::Stopped`].
    pub async fn fetch(
        &self,
        peer: PeerId,
        request: BlockRequest,
    ) -> Result<BlockResponse, MeshError> {
        match self.ask(peer, Request::Blocks(request)).await? {
            Response::Blocks(response) => Ok(response),
            Response::Snapshot(_) => Err(other_kind(peer)),
        }
    }

    /// Asks a neighbour for a part of a snapshot, with the same bound and errors as
    /// [`Mesh::fetch`].
    ///
    /// # Errors
    /// As [`Mesh::fetch`].
    pub async fn fetch_snapshot(
        &self,
        peer: PeerId,
        request: SnapshotRequest,
    ) -> Result<SnapshotResponse, MeshError> {
        match self.ask(peer, Request::Snapshot(request)).await? {
            Response::Snapshot(response) => Ok(response),
            Response::Blocks(_) => Err(other_kind(peer)),
        }
    }

    async fn ask(&self, peer: PeerId, request: Request) -> Result<Response, MeshError> {
        let (done, result) = oneshot::channel();
        let answer = async {
            self.command(Command::Fetch { peer, request, done }).await?;
            result.await.map_err(|_| MeshError::Stopped)?
        };
        timeout(FETCH_TIMEOUT, answer).await.map_err(|_| MeshError::FetchTimedOut { peer })?
    }

    /// Answers a block request. Blocks beyond [`crate::RESPONSE_BYTES_MAX`] in total are left out,
    /// and the requester asks on. If the requester is gone, nothing happens.
    pub fn answer(&self, ticket: RequestTicket, response: BlockResponse) {
        // A closed channel means the mesh has stopped, and the requester sees that itself.
        let response = Response::Blocks(response);
        let _ = self.inner.replies.send(Reply::Answer { ticket, response });
    }

    /// Answers a request for a part of a snapshot, of at most
    /// [`crate::SNAPSHOT_CHUNK_BYTES_MAX`]. If the requester is gone, nothing happens.
    pub fn answer_snapshot(&self, ticket: RequestTicket, response: SnapshotResponse) {
        let response = Response::Snapshot(response);
        let _ = self.inner.replies.send(Reply::Answer { ticket, response });
    }

    /// The connected peers that have joined, ordered by their id.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.inner.board.peers()
    }

    /// The addresses this node listens on, with the ports really bound.
    pub fn listening(&self) -> Vec<Multiaddr> {
        self.inner.board.listening()
    }

    /// What this mesh has counted since its start.
    pub fn counters(&self) -> Arc<MeshCounters> {
        Arc::clone(&self.inner.counters)
    }

    async fn command(&self, command: Command) -> Result<(), MeshError> {
        self.inner.commands.send(command).await.map_err(|_| MeshError::Stopped)
    }
}
