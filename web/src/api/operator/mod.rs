//! What operators see and nobody else.

pub(crate) mod audit;
pub(crate) mod members;
pub(crate) mod validators;
