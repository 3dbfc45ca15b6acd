//! The dashboard: a verifying follower, its read model, the API and the page.
//!
//! The dashboard trusts nobody: it fetches blocks from the mesh, checks each commit certificate
//! against the genesis, recomputes the block, writes what follows into a read model, and answers
//! from there. It never sends an order, a reading or a vote.
//!
//! Households sign in by a one-time link of their own agent, operators by password and
//! authenticator; every route has a row that says who may call it ([`Access`]). Where the
//! configuration opens them, everybody sees every household (see [`HouseholdPages`]).
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
//! | `assets`, `guard`, `serve`, `tls` | the page, limits and headers, the accept loop |
//! | `sign_in`, `accounts` | who somebody is; operators, sessions and the audit log |
//! | `access` | who may call what |
//! | `hosts` | under which names requests are answered |
//! | `data_dir` | the data directory, held by one dashboard |
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod access;
mod accounts;
mod api;
mod assets;
mod chain;
mod client_address;
mod config;
mod dashboard;
mod data_dir;
mod error;
mod events;
mod follow;
mod guard;
mod hosts;
mod limits;
mod local_time;
mod metrics;
mod origin;
mod read_model;
mod serve;
mod sign_in;
mod site;
mod status;
mod tls;
mod words;

// The chain that the integration tests make, for unit tests of what is private.
#[cfg(test)]
#[path = "../tests/it/community.rs"]
#[expect(dead_code, reason = "shared with the integration tests, which use all of it")]
mod test_community;

pub use crate::access::Access;
pub use crate::accounts::{Accounts, AccountsError, NotAName, OperatorEntry, OperatorName};
pub use crate::api::{access_table, openapi_json};
pub use crate::chain::FollowError;
pub use crate::config::{ConfigError, DashboardConfig, HouseholdPages, MeshSection};
pub use crate::dashboard::{Clocks, Dashboard, run};
pub use crate::data_dir::DataDirError;
pub use crate::error::WebError;
pub use crate::hosts::{HostName, NotAHost};
pub use crate::limits::{Rate, RateLimits};
pub use crate::origin::{NotAnOrigin, WebOrigin};
pub use crate::read_model::StoreError;
pub use crate::sign_in::link::{SignInClaim, sign_in_link};
pub use crate::sign_in::password::{
    PASSWORD_BYTES_MAX, PASSWORD_LENGTH_MIN, PasswordRefused, check_new_password,
};
pub use crate::sign_in::totp::TotpSecret;
pub use crate::tls::{TlsError, TlsSection};
