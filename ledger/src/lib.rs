//! Blocks, the state machine, double entry and proofs
