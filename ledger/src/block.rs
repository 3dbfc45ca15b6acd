//! Blocks: one total order of what members said, and the roots of what follows from it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::ChainId;
use market::time::Timestamp;

use crate::certificate::CommitCertificate;
use crate::merkle;
use crate::salt::{BlockSalt, Tree};
use crate::transaction::Transaction;

/// The format of headers and bodies that this program writes and reads.
pub const BLOCK_VERSION: u16 = 2;

/// The largest encoded block, in bytes. Consensus carries at most 1 MiB without extra rounds
/// (shared reference `consensus.md`, trap 11).
pub const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Names a block: the SHA-256 of its header.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct BlockHash(Digest);

impl BlockHash {
    /// From its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// As a digest, for example as the salt of a clearing.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl std::fmt::Display for BlockHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::str::FromStr for BlockHash {
    type Err = market::hash::NotHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What stays for ever, and what validators sign.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// The format; [`BLOCK_VERSION`].
    pub version: u16,
    /// The community.
    pub chain: ChainId,
    /// 1 for the first block after genesis.
    pub height: u64,
    /// Market time; strictly later than the block before.
    pub time: Timestamp,
    /// The block before; all zero at height 1.
    pub previous: BlockHash,
    /// Head of the Merkle tree of the transactions ([`transactions_root`]).
    pub transactions_root: Digest,
    /// Head of the Merkle tree of the state after this block ([`crate::state::State::root`]).
    pub state_root: Digest,
    /// Head of the Merkle tree of what this block decided ([`crate::results::results_root`]).
    pub results_root: Digest,
    /// Hash of the validator set that decides the *next* height.
    pub next_validators: Digest,
    /// What binds the block's salt ([`BlockSalt::commitment`]).
    pub salts: Digest,
}

impl Header {
    /// The block's name.
    pub fn hash(&self) -> BlockHash {
        let bytes = borsh::to_vec(self).unwrap_or_default();
        BlockHash(Digest::of(&[b"hidamari/header/2", &bytes]))
    }

    /// Whether nothing was said and nothing decided: such a block is known by its header alone.
    pub fn is_of_nothing(&self) -> bool {
        let nothing = merkle::head(0, &merkle::root([]));
        self.transactions_root == nothing && self.results_root == nothing
    }
}

/// A header and the transactions it covers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// From which the salts of its leaves are made.
    pub salt: BlockSalt,
    /// In the order in which they apply.
    pub transactions: Vec<Transaction>,
}

/// A block that does not hang together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBlock {
    /// Not the bytes of a block, or bytes behind its end.
    #[error("these {0} bytes are no block")]
    Undecodable(usize),
    /// Too large.
    #[error("a block of {0} bytes is larger than {BLOCK_BYTES_MAX}")]
    TooLarge(usize),
    /// The header does not cover these transactions.
    #[error("the header's transaction root {header} is not the body's {body}")]
    TransactionsRoot {
        /// What the header says.
        header: Digest,
        /// What the body gives.
        body: Digest,
    },
    /// The salt is another one than the header binds.
    #[error("the header binds the salt with {header}, the body's gives {body}")]
    Salt {
        /// What the header says.
        header: Digest,
        /// What the body's salt gives.
        body: Digest,
    },
}

impl Block {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Reads a block and checks that its header covers its body.
    ///
    /// # Errors
    /// [`MalformedBlock`]; decoding is total.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedBlock> {
        if bytes.len() > BLOCK_BYTES_MAX {
            return Err(MalformedBlock::TooLarge(bytes.len()));
        }
        let block: Self =
            borsh::from_slice(bytes).map_err(|_| MalformedBlock::Undecodable(bytes.len()))?;
        block.check_body()?;
        Ok(block)
    }

    /// Checks that the header covers the body.
    ///
    /// # Errors
    /// [`MalformedBlock::Salt`] or [`MalformedBlock::TransactionsRoot`] if it does not.
    pub fn check_body(&self) -> Result<(), MalformedBlock> {
        let (header, body) = (self.header.salts, self.salt.commitment());
        if header != body {
            return Err(MalformedBlock::Salt { header, body });
        }
        let header = self.header.transactions_root;
        let body = transactions_root(&self.transactions, &self.salt);
        if header == body { Ok(()) } else { Err(MalformedBlock::TransactionsRoot { header, body }) }
    }

    /// Its name.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }
}

/// The hashes of the transactions' leaves: their canonical bytes, salted.
pub(crate) fn transaction_hashes<'a>(
    transactions: &'a [Transaction],
    salt: &'a BlockSalt,
) -> impl Iterator<Item = Digest> + 'a {
    let salts = salt.leaf_salts(Tree::Transactions);
    transactions.iter().zip(salts).map(|(transaction, salt)| salt.leaf(&transaction.to_bytes()))
}

/// What a header says about transactions: the head of their Merkle tree, their number included.
pub fn transactions_root(transactions: &[Transaction], salt: &BlockSalt) -> Digest {
    merkle::head_over(transaction_hashes(transactions, salt))
}

/// A block with the certificate that commits it: what nodes store and send.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommittedBlock {
    /// The block.
    pub block: Block,
    /// The quorum's signatures.
    pub certificate: CommitCertificate,
}
