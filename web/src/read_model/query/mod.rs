//! The questions that the API asks, by resource.

pub(crate) mod blocks;
pub(crate) mod clearings;
pub(crate) mod history;
pub(crate) mod households;
pub(crate) mod now;
pub(crate) mod proofs;
pub(crate) mod settled;
