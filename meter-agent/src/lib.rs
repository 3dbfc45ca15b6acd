//! The household's process: Modbus, readings, forecast, strategy, signer, outbox.
//!
//! | module | noun | verb |
//! |---|---|---|
//! | [`modbus`], [`profile`] | [`profile::RegisterReading`] | poll, decode |
//! | [`commission`], [`scan`] | [`commission::Report`], [`scan::Found`] | check, scan |
//! | [`interval`] | [`interval::ClosedInterval`] | take |
//! | [`forecast`], [`strategy`] | [`forecast::NetPosition`], [`strategy::Curve`] | forecast, plan |
//! | [`battery`] | [`battery::Plan`] | plan |
//! | [`signer`], [`outbox`] | [`outbox::Message`] | sign, store |
//! | [`status`] | [`status::Status`] | |
//!
//! [`run`] is the whole agent. It needs the meter's Modbus words, its configuration, and what it
//! hears on the mesh; nothing else reaches it.

pub mod battery;
pub mod commission;
pub mod config;
pub mod error;
pub mod forecast;
pub mod interval;
pub mod membership;
pub mod modbus;
pub mod outbox;
pub mod profile;
pub mod scan;
pub mod signer;
pub mod status;
pub mod strategy;

mod agent;
mod delivery;
mod follow;
mod orders;
mod pace;
mod setup;
mod toml_text;
mod words;

pub use agent::run;
pub use config::AgentConfig;
pub use error::AgentError;
pub use setup::hold_data_dir;
