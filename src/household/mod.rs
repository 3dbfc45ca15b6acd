//! How a household becomes a member, and changes its key: `hidamari agent join` and `rotate-key`.

mod files;
mod join;
mod options;
mod rotate;

pub(crate) use join::join;
pub(crate) use options::{Join, RotateKey};
pub(crate) use rotate::rotate;
