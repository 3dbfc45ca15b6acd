//! The room's behaviour from outside.

mod backup;
mod consensus;
mod consensus_torn;
mod erase;
mod growth;
mod prune;
mod repair;
mod snapshot;
mod statement;
mod store;
mod store_torn;
mod street;
