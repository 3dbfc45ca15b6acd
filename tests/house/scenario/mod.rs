//! Scenarios over real processes: a demo is started, something happens to it, and at the end the
//! stored chains are audited against the laws of the market.

mod attack;
mod community;
mod faults;
mod proof;
mod raw_peer;
pub(crate) mod stage;
mod trading;
