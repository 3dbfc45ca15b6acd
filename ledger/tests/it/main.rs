//! The ledger's rules, proved on chains built from signed messages.

mod neighbourhood;

mod certificates;
mod chain;
mod complete_rules;
mod decoders;
mod followers;
mod genesis_files;
mod golden;
mod proofs;
mod receipts;
mod refusals;
mod settling;
