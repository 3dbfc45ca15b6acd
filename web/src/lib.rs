//! The dashboard: a verifying follower, its read model, the API and the page.
//!
//! The dashboard trusts nobody: it fetches blocks from the mesh, checks each commit certificate
//! against the genesis, recomputes the block, writes what follows into a read model, and answers
//! from there. It never sends an order, a reading or a vote.
//!
//! There is no sign-in in this version: pages that name a household are closed unless the
//! configuration opens them (see [`HouseholdPages`]).
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `follow` | hears announcements, fetches blocks, stays live |
//! | `chain` | verifies and applies one block, writes it down, tells |
//! | `read_model` | rows by a pure projection; the queries behind the API |
//! | `status`, `events` | what is going on, as an answer and as a stream |
//! | `api` | one file per resource; errors as problem documents |
//! | `assets`, `guard`, `serve` | the page, limits and headers, the accept loop |
//! | `hosts` | under which names requests are answered |
//! | `data_dir` | the data directory, held by one dashboard |
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod api;
mod assets;
mod chain;
mod config;
mod dashboard;
mod data_dir;
mod error;
mod events;
mod follow;
mod guard;
mod hosts;
mod local_time;
mod metrics;
mod read_model;
mod serve;
mod site;
mod status;
mod words;

// The chain that the integration tests make, for unit tests of what is private.
#[cfg(test)]
#[path = "../tests/it/community.rs"]
#[expect(dead_code, reason = "shared with the integration tests, which use all of it")]
mod test_community;

pub use crate::api::openapi_json;
pub use crate::chain::FollowError;
pub use crate::config::{ConfigError, DashboardConfig, HouseholdPages, MeshSection};
pub use crate::dashboard::{Dashboard, run};
pub use crate::data_dir::DataDirError;
pub use crate::error::WebError;
pub use crate::hosts::{HostName, NotAHost};
pub use crate::read_model::StoreError;
