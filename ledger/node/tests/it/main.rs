//! The room's behaviour from outside.

mod backup;
mod consensus;
mod consensus_kill;
mod consensus_torn;
mod erase;
mod growth;
mod mempool;
mod prune;
mod repair;
mod snapshot;
mod statement;
mod store;
mod street;
