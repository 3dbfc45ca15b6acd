//! What an observer has seen of a history: enough to judge it by.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::types::SignedConsensusMsg;
use ledger::block::{Block, BlockHash};
use ledger::certificate::CommitCertificate;
use ledger::genesis::Genesis;
use market::hash::Digest;
use market::time::Timestamp;

use super::engine::Wire;
use super::plan::{Plan, Seat};
use crate::consensus::signing::{proposal_statement, vote_statement};
use crate::consensus::{Refusal, Statement};

/// A block that a node has made durable.
#[derive(Debug, Clone)]
pub(in crate::consensus) struct Commit {
    pub(in crate::consensus) node: usize,
    pub(in crate::consensus) block: Block,
    pub(in crate::consensus) certificate: CommitCertificate,
    /// Of the state that the node then has.
    pub(in crate::consensus) state_root: Digest,
    /// Market time by a right clock.
    pub(in crate::consensus) at: Timestamp,
}

/// Why a process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::consensus) enum Stop {
    /// It was killed at a write.
    Killed,
    /// Its signer refused to contradict itself.
    Refused(String),
    /// By itself.
    Failed(String),
}

/// When faults ended, and how high the chain was.
#[derive(Debug, Clone, Copy)]
pub(in crate::consensus) struct Healed {
    pub(in crate::consensus) at_ms: u64,
    pub(in crate::consensus) height: u64,
}

#[derive(Debug, Clone)]
pub(in crate::consensus) struct Record {
    pub(in crate::consensus) genesis: Genesis,
    pub(in crate::consensus) seats: Vec<Seat>,
    pub(in crate::consensus) heights_after_healing: u64,
    pub(in crate::consensus) commits: Vec<Commit>,
    /// Everything each node has signed and sent, in order.
    pub(in crate::consensus) said: Vec<(usize, Statement)>,
    pub(in crate::consensus) refusals: Vec<(usize, Refusal)>,
    pub(in crate::consensus) forged: BTreeSet<BlockHash>,
    pub(in crate::consensus) stops: Vec<(usize, Stop)>,
    /// The nodes whose log has lost entries.
    pub(in crate::consensus) damaged: BTreeSet<usize>,
    /// Transactions that a node has told a household to be committed, with the height.
    pub(in crate::consensus) acknowledged: BTreeMap<Digest, u64>,
    pub(in crate::consensus) healed: Option<Healed>,
    pub(in crate::consensus) ended_at_ms: u64,
    /// What stands on each node's disk in the end.
    pub(in crate::consensus) chains: Vec<Vec<(Block, CommitCertificate)>>,
    /// Of everything that was sent, when and by whom.
    pub(in crate::consensus) fingerprint: u64,
}

impl Record {
    pub(in crate::consensus) fn new(plan: &Plan, genesis: &Genesis) -> Self {
        Self {
            genesis: genesis.clone(),
            seats: plan.seats.clone(),
            heights_after_healing: plan.heights_after_healing,
            commits: Vec::new(),
            said: Vec::new(),
            refusals: Vec::new(),
            forged: BTreeSet::new(),
            stops: Vec::new(),
            damaged: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            healed: None,
            ended_at_ms: 0,
            chains: Vec::new(),
            fingerprint: 0,
        }
    }

    pub(in crate::consensus) fn note_published(&mut self, at_ms: u64, node: usize, wire: &Wire) {
        let chain = self.genesis.chain_id();
        let signed = match wire {
            Wire::Consensus(SignedConsensusMsg::Vote(vote))
            | Wire::Liveness(LivenessMsg::Vote(vote)) => vote_statement(&chain, &vote.message),
            Wire::Consensus(SignedConsensusMsg::Proposal(proposal)) => {
                proposal_statement(&chain, &proposal.message)
            }
            _ => None,
        };
        if let Some((statement, _)) = &signed {
            self.said.push((node, *statement));
        }
        self.mix(&(at_ms, node, format!("{:?}", signed.map(|(statement, _)| statement))));
    }

    pub(in crate::consensus) fn note_commit(
        &mut self,
        node: usize,
        block: Block,
        certificate: CommitCertificate,
        state_root: Digest,
        at: Timestamp,
    ) {
        self.mix(&(node, block.hash(), certificate.round));
        self.commits.push(Commit { node, block, certificate, state_root, at });
    }

    pub(in crate::consensus) fn note_stop(&mut self, at_ms: u64, node: usize, stop: Stop) {
        self.mix(&(at_ms, node));
        self.stops.push((node, stop));
    }

    pub(in crate::consensus) fn note_healed(&mut self, at_ms: u64, height: u64) {
        self.healed = Some(Healed { at_ms, height });
    }

    fn mix(&mut self, seen: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.fingerprint, seen).hash(&mut hasher);
        self.fingerprint = hasher.finish();
    }

    pub(in crate::consensus) fn is_honest(&self, node: usize) -> bool {
        self.seats[node].honest
    }

    pub(in crate::consensus) fn honest_commits(&self) -> impl Iterator<Item = &Commit> {
        self.commits.iter().filter(|commit| self.is_honest(commit.node))
    }

    /// The chains of the honest nodes.
    pub(in crate::consensus) fn honest_chains(
        &self,
    ) -> impl Iterator<Item = (usize, &Vec<(Block, CommitCertificate)>)> {
        self.chains.iter().enumerate().filter(|(node, _)| self.is_honest(*node))
    }

    /// The longest chain of an honest node.
    pub(in crate::consensus) fn longest(&self) -> &[(Block, CommitCertificate)] {
        let longest = self.honest_chains().map(|(_, chain)| chain).max_by_key(|chain| chain.len());
        longest.map_or(&[], Vec::as_slice)
    }
}
