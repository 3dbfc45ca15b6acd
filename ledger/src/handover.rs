//! Handovers: how one validator set appoints the next, certified, from genesis on.
//!
//! A header names the validator set that decides the next height. Where that is another one, the
//! header with its certificate and the new set is a [`Handover`]. Whoever holds the genesis and all
//! handovers knows who votes at each height, and needs no other header for it.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::ChainId;

use crate::block::Header;
use crate::certificate::CommitCertificate;
use crate::follower::{NotFollowed, check_commit};
use crate::genesis::Genesis;
use crate::validators::ValidatorSet;

/// The header after which other validators decide, with its certificate and the new set.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Handover {
    /// The last header of the old set.
    pub header: Header,
    /// Who of the old set committed it.
    pub certificate: CommitCertificate,
    /// The new set: that of the header's `next_validators`.
    pub validators: ValidatorSet,
}

/// Why handovers do not lead from the genesis to a validator set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// A header of another community.
    #[error("the one at height {height} belongs to community {found}, the genesis is of {chain}")]
    OtherCommunity {
        /// Its height.
        height: u64,
        /// Whose it is.
        found: ChainId,
        /// The genesis's.
        chain: ChainId,
    },
    /// Heights must rise.
    #[error("the one at height {height} does not come after that at {before}")]
    NotRising {
        /// Its height.
        height: u64,
        /// The height of the handover before.
        before: u64,
    },
    /// The certificate does not commit the header by the old set.
    #[error("the one at height {height} is not certified: {error}")]
    NotCertified {
        /// Its height.
        height: u64,
        /// What does not hold.
        error: Box<NotFollowed>,
    },
    /// The new set is not the one that the header names.
    #[error("the one at height {height} names validators {named}, those given are {given}")]
    OtherValidators {
        /// Its height.
        height: u64,
        /// What the header says.
        named: Digest,
        /// The hash of the set.
        given: Digest,
    },
    /// Nothing is handed over.
    #[error("the one at height {0} changes nothing")]
    NoChange(u64),
    /// It says who votes after what is to be proved.
    #[error("the one at height {height} is not needed for height {wanted}")]
    NotNeeded {
        /// Its height.
        height: u64,
        /// What is to be proved.
        wanted: u64,
    },
}

impl Handover {
    /// The handover that a certified header makes, if it makes one: `before` decides its height,
    /// `after` the next one.
    pub fn at(
        header: &Header,
        certificate: &CommitCertificate,
        before: &ValidatorSet,
        after: &ValidatorSet,
    ) -> Option<Self> {
        (before.hash() != after.hash()).then(|| Self {
            header: header.clone(),
            certificate: certificate.clone(),
            validators: after.clone(),
        })
    }
}

/// Who votes at each height: the genesis's validators, and those that certified handovers lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    chain: ChainId,
    /// The set that decides from a height on; the first from height 1.
    sets: Vec<(u64, ValidatorSet)>,
}

impl Succession {
    /// Checks handovers one after the other from the genesis on.
    ///
    /// # Errors
    /// [`HandoverError`] names the first that does not hold.
    pub fn verify(genesis: &Genesis, handovers: &[Handover]) -> Result<Self, HandoverError> {
        let chain = genesis.chain_id();
        let mut sets = vec![(1, genesis.validators.clone())];
        let (mut current, mut last) = (&genesis.validators, 0);
        for Handover { header, certificate, validators } in handovers {
            let height = header.height;
            if header.chain != chain {
                return Err(HandoverError::OtherCommunity { height, found: header.chain, chain });
            }
            if height <= last {
                return Err(HandoverError::NotRising { height, before: last });
            }
            check_commit(header, certificate, current)
                .map_err(|error| HandoverError::NotCertified { height, error: Box::new(error) })?;
            let given = validators.hash();
            if given != header.next_validators {
                let named = header.next_validators;
                return Err(HandoverError::OtherValidators { height, named, given });
            }
            if given == current.hash() {
                return Err(HandoverError::NoChange(height));
            }
            (current, last) = (validators, height);
            sets.push((height.saturating_add(1), validators.clone()));
        }
        Ok(Self { chain, sets })
    }

    /// The same, with no handover that is not needed for a height.
    ///
    /// # Errors
    /// As [`Succession::verify`], and [`HandoverError::NotNeeded`].
    pub fn verify_up_to(
        genesis: &Genesis,
        handovers: &[Handover],
        wanted: u64,
    ) -> Result<Self, HandoverError> {
        let beyond = handovers.iter().map(|handover| handover.header.height);
        if let Some(height) = beyond.filter(|height| *height >= wanted).min() {
            return Err(HandoverError::NotNeeded { height, wanted });
        }
        Self::verify(genesis, handovers)
    }

    /// The community.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// How often the validators have changed.
    pub fn changes(&self) -> usize {
        self.sets.len().saturating_sub(1)
    }

    /// Who decides a height; `None` only for height 0, which nobody decides.
    pub fn at(&self, height: u64) -> Option<&ValidatorSet> {
        let decided = self.sets.iter().rev().find(|(from, _)| *from <= height);
        decided.map(|(_, set)| set)
    }

    /// Checks that a header is of this community and committed by those who decide its height.
    ///
    /// # Errors
    /// [`NotFollowed`] says what does not hold.
    pub fn check(
        &self,
        header: &Header,
        certificate: &CommitCertificate,
    ) -> Result<(), NotFollowed> {
        let unknown = NotFollowed::OtherChain(header.hash());
        if header.chain != self.chain {
            return Err(unknown);
        }
        let validators = self.at(header.height).ok_or(unknown)?;
        check_commit(header, certificate, validators)
    }
}
