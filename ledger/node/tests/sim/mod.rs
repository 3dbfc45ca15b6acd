//! Consensus in simulated time: one seed is one history.
//!
//! Real here: the engine's core (`core-consensus`: inputs in, effects out), this room's driver,
//! signer's guard and message types, the validator with its mempool, and the ledger's rules.
//! Simulated: clocks, network, disks, the engine's actors around its core, and the households.
//!
//! `HIDAMARI_SIM_SEED=n` plays one history again; `HIDAMARI_SIM_SEEDS=n` plays so many of each kind.

mod controls;
mod evil_proposers;
mod histories;
pub(super) mod invariants;
pub(super) mod world;
