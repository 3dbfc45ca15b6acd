//! The gossip mesh: moves signed envelopes between members, judges nothing.
//!
//! One libp2p swarm per process (validator, follower, household agent, dashboard) carries opaque
//! bytes in two ways:
//!
//! - **Gossip** on four [`Topic`]s. [`Mesh::publish`] floods a payload of at most
//!   [`PAYLOAD_BYTES_MAX`] to all neighbours; each receiver gets it as [`MeshEvent::Message`] and
//!   says with [`Mesh::judge`] whether it travels on. Nothing is forwarded before its verdict.
//! - **Block fetching** by request and answer: [`Mesh::fetch`] asks one neighbour, which sees
//!   [`MeshEvent::BlocksRequested`] and replies with [`Mesh::answer`].
//!
//! What the payloads mean is the business of the crates above. The mesh protects only itself:
//! every queue is bounded, each neighbour has a message budget and a share of the event queue,
//! rejected messages cost their sender its connection, and whoever speaks for another chain is
//! disconnected.
//!
//! **Sending the same payload again.** A payload is known by SHA-256 over topic and bytes. For
//! [`DUPLICATE_WINDOW`] (real time) after a node first saw it, the same payload is suppressed: the
//! publish succeeds and sends nothing. So a sender that repeats until it sees an effect gets its
//! payload onto the wire once per window. A payload that a busy receiver had to drop comes
//! through with the next repetition after the window.
//!
//! **Logs.** gossipsub warns about every suppressed repetition that reaches it; a filter of
//! `libp2p_gossipsub=error` keeps a service's log readable.

mod address_limit;
mod behaviour;
mod board;
mod config;
mod counters;
mod dialer;
mod error;
mod fetch;
mod frame;
mod gossip;
mod handle;
mod inbox;
mod key;
pub mod key_file;
mod limits;
mod links;
mod names;
mod published;
mod swarm;
mod ticket;
mod topic;

pub use libp2p::{Multiaddr, PeerId};

pub use crate::board::PeerStatus;
pub use crate::config::MeshConfig;
pub use crate::counters::{MeshCounters, MeshCounts, TopicCounts};
pub use crate::error::MeshError;
pub use crate::frame::{
    BlockRequest, BlockResponse, decode_request, decode_response, encode_request, encode_response,
};
pub use crate::handle::{Mesh, MeshEvent, MeshEvents};
pub use crate::key::TransportKey;
pub use crate::limits::{
    DUPLICATE_WINDOW, FETCH_TIMEOUT, PAYLOAD_BYTES_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX,
    VERDICT_WINDOW,
};
pub use crate::ticket::{MessageTicket, RequestTicket, Verdict};
pub use crate::topic::Topic;
