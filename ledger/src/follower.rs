//! Following the chain without trusting whoever serves it.
//!
//! [`Follower`] recomputes every block, as the dashboard and a following node do. [`LightFollower`]
//! checks certificates and roots only, as a household's agent does.

use market::hash::Digest;
use market::keys::ChainId;

use crate::apply::{BlockRefused, apply};
use crate::block::{Block, BlockHash, CommittedBlock, Header, MalformedBlock};
use crate::certificate::{CertificateError, CommitCertificate};
use crate::draft::Executed;
use crate::genesis::Genesis;
use crate::results::{ResultLeaf, ServedBlock, results_root};
use crate::state::State;
use crate::validators::ValidatorSet;

/// Why a served block is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// Not the next height.
    #[error("height {found} was served where {expected} comes next")]
    WrongHeight {
        /// What was served.
        found: u64,
        /// What comes next.
        expected: u64,
    },
    /// Of another community, or not built on the last block.
    #[error("block {0} does not follow the last block")]
    OtherChain(BlockHash),
    /// The certificate names another block or height.
    #[error("the certificate is for block {certified} at height {height}, not for {served}")]
    CertificateOfAnother {
        /// The block in the certificate.
        certified: BlockHash,
        /// The height in the certificate.
        height: u64,
        /// The block that was served.
        served: BlockHash,
    },
    /// The certificate does not hold.
    #[error("the certificate does not hold: {0}")]
    Certificate(#[from] CertificateError),
    /// The body is not the header's.
    #[error(transparent)]
    Body(#[from] MalformedBlock),
    /// The results are not the header's.
    #[error("the results have root {found}, the header says {header}")]
    Results {
        /// Of what was served.
        found: Digest,
        /// In the header.
        header: Digest,
    },
    /// The block does not follow from the state.
    #[error(transparent)]
    Refused(#[from] BlockRefused),
    /// The validators of the next height are not known.
    #[error("the validators change at height {0}; only a full follower can go on")]
    UnknownValidators(u64),
}

/// Checks that a certificate commits exactly this header.
///
/// # Errors
/// [`NotFollowed`] if it is for another block, or does not hold.
pub fn check_commit(
    header: &Header,
    certificate: &CommitCertificate,
    validators: &ValidatorSet,
) -> Result<(), NotFollowed> {
    let served = header.hash();
    if certificate.block != served || certificate.height != header.height {
        let (certified, height) = (certificate.block, certificate.height);
        return Err(NotFollowed::CertificateOfAnother { certified, height, served });
    }
    Ok(certificate.verify(&header.chain, validators)?)
}

/// A follower that recomputes everything.
#[derive(Debug, Clone)]
pub struct Follower {
    state: State,
}

impl Follower {
    /// Starts before the first block.
    pub fn at_genesis(genesis: &Genesis) -> Self {
        Self { state: State::at_genesis(genesis) }
    }

    /// Goes on from a state that this process has computed and kept itself.
    pub fn resume(state: State) -> Self {
        Self { state }
    }

    /// The state after the last followed block.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Verifies and applies the next block.
    ///
    /// # Errors
    /// [`NotFollowed`] names what does not hold; the follower stays where it was.
    pub fn follow(&mut self, committed: &CommittedBlock) -> Result<Executed, NotFollowed> {
        let header = &committed.block.header;
        let expected = self.state.height().saturating_add(1);
        if header.height != expected {
            return Err(NotFollowed::WrongHeight { found: header.height, expected });
        }
        check_commit(header, &committed.certificate, self.state.validators())?;
        let executed = apply(&self.state, &committed.block)?;
        self.state = executed.state.clone();
        Ok(executed)
    }
}

/// A follower that trusts a quorum of validators to compute, and checks that they signed.
#[derive(Debug, Clone)]
pub struct LightFollower {
    chain: ChainId,
    height: u64,
    tip: BlockHash,
    validators: ValidatorSet,
}

impl LightFollower {
    /// Starts before the first block.
    pub fn at_genesis(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain_id(),
            height: 0,
            tip: BlockHash::default(),
            validators: genesis.validators.clone(),
        }
    }

    /// Goes on from a block that this process has followed and remembered itself.
    pub fn resume(genesis: &Genesis, height: u64, tip: BlockHash) -> Self {
        Self { height, tip, ..Self::at_genesis(genesis) }
    }

    /// The height of the last followed block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The last followed block.
    pub fn tip(&self) -> BlockHash {
        self.tip
    }

    /// Verifies the next block and hands out its transactions and, if they were served, results.
    ///
    /// # Errors
    /// [`NotFollowed`] names what does not hold; the follower stays where it was.
    pub fn follow<'a>(
        &mut self,
        served: &'a ServedBlock,
    ) -> Result<(&'a Block, &'a [ResultLeaf]), NotFollowed> {
        let block = &served.committed.block;
        let (header, expected) = (&block.header, self.height.saturating_add(1));
        if header.height != expected {
            return Err(NotFollowed::WrongHeight { found: header.height, expected });
        }
        let hash = header.hash();
        if header.chain != self.chain || header.previous != self.tip {
            return Err(NotFollowed::OtherChain(hash));
        }
        check_commit(header, &served.committed.certificate, &self.validators)?;
        block.check_body()?;
        let results = served.results.as_deref().unwrap_or_default();
        if served.results.is_some() {
            let found = results_root(results);
            if found != header.results_root {
                return Err(NotFollowed::Results { found, header: header.results_root });
            }
        }
        if header.next_validators != self.validators.hash() {
            return Err(NotFollowed::UnknownValidators(expected.saturating_add(1)));
        }
        self.height = expected;
        self.tip = hash;
        Ok((block, results))
    }
}
