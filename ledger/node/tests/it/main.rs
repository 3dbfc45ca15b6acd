//! The room's behaviour from outside.

mod consensus;
mod consensus_kill;
mod consensus_torn;
mod store;
