//! What the rest of the node, its metrics and the dashboard may know about consensus.

use std::time::Instant;

/// How consensus stands on this node. Published whenever something in it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// What it does.
    pub phase: Phase,
    /// The last committed height.
    pub height: u64,
    /// The round of the next height.
    pub round: u32,
    /// Connected peers on the allow list.
    pub peers_connected: usize,
    /// Validators of the next height that are connected, this one included.
    pub validators_connected: usize,
    /// Validators of the next height.
    pub validators_count: usize,
    /// Whether the connected ones have more than two thirds of the voting power.
    pub has_quorum: bool,
    /// When this node last committed a block, since it runs.
    pub last_commit_at: Option<Instant>,
    /// When a round was last entered or a block last committed, since it runs. Far in the past
    /// while `phase` is [`Phase::Deciding`] and `has_quorum` holds means that something hangs.
    pub last_progress_at: Option<Instant>,
    /// Pairs of contradicting signed statements of other validators, as kept in `evidence.jsonl`.
    pub evidence_count: u64,
    /// Why it stopped, if it stopped by itself.
    pub failure: Option<String>,
}

/// What consensus does on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It looks for a quorum before its first height.
    #[default]
    Connecting,
    /// It decides the next height.
    Deciding,
    /// Nothing is to be decided.
    Idle,
    /// It is no validator: it follows the chain.
    Following,
    /// It ended.
    Stopped,
}
