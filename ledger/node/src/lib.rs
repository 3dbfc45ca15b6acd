//! The validator process: consensus, mempool, store, gossip.
//!
//! # Layout
//!
//! | module | what it is about |
//! |---|---|
//! | [`audit`] | stored chains, replayed and held against the laws |
//! | [`config`] | the node's TOML file |
//! | [`node`] | [`node::run`]: puts the parts together, and ends them |
//! | [`consensus`] | which block has a height; the only module that names the engine |
//! | `validator` | what a block means: builds, judges and commits by the pure rules of `ledger` |
//! | [`store`] | blocks, certificates, snapshots, undecided bodies in `SQLite` |
//! | [`repair`] | mends a stopped node's store from other nodes |
//! | [`snapshot`] | the certified state after a block, from which a node can start |
//! | [`restore`] | starts a ledger from a backup |
//! | [`statement`] | a party's month with everything that proves it |
//! | [`admin`] | asks a running node for what only it can do |
//! | `upkeep` | checks the store again, forgets old bodies, answers the operator |
//! | [`mempool`] | what waits for a block |
//! | [`data_dir`] | the data directory, held by one process |
//! | `clock_offset` | this machine's clock against the other validators' |
//! | `fetch`, `follow` | blocks from the mesh: for a node that is no validator |
//! | [`submit`] | says something on the mesh, and sees it in a block |
//! | `gossip` | the mesh: takes orders and readings in, sends blocks out |
//! | `failpoint` | where a test lets the process die |
//! | `http` | `/healthz`, `/metrics`, `/status` |
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod audit;
mod clock_offset;
pub mod config;
pub mod consensus;
pub mod data_dir;
mod failpoint;
mod fetch;
mod follow;
mod gossip;
mod http;
pub mod mempool;
mod metrics;
pub mod node;
pub mod repair;
pub mod restore;
pub mod snapshot;
pub mod statement;
pub mod store;
pub mod submit;
mod upkeep;
mod validator;
