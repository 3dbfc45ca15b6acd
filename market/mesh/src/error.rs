//! What can go wrong in the mesh, named as what went wrong.

use std::io;

use libp2p::{Multiaddr, PeerId};

use crate::topic::Topic;

/// An error of the mesh.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// A configured address is not `/ip4|ip6/../tcp/..[/p2p/..]`.
    #[error("address {address} is not of the form /ip4/../tcp/.. or /ip6/../tcp/..[/p2p/..]")]
    AddressNotIpTcp {
        /// The address as configured.
        address: Multiaddr,
    },
    /// A listening address could not be bound (in use, not permitted, not of this machine).
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as configured.
        address: Multiaddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A listener did not come up in time.
    #[error("no listener came up on {address} in time")]
    ListenTimedOut {
        /// The address as configured.
        address: Multiaddr,
    },
    /// A part of the swarm refused its settings.
    #[error("the mesh cannot set up its {part}: {reason}")]
    Setup {
        /// The part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
    /// The mesh was shut down.
    #[error("the mesh has stopped")]
    Stopped,
    /// The swarm task ended by a panic.
    #[error("the mesh has crashed")]
    Crashed,
    /// No neighbour listens to the topic (yet). Nothing was sent; try again later.
    #[error("no neighbour listens to {topic}")]
    NoPeers {
        /// The topic published to.
        topic: Topic,
    },
    /// The payload is longer than [`crate::PAYLOAD_BYTES_MAX`].
    #[error("a payload of {length} bytes is over the limit of {limit}")]
    PayloadTooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The send queues of all neighbours are full. Nothing was sent; try again later.
    #[error("the send queues of all {peers} neighbours on {topic} are full")]
    QueuesFull {
        /// The topic published to.
        topic: Topic,
        /// How many neighbours were tried.
        peers: usize,
    },
    /// gossipsub refused to publish for another reason.
    #[error("cannot publish on {topic}: {reason}")]
    PublishFailed {
        /// The topic published to.
        topic: Topic,
        /// What gossipsub said.
        reason: String,
    },
    /// The peer to fetch from is not a neighbour.
    #[error("not connected to {peer}")]
    NotConnected {
        /// The peer asked for.
        peer: PeerId,
    },
    /// Too many fetches are under way already.
    #[error("{limit} block fetches are under way already")]
    FetchBusy {
        /// How many may be.
        limit: usize,
    },
    /// The peer did not answer within [`crate::FETCH_TIMEOUT`].
    #[error("{peer} did not answer the block request in time")]
    FetchTimedOut {
        /// The peer asked.
        peer: PeerId,
    },
    /// The peer refused the request, went away, or answered with garbage.
    #[error("fetching blocks from {peer} failed: {reason}")]
    FetchFailed {
        /// The peer asked.
        peer: PeerId,
        /// What happened.
        reason: String,
    },
    /// The peer sent more blocks than were asked for.
    #[error("{peer} sent {sent} blocks where at most {asked} were asked for")]
    TooManyBlocks {
        /// The peer asked.
        peer: PeerId,
        /// How many blocks came.
        sent: usize,
        /// How many were asked for.
        asked: u16,
    },
    /// A block that no answer can carry.
    #[error("a block of {length} bytes fits into no answer of at most {limit} bytes")]
    BlockTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit of a whole answer in bytes.
        limit: usize,
    },
    /// A frame claims to be longer than its kind may be.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    FrameTooLong {
        /// Its claimed length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame ends before its content does.
    #[error("a frame ends after {left} bytes where {needed} more are needed")]
    FrameTooShort {
        /// Bytes that the next field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A frame goes on after its content ended.
    #[error("a frame has {extra} bytes too many")]
    FrameTrailing {
        /// Bytes left over.
        extra: usize,
    },
    /// A frame of a version or kind that this program does not know.
    #[error("unknown frame of version {version}, kind {kind}")]
    FrameKind {
        /// Its version.
        version: u8,
        /// Its kind.
        kind: u8,
    },
    /// A request sets flags that mean nothing.
    #[error("unknown flags {flags:#04x} in a block request")]
    FrameFlags {
        /// The flags as sent.
        flags: u8,
    },
}
