//! Making a bundle from served blocks and the states at both ends.

use market::gate::GateIndex;
use market::hash::Digest;
use market::member::PartyId;
use market::time::DeliveryPeriod;
use std::collections::BTreeSet;

use crate::block::{CommittedBlock, Header, transaction_hashes};
use crate::certificate::CommitCertificate;
use crate::handover::Handover;
use crate::merkle;
use crate::results::{ResultLeaf, ServedBlock, result_hashes};
use crate::salt::{LeafSalt, Tree};
use crate::state::State;
use crate::statement::{Anchor, BlockProof, LeafProofs, ProvenLeaf, StatementBundle};
use crate::transaction::Transaction;

/// Why no bundle can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The closing state does not come after the opening one.
    #[error("a statement cannot end at height {closing} and begin after {opening}")]
    NoSpan {
        /// The opening state's height.
        opening: u64,
        /// The closing state's height.
        closing: u64,
    },
    /// A block at one of the ends was not served.
    #[error("block {0} is needed and was not served")]
    NoBlock(u64),
    /// A block was served without its results.
    #[error("block {0} was served without its results")]
    NoResults(u64),
    /// Not a member, or one without an account.
    #[error("the state at height {height} knows no party {party}")]
    UnknownParty {
        /// Who was asked for.
        party: PartyId,
        /// The state's height.
        height: u64,
    },
}

impl StatementBundle {
    /// Collects what proves a party's statement of the blocks after `opening`'s up to `closing`'s.
    ///
    /// `blocks` are served with their results, by height, up to the closing block; they begin early
    /// enough for everything that a settlement in the span follows from: orders, trades and
    /// readings of its periods. `handovers` are all changes of validators before the closing block.
    ///
    /// # Errors
    /// [`BundleError`] says what is missing.
    pub fn collect(
        party: PartyId,
        (opening, closing): (&State, &State),
        blocks: impl IntoIterator<Item = ServedBlock>,
        handovers: Vec<Handover>,
    ) -> Result<Self, BundleError> {
        let ends = (opening.height(), closing.height());
        if ends.0 >= ends.1 {
            return Err(BundleError::NoSpan { opening: ends.0, closing: ends.1 });
        }
        let mut collector = Collector::of(party);
        if ends.0 == 0 {
            collector.open(opening)?;
        }
        for served in blocks {
            let height = served.committed.block.header.height;
            if height > ends.1 {
                break;
            }
            collector.see(served)?;
            if height == ends.0 {
                collector.open(opening)?;
            }
        }
        if collector.opening.is_none() {
            return Err(BundleError::NoBlock(ends.0));
        }
        collector.close(closing, handovers)
    }
}

/// Collects a bundle block by block, for whoever recomputes the states on the way.
#[derive(Debug)]
pub struct Collector {
    party: PartyId,
    found: Vec<Candidate>,
    last: Option<(Header, CommitCertificate)>,
    /// The opening state's height and what proves it, once the statement is open.
    opening: Option<(u64, Option<Anchor>)>,
}

impl Collector {
    /// Before the first block.
    pub fn of(party: PartyId) -> Self {
        Self { party, found: Vec::new(), last: None, opening: None }
    }

    /// Looks at a block, which is higher than those before.
    ///
    /// # Errors
    /// [`BundleError::NoResults`] if it came without its results.
    pub fn see(&mut self, served: ServedBlock) -> Result<(), BundleError> {
        let ServedBlock { committed, results } = served;
        let header = committed.block.header.clone();
        let results = results.ok_or(BundleError::NoResults(header.height))?;
        self.found.extend(Candidate::of(&self.party, &committed, results));
        self.last = Some((header, committed.certificate));
        Ok(())
    }

    /// Notes that a block has passed of which nothing but this is known any more.
    pub fn pass(&mut self, header: Header, certificate: CommitCertificate) {
        self.last = Some((header, certificate));
    }

    /// Drops what no settlement after a state can follow from, so that a long way to the opening
    /// needs no more memory than a short one. Of no use behind the opening.
    pub fn forget_final(&mut self, state: &State) {
        self.found.retain_mut(|candidate| candidate.drop_final(state));
    }

    /// Begins the statement behind the last block seen, or with height 0 before the first; `state`
    /// is the one after it.
    ///
    /// # Errors
    /// [`BundleError`] if the state is another block's, or does not know the party.
    pub fn open(&mut self, state: &State) -> Result<(), BundleError> {
        self.forget_final(state);
        let anchor = match state.height() {
            0 => None,
            _ => Some(anchor(&self.party, state, self.last.clone())?),
        };
        self.opening = Some((state.height(), anchor));
        Ok(())
    }

    /// Ends the statement behind the last block seen; `state` is the one after it.
    ///
    /// # Errors
    /// [`BundleError`] says what is missing.
    pub fn close(
        self,
        state: &State,
        handovers: Vec<Handover>,
    ) -> Result<StatementBundle, BundleError> {
        let Self { party, found, last, opening } = self;
        let closing = state.height();
        // Without an opening, the block that it should stand behind was never seen.
        let (height, opening) = opening.ok_or(BundleError::NoSpan { opening: closing, closing })?;
        if height >= closing {
            return Err(BundleError::NoSpan { opening: height, closing });
        }
        let closing = anchor(&party, state, last)?;
        let mut touched = BTreeSet::new();
        for candidate in found.iter().filter(|one| one.header.height > height) {
            touched.extend(candidate.moves(&party));
        }
        let blocks = found.into_iter().filter_map(|one| one.proof(&party, &touched)).collect();
        Ok(StatementBundle { party, handovers, opening, blocks, closing })
    }
}

