//! The rules of the exchange: units, orders, gates, books, clearing and settlement.
//!
//! This crate is pure. It knows no clock, no network and no disk, and computes with integers only,
//! so that every node of a community reaches the same result from the same signed inputs.
//!
//! # Layout
//!
//! | module | noun | verb |
//! |---|---|---|
//! | [`energy`], [`price`], [`money`] | the three units | checked arithmetic |
//! | [`time`] | [`time::Timestamp`], [`time::DeliveryPeriod`] | |
//! | [`keys`], [`signed`] | keys, [`signed::Envelope`], [`signed::Signed`] | sign, verify |
//! | [`member`] | who may trade, and within which limits | |
//! | [`order`], [`reading`] | what a party says | |
//! | [`standing`] | what a party says once for all periods | |
//! | [`gate`] | when a book closes | |
//! | [`zone`] | the grid as a tree | |
//! | [`schedule`] | what holds from when on | |
//! | [`tariff`] | [`tariff::Tariff`], [`tariff::Rates`] | |
//! | [`admission`] | [`admission::AdmittedOrder`] | admit |
//! | [`book`] | [`book::SealedBook`] | seal |
//! | [`clearing`] | [`clearing::ClearingResult`], [`trade::Trade`], [`answer::Answer`] | clear |
//! | [`settlement`] | [`settlement::Settlement`], [`settlement::Transfer`] | settle |
//! | [`certificate`] | [`certificate::Certificate`] | issue |
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

pub mod admission;
pub mod answer;
pub mod book;
pub mod certificate;
pub mod clearing;
pub mod decimal;
pub mod energy;
pub mod fingerprint;
pub mod gate;
mod grid;
pub mod hash;
pub mod keys;
pub mod member;
pub mod money;
pub mod order;
pub mod price;
pub mod reading;
pub mod rules;
pub mod schedule;
pub mod settlement;
pub mod signed;
pub mod standing;
pub mod tariff;
pub mod time;
pub mod trade;
pub mod zone;

/// A result left the range of its integer.
///
/// In the market an overflow is a rejected input, never a wrap (design section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{operation} leaves the range of a 64-bit integer")]
pub struct Overflow {
    /// Which calculation overflowed, in words.
    pub operation: &'static str,
}

impl Overflow {
    /// Names the calculation that overflowed.
    pub const fn of(operation: &'static str) -> Self {
        Self { operation }
    }
}
