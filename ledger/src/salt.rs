//! Salts: what keeps a forgotten leaf from being guessed.
//!
//! A leaf of a block holds little that nobody knows: identifiers, prices, and a few watt-hours. Its
//! bare hash could be found by trying them all. So each leaf is hashed with a salt of its own, made
//! from one that the proposer draws at random for the block. Once block salt, leaf salt and bytes
//! are forgotten, the hash that stays says nothing, and all roots above it still verify.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;

/// The random number of one block, from which the salts of its leaves are made.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockSalt([u8; 32]);

impl BlockSalt {
    /// From 32 random bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the header says of it: it binds the salt and does not tell it.
    pub fn commitment(&self) -> Digest {
        Digest::of(&[b"hidamari/block-salt/1", &self.0])
    }

    /// The salt of one leaf, counted from 0.
    pub fn leaf_salt(&self, tree: Tree, index: u64) -> LeafSalt {
        let tree = match tree {
            Tree::Transactions => 1,
            Tree::Results => 2,
        };
        let digest = Digest::of(&[b"hidamari/leaf-salt/1", &self.0, &[tree], &index.to_be_bytes()]);
        let mut salt = [0; 16];
        salt.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        LeafSalt(salt)
    }

    /// The salts of the leaves of a tree, one after the other.
    pub fn leaf_salts(&self, tree: Tree) -> impl Iterator<Item = LeafSalt> {
        (0..).map(move |index| self.leaf_salt(tree, index))
    }
}

impl std::fmt::Debug for BlockSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The trees of a block whose leaves are salted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// What members said.
    Transactions,
    /// What the block decided.
    Results,
}

/// The salt of one leaf: it tells nothing about the salts of others.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LeafSalt([u8; 16]);

impl LeafSalt {
    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The hash of a leaf with this salt: SHA-256(0x00 || salt || bytes).
    pub fn leaf(&self, bytes: &[u8]) -> Digest {
        Digest::of(&[&[0x00], &self.0, bytes])
    }
}

impl std::fmt::Display for LeafSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for LeafSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for LeafSalt {
    type Err = market::hash::NotHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        market::hash::parse_hex(text).map(Self)
    }
}
