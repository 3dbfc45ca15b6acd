//! The engine as it is, over TCP on the loopback interface, around the validator as it is: proposers
//! that break a rule, validators that lie or keep silent, processes that die at a write.
//!
//! What happened is written down in the record of the simulated histories, and judged by the same
//! invariants.

mod byzantine;
mod cluster;
mod evil_proposers;
mod killed;
