//! The ledger's rules, proved on chains built from signed messages.

mod neighbourhood;
mod speaking;

mod answering_for;
mod books;
mod certificates;
mod chain;
mod complete_rules;
mod decoders;
mod followers;
mod genesis_files;
mod golden;
mod governing;
mod membership;
mod proofs;
mod receipts;
mod refusals;
mod settling;
