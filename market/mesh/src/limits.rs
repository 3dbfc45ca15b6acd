//! Every bound of the mesh in one place: sizes, counts, rates and real-time durations.

use std::time::Duration;

/// Longest payload of one gossip message, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Longest gossip frame, in bytes. Wider than a payload, so that a message which is somewhat too
/// long is seen, counted and charged to its sender instead of vanishing with its stream; what is
/// longer than this is never read.
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024;

/// For how long the same payload on the same topic is not sent or delivered again (real time).
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(20);

/// How long a message waits for its verdict before gossipsub forgets it (real time).
pub const VERDICT_WINDOW: Duration = Duration::from_secs(10);

/// How long a block fetch may take, from the request to the last byte of the answer.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a fetch stream stays open on either side. Longer than [`FETCH_TIMEOUT`], so that it is
/// always the requester who gives up, and knows why.
pub(crate) const FETCH_STREAM_TIMEOUT: Duration = Duration::from_secs(12);

/// Longest body of a block request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64;

/// Longest body of a block response, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest part of a snapshot in one answer, in bytes.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Block fetches that this node may have under way at once.
pub(crate) const FETCHES_MAX: usize = 32;
/// Block requests that this node answers at once: bounds the memory to this many responses.
pub(crate) const SERVING_MAX: usize = 32;
/// Block requests that this node answers at once for one peer.
pub(crate) const SERVING_PER_PEER_MAX: usize = 2;
/// Fetch streams on one connection, both directions.
pub(crate) const FETCH_STREAMS_MAX: usize = 8;

/// Length of the event queue towards the role. Messages take at most [`UNJUDGED_MAX`] of it.
pub(crate) const EVENTS_MAX: usize = 4096;
/// Length of the command queue from the role.
pub(crate) const COMMANDS_MAX: usize = 256;

/// Messages delivered to the role and not judged yet, in total.
pub(crate) const UNJUDGED_MAX: usize = 2048;
/// The same from one neighbour, so that a flood leaves three quarters of the queue to others.
pub(crate) const UNJUDGED_PER_PEER_MAX: usize = 512;
/// Bytes of messages not judged yet, in total.
pub(crate) const UNJUDGED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The same from one neighbour.
pub(crate) const UNJUDGED_BYTES_PER_PEER_MAX: usize = 2 * 1024 * 1024;

/// Messages per second that one neighbour may bring in the long run.
pub(crate) const MESSAGES_PER_SECOND: f64 = 1000.0;
/// Messages that a neighbour may bring at once after a silence.
pub(crate) const MESSAGES_BURST: f64 = 2000.0;
/// Messages beyond its budget after which a neighbour is cut off.
pub(crate) const MESSAGES_DEBT_MAX: f64 = 5000.0;

/// Connections in total; inbound and outbound shares add up to it, so that strangers who fill
/// the inbound share never keep this node from dialling out.
pub(crate) const CONNECTIONS_MAX: u32 = INBOUND_MAX + OUTBOUND_MAX;
/// Established inbound connections.
pub(crate) const INBOUND_MAX: u32 = 192;
/// Established outbound connections.
pub(crate) const OUTBOUND_MAX: u32 = 64;
/// Connections with one peer: two arise when both sides dial at once, a third while one of
/// them is already dead but not yet noticed.
pub(crate) const CONNECTIONS_PER_PEER_MAX: u32 = 3;
/// Inbound handshakes under way.
pub(crate) const PENDING_INBOUND_MAX: u32 = 128;
/// Inbound handshakes under way from one IP address.
pub(crate) const PENDING_INBOUND_PER_ADDRESS_MAX: u32 = 48;
/// Established inbound connections from one IP address. High: a whole community may live behind
/// one NAT, or on the loopback of one machine.
pub(crate) const INBOUND_PER_ADDRESS_MAX: u32 = 128;
/// Outbound handshakes under way.
pub(crate) const PENDING_OUTBOUND_MAX: u32 = 32;
/// Inbound streams being negotiated on one connection; each may hold a receive window of memory.
pub(crate) const NEGOTIATING_STREAMS_MAX: usize = 32;

/// How long a TCP connect with its Noise and Yamux handshakes may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may stay without saying which chain it is for and listening to it.
pub(crate) const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection is kept though nothing moves on it: links are few and wanted.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Time between two pings on a connection.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a ping may stay unanswered before its connection counts as dead.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long [`crate::Mesh::start`] waits for a listener to report its address.
pub(crate) const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause before a bootstrap address is dialled again: first, and at most.
pub(crate) const REDIAL_FIRST: Duration = Duration::from_millis(500);
/// See [`REDIAL_FIRST`].
pub(crate) const REDIAL_MAX: Duration = Duration::from_secs(10);

/// Time between two rounds of housekeeping.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Neighbours below which known peers are dialled.
pub(crate) const NEIGHBOURS_WANTED: usize = 8;
/// Known peers dialled in one round of housekeeping.
pub(crate) const DIALS_PER_ROUND: usize = 4;
/// Outbound neighbours, bootstrap peers not counted, above which surplus links are closed.
pub(crate) const OUTBOUND_KEPT: usize = 24;
/// Time between two Kademlia random walks.
pub(crate) const WALK_INTERVAL: Duration = Duration::from_secs(120);
/// Longest Kademlia query.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses taken over from what a peer says about itself.
pub(crate) const ADDRESSES_PER_PEER_MAX: usize = 8;

/// How long a peer that misbehaved, or speaks for another chain, is refused.
pub(crate) const CUT_OFF_FOR: Duration = Duration::from_secs(60);
/// Peers refused at once; beyond it the oldest is let in again.
pub(crate) const CUT_OFF_MAX: usize = 1024;
/// Peers of another chain that are remembered, so that each is logged once.
pub(crate) const FOREIGN_REMEMBERED: usize = 256;
/// Least time between two pulses (see `published`).
pub(crate) const PULSE_INTERVAL: Duration = Duration::from_secs(1);
