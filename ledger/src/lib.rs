//! Blocks, the state machine, double entry and proofs.
//!
//! This crate is pure: `apply(state, block)` gives the next state and the results, on every node
//! alike, with integers, ordered maps and no clock. Whoever holds a genesis can check everything
//! that a validator says.
//!
//! # Layout
//!
//! | module | noun | verb |
//! |---|---|---|
//! | [`genesis`] | what a community agreed on before its first block | read, check |
//! | [`transaction`] | what members and operators say | |
//! | [`received`] | the same with what is known of their signatures | |
//! | [`acts`] | what they decide apart from orders and readings | |
//! | [`block`] | [`block::Header`], [`block::Block`] | |
//! | [`validators`], [`certificate`] | who votes, and what a quorum of votes proves | verify |
//! | [`state`] | [`state::State`] | |
//! | `leaves`, `charter` | what the state consists of, shared from block to block | hash |
//! | `history` | what is held against a meter that is silent | |
//! | [`draft`] | a block in the making | open, admit, finish |
//! | [`apply`] | | apply |
//! | [`results`] | what a block decided | |
//! | [`posting`] | double entry | post |
//! | [`salt`] | what keeps a forgotten leaf from being guessed | |
//! | [`pruned`] | a block of which some is forgotten | erase, verify |
//! | [`merkle`], [`receipt`] | proofs | prove, verify |
//! | [`statement`] | everything one party paid and received | collect, verify |
//! | [`chain_file`] | a whole chain in one file | write, check |
//! | [`handover`] | one validator set appoints the next | verify |
//! | [`follower`] | a verifying follower | follow |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic
    )
)]

pub mod acts;
pub mod apply;
pub mod block;
pub mod certificate;
pub mod chain_file;
mod charter;
pub mod draft;
pub mod follower;
pub mod genesis;
pub mod handover;
mod history;
mod leaves;
pub mod merkle;
pub mod posting;
mod proof_json;
pub mod pruned;
pub mod receipt;
pub mod received;
pub mod results;
pub mod salt;
pub mod state;
pub mod state_proof;
pub mod statement;
pub mod transaction;
pub mod validators;