fn anchor(
    party: &PartyId,
    state: &State,
    committed: Option<(Header, CommitCertificate)>,
) -> Result<Anchor, BundleError> {
    let height = state.height();
    let committed = committed.filter(|(header, _)| header.height == height);
    let (header, certificate) = committed.ok_or(BundleError::NoBlock(height))?;
    let unknown = BundleError::UnknownParty { party: *party, height };
    let state = state.prove_party(party).ok_or(unknown)?;
    Ok(Anchor { header, certificate, state })
}

/// A block in which something of a party stands, before it is known which of it is needed.
#[derive(Debug)]
struct Candidate {
    header: Header,
    certificate: CommitCertificate,
    transactions: Chosen<Transaction>,
    results: Chosen<ResultLeaf>,
}

/// Some leaves of a tree, with the hashes of all.
#[derive(Debug)]
struct Chosen<T> {
    hashes: Vec<Digest>,
    leaves: Vec<(usize, LeafSalt, T)>,
}

impl Candidate {
    fn of(party: &PartyId, committed: &CommittedBlock, results: Vec<ResultLeaf>) -> Option<Self> {
        let block = &committed.block;
        let hashes = transaction_hashes(&block.transactions, &block.salt).collect();
        let salts = block.salt.leaf_salts(Tree::Transactions);
        let all = block.transactions.iter().cloned().zip(salts).enumerate();
        let own = all.filter(|(_, (transaction, _))| transaction.concerns(party));
        let own = own.map(|(index, (transaction, salt))| (index, salt, transaction));
        let transactions = Chosen { hashes, leaves: own.collect() };
        let hashes = result_hashes(&results, &block.salt).collect();
        let gates: BTreeSet<_> =
            results.iter().filter(|leaf| leaf.concerns(party)).filter_map(gate).collect();
        let needed = |leaf: &ResultLeaf| match leaf {
            ResultLeaf::CommunitySettled(_) => true,
            ResultLeaf::Clearing(summary) => gates.contains(&(summary.period, summary.gate)),
            other => other.concerns(party),
        };
        let salts = block.salt.leaf_salts(Tree::Results);
        let all = results.into_iter().zip(salts).enumerate();
        let own = all.filter(|(_, (leaf, _))| needed(leaf));
        let own = own.map(|(index, (leaf, salt))| (index, salt, leaf));
        let results = Chosen { hashes, leaves: own.collect() };
        let nothing = transactions.leaves.is_empty() && results.leaves.is_empty();
        (!nothing).then(|| Self {
            header: block.header.clone(),
            certificate: committed.certificate.clone(),
            transactions,
            results,
        })
    }

    /// Drops leaves about periods that are final in a state; whether anything is left.
    fn drop_final(&mut self, state: &State) -> bool {
        let open = |period: DeliveryPeriod| !state.is_final(period);
        self.transactions.leaves.retain(|(.., said)| said.subject().0.period().is_none_or(open));
        self.results.leaves.retain(|(.., leaf)| open(leaf.period()));
        !self.transactions.leaves.is_empty() || !self.results.leaves.is_empty()
    }

    /// The periods that the block settles or posts for the party.
    fn moves<'a>(&'a self, party: &'a PartyId) -> impl Iterator<Item = DeliveryPeriod> + 'a {
        let moving = |leaf: &&ResultLeaf| {
            matches!(leaf, ResultLeaf::Settled(_) | ResultLeaf::Posting(_)) && leaf.concerns(party)
        };
        self.results.leaves.iter().map(|(_, _, leaf)| leaf).filter(moving).map(ResultLeaf::period)
    }

    /// The proof of what is about these periods, and of standing curves; `None` if nothing is.
    fn proof(self, party: &PartyId, touched: &BTreeSet<DeliveryPeriod>) -> Option<BlockProof> {
        let said = |transaction: &Transaction| {
            transaction.subject().0.period().is_none_or(|period| touched.contains(&period))
        };
        let transactions = self.transactions.prove(said)?;
        let results = self.results.prove(|leaf| touched.contains(&leaf.period()))?;
        let own = results.leaves.iter().any(|one| one.leaf.concerns(party))
            || results.leaves.iter().any(|one| matches!(one.leaf, ResultLeaf::CommunitySettled(_)));
        (own || !transactions.leaves.is_empty()).then_some(BlockProof {
            header: self.header,
            certificate: self.certificate,
            transactions,
            results,
        })
    }
}

impl<T> Chosen<T> {
    fn prove(self, needed: impl Fn(&T) -> bool) -> Option<LeafProofs<T>> {
        let leaves: Vec<_> = self.leaves.into_iter().filter(|(.., leaf)| needed(leaf)).collect();
        if leaves.is_empty() {
            return Some(LeafProofs { size: 0, leaves: Vec::new(), beside: Vec::new() });
        }
        let wanted: Vec<_> = leaves.iter().map(|(index, ..)| *index).collect();
        let proven = |(index, salt, leaf)| {
            let index: usize = index;
            Some(ProvenLeaf { index: u64::try_from(index).ok()?, salt, leaf })
        };
        Some(LeafProofs {
            size: u64::try_from(self.hashes.len()).ok()?,
            beside: merkle::multi_path(&self.hashes, &wanted)?,
            leaves: leaves.into_iter().map(proven).collect::<Option<_>>()?,
        })
    }
}

/// The gate that a trade was made at, or an answer given.
fn gate(leaf: &ResultLeaf) -> Option<(DeliveryPeriod, GateIndex)> {
    match leaf {
        ResultLeaf::Trade(trade) => Some((trade.period, trade.gate)),
        ResultLeaf::Answer(answer) => Some((answer.period, answer.gate)),
        _ => None,
    }
}
