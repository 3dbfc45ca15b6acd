//! Commit certificates: a quorum of validators signed that one block stands at one height.

use borsh::{BorshDeserialize, BorshSerialize};
use market::keys::{ChainId, Signature, SignatureError};
use market::signed::signing_prefix;
use std::collections::BTreeSet;

use crate::block::BlockHash;
use crate::validators::{Address, ValidatorSet};

/// The two kinds of votes of Tendermint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VoteKind {
    /// The first vote of a round.
    Prevote,
    /// The second vote of a round; a quorum of them for one block commits it.
    Precommit,
}

/// The bytes that a validator signs when it votes:
///
/// ```text
/// 15 | "hidamari/vote/1" | chain id 32 | kind u8 (1 prevote, 2 precommit) | height u64 LE
///    | round u32 LE | 0, or 1 and block hash 32 | voter's address 20
/// ```
pub fn vote_bytes(
    chain: &ChainId,
    kind: VoteKind,
    height: u64,
    round: u32,
    block: Option<&BlockHash>,
    voter: &Address,
) -> Vec<u8> {
    let mut bytes = signing_prefix("hidamari/vote/1", chain);
    bytes.push(match kind {
        VoteKind::Prevote => 1,
        VoteKind::Precommit => 2,
    });
    bytes.extend_from_slice(&height.to_le_bytes());
    bytes.extend_from_slice(&round.to_le_bytes());
    match block {
        None => bytes.push(0),
        Some(hash) => {
            bytes.push(1);
            bytes.extend_from_slice(hash.as_bytes());
        }
    }
    bytes.extend_from_slice(voter.as_bytes());
    bytes
}

/// Precommits of more than two thirds of the voting power for one block at one height and round.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CommitCertificate {
    /// The height.
    pub height: u64,
    /// The round in which it was decided.
    pub round: u32,
    /// The block.
    pub block: BlockHash,
    /// Who precommitted, with the signature over [`vote_bytes`].
    pub signatures: Vec<(Address, Signature)>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Signed by someone who has no vote at this height.
    #[error("{0} is not a validator of this height")]
    NotAValidator(Address),
    /// One vote counted twice.
    #[error("validator {0} stands in the certificate twice")]
    Twice(Address),
    /// A signature that does not hold.
    #[error("the vote of validator {address} does not hold: {error}")]
    BadVote {
        /// Whose vote.
        address: Address,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// Too few votes.
    #[error("votes of power {have} of {total} are no more than two thirds")]
    NoQuorum {
        /// The power that signed.
        have: u64,
        /// The power of all.
        total: u64,
    },
}

impl CommitCertificate {
    /// Checks every signature strictly and counts the power.
    ///
    /// # Errors
    /// [`CertificateError`] names the first vote that does not count, or the missing quorum.
    pub fn verify(
        &self,
        chain: &ChainId,
        validators: &ValidatorSet,
    ) -> Result<(), CertificateError> {
        let mut seen = BTreeSet::new();
        let mut have = 0_u64;
        for (address, signature) in &self.signatures {
            let validator =
                validators.get(address).ok_or(CertificateError::NotAValidator(*address))?;
            if !seen.insert(*address) {
                return Err(CertificateError::Twice(*address));
            }
            let bytes = vote_bytes(
                chain,
                VoteKind::Precommit,
                self.height,
                self.round,
                Some(&self.block),
                address,
            );
            validator
                .key
                .verify(&bytes, signature)
                .map_err(|error| CertificateError::BadVote { address: *address, error })?;
            have = have.saturating_add(validator.power);
        }
        if validators.is_quorum(have) {
            Ok(())
        } else {
            Err(CertificateError::NoQuorum { have, total: validators.total_power() })
        }
    }
}
