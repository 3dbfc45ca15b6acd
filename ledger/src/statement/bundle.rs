//! What a bundle consists of.

use market::hash::Digest;
use market::member::PartyId;

use crate::block::Header;
use crate::certificate::CommitCertificate;
use crate::handover::Handover;
use crate::merkle;
use crate::pruned::SaltedLeaf;
use crate::results::ResultLeaf;
use crate::salt::LeafSalt;
use crate::state_proof::StateProof;
use crate::transaction::Transaction;

/// Everything that proves a party's statement, to be checked from the genesis alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementBundle {
    /// Whose it is.
    pub party: PartyId,
    /// Every change of validators up to the closing block.
    pub handovers: Vec<Handover>,
    /// The last block before it; `None` if it begins with the first block of the chain.
    pub opening: Option<Anchor>,
    /// The blocks in which something about the party stands, by height.
    pub blocks: Vec<BlockProof>,
    /// Its last block.
    pub closing: Anchor,
}

/// What the state says about the party after one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The header.
    pub header: Header,
    /// Who committed it.
    pub certificate: CommitCertificate,
    /// The rules and the grid, the member, and its account.
    pub state: StateProof,
}

/// The party's leaves in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProof {
    /// The header.
    pub header: Header,
    /// Who committed it.
    pub certificate: CommitCertificate,
    /// What the party said.
    pub transactions: LeafProofs<Transaction>,
    /// What was decided about it, and the sums for all together that this follows from.
    pub results: LeafProofs<ResultLeaf>,
}

/// Some leaves of one tree with their way to its root. Without leaves it proves nothing, and size
/// and hashes are nothing too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProofs<T> {
    /// How many leaves the tree has.
    pub size: u64,
    /// The leaves, by number.
    pub leaves: Vec<ProvenLeaf<T>>,
    /// The hashes beside their ways to the root ([`merkle::multi_path`]).
    pub beside: Vec<Digest>,
}

/// A leaf at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenLeaf<T> {
    /// Its number in its tree, from 0.
    pub index: u64,
    /// Its salt.
    pub salt: LeafSalt,
    /// What it says.
    pub leaf: T,
}

impl<T: SaltedLeaf> LeafProofs<T> {
    /// The root, with the size, that the leaves lead to; `None` if they lead to none.
    pub fn head(&self) -> Option<Digest> {
        let hash = |one: &ProvenLeaf<T>| (one.index, one.leaf.salted(&one.salt));
        let leaves: Vec<_> = self.leaves.iter().map(hash).collect();
        let root = merkle::root_from_multi_path(&leaves, self.size, &self.beside)?;
        Some(merkle::head(self.size, &root))
    }

    /// Whether the leaves stand under a root of a header.
    pub fn lead_to(&self, root: &Digest) -> bool {
        if self.leaves.is_empty() {
            return self.size == 0 && self.beside.is_empty();
        }
        self.head() == Some(*root)
    }
}
