//! Pruned blocks: a block of which some is forgotten, and whose header still verifies.
//!
//! Each leaf is kept with its salt, or as its hash alone. The block's salt is forgotten at once, so
//! that an erased leaf cannot be guessed from it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::PublicKey;
use market::member::PartyId;
use std::collections::BTreeSet;

use crate::block::{Block, Header};
use crate::merkle;
use crate::results::ResultLeaf;
use crate::salt::{LeafSalt, Tree};
use crate::transaction::Transaction;

/// A leaf of a block, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum KeptLeaf<T> {
    /// Nobody can say any more what it was; only that it stood here.
    Erased(Digest),
    /// All of it.
    Whole {
        /// Its salt.
        salt: LeafSalt,
        /// What it says.
        leaf: T,
    },
}

/// By what a party is known in blocks: its identifier, and the invitations by which it came, which
/// stand for it in the messages of joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    party: PartyId,
    invitations: BTreeSet<PublicKey>,
}

impl Traces {
    /// A party's, before any block was looked at.
    pub fn of(party: PartyId) -> Self {
        Self { party, invitations: BTreeSet::new() }
    }

    /// Learns the party's invitations from what a block says. Invitations stand in earlier blocks
    /// than what uses them, so all blocks are looked at before any is erased.
    pub fn learn<'a>(&mut self, said: impl IntoIterator<Item = &'a Transaction>) {
        let of_party = said.into_iter().filter(|said| said.concerns(&self.party));
        self.invitations.extend(of_party.filter_map(Transaction::invitation));
    }
}

/// What leaves of a block have in common.
pub trait SaltedLeaf: BorshSerialize + BorshDeserialize {
    /// Whether a party can be told from it.
    fn tells_of(&self, traces: &Traces) -> bool;

    /// Its hash.
    fn salted(&self, salt: &LeafSalt) -> Digest {
        salt.leaf(&borsh::to_vec(self).unwrap_or_default())
    }
}

impl SaltedLeaf for Transaction {
    fn tells_of(&self, traces: &Traces) -> bool {
        let invited = |invitation| traces.invitations.contains(&invitation);
        self.concerns(&traces.party) || self.invitation().is_some_and(invited)
    }
}

impl SaltedLeaf for ResultLeaf {
    fn tells_of(&self, traces: &Traces) -> bool {
        self.concerns(&traces.party)
    }
}

impl<T: SaltedLeaf> KeptLeaf<T> {
    /// Its hash in the tree.
    pub fn hash(&self) -> Digest {
        match self {
            Self::Erased(hash) => *hash,
            Self::Whole { salt, leaf } => leaf.salted(salt),
        }
    }

    /// What it says, if that is not erased.
    pub fn leaf(&self) -> Option<&T> {
        match self {
            Self::Erased(_) => None,
            Self::Whole { leaf, .. } => Some(leaf),
        }
    }

    /// Forgets what it says.
    fn erase(&mut self) {
        *self = Self::Erased(self.hash());
    }
}

/// A block without its salt, whole or partly erased, with what it decided.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrunedBlock {
    /// The header, which is never pruned.
    pub header: Header,
    /// What members said.
    pub transactions: Vec<KeptLeaf<Transaction>>,
    /// What the block decided.
    pub results: Vec<KeptLeaf<ResultLeaf>>,
}

/// A pruned block that does not hang together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrunedError {
    /// Not the bytes of a pruned block, or bytes behind its end.
    #[error("these {0} bytes are no pruned block")]
    Undecodable(usize),
    /// The header does not cover the leaves.
    #[error("the header's {name} is {header}, the leaves give {found}")]
    RootDiffers {
        /// Which root.
        name: &'static str,
        /// What the header says.
        header: Digest,
        /// What the leaves give.
        found: Digest,
    },
}

impl PrunedBlock {
    /// A whole block with what it decided, and without its salt.
    pub fn of(block: &Block, results: &[ResultLeaf]) -> Self {
        let whole = |(salt, leaf)| KeptLeaf::Whole { salt, leaf };
        let transactions = block.transactions.iter().cloned();
        let salts = block.salt.leaf_salts(Tree::Transactions);
        let transactions = salts.zip(transactions).map(whole).collect();
        let whole = |(salt, leaf)| KeptLeaf::Whole { salt, leaf };
        let salts = block.salt.leaf_salts(Tree::Results);
        let results = salts.zip(results.iter().cloned()).map(whole).collect();
        Self { header: block.header.clone(), transactions, results }
    }

    /// The transactions that are not forgotten.
    pub fn said(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().filter_map(KeptLeaf::leaf)
    }

    /// Forgets every leaf that tells of a party; returns how many there were.
    pub fn erase(&mut self, traces: &Traces) -> usize {
        erase(&mut self.transactions, |leaf| leaf.tells_of(traces))
            .saturating_add(erase(&mut self.results, |leaf| leaf.tells_of(traces)))
    }

    /// Forgets every leaf: what stays is the header and as many hashes as there were leaves.
    pub fn erase_all(&mut self) {
        erase(&mut self.transactions, |_| true);
        erase(&mut self.results, |_| true);
    }

    /// Checks that the header covers the leaves, erased or not.
    ///
    /// # Errors
    /// [`PrunedError::RootDiffers`] names the root.
    pub fn verify(&self) -> Result<(), PrunedError> {
        let roots = [
            (
                "transactions root",
                self.header.transactions_root,
                merkle::head_over(self.transactions.iter().map(KeptLeaf::hash)),
            ),
            (
                "results root",
                self.header.results_root,
                merkle::head_over(self.results.iter().map(KeptLeaf::hash)),
            ),
        ];
        for (name, header, found) in roots {
            if header != found {
                return Err(PrunedError::RootDiffers { name, header, found });
            }
        }
        Ok(())
    }

    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Reads a pruned block and checks that its header covers its leaves.
    ///
    /// # Errors
    /// [`PrunedError`]; decoding is total.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PrunedError> {
        let pruned: Self =
            borsh::from_slice(bytes).map_err(|_| PrunedError::Undecodable(bytes.len()))?;
        pruned.verify()?;
        Ok(pruned)
    }
}

fn erase<T: SaltedLeaf>(leaves: &mut [KeptLeaf<T>], forget: impl Fn(&T) -> bool) -> usize {
    let mut erased = 0_usize;
    for kept in leaves {
        if kept.leaf().is_some_and(&forget) {
            kept.erase();
            erased = erased.saturating_add(1);
        }
    }
    erased
}
