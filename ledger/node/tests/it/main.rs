//! The room's behaviour from outside.

mod consensus;
mod consensus_kill;
mod repair;
mod store;
mod street;
