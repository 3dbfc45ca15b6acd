//! Following the community: what is announced is checked, what is missing is fetched.

mod catch_up;
mod hear;

pub(crate) use catch_up::catch_up;
pub(crate) use hear::{Announced, hear};
