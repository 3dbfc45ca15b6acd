//! The questions that the API asks, by resource.

pub(crate) mod blocks;
pub(crate) mod clearings;
pub(crate) mod households;
pub(crate) mod now;
pub(crate) mod settled;
