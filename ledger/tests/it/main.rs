//! The ledger's rules, proved on chains built from signed messages.

mod neighbourhood;
mod speaking;

mod answering_for;
mod books;
mod certificates;
mod chain;
mod chain_files;
mod complete_rules;
mod decoders;
mod followers;
mod genesis_files;
mod golden;
mod governing;
mod handovers;
mod membership;
mod proofs;
mod pruned;
mod receipts;
mod received;
mod refusals;
mod settling;
mod statements;
mod street;
