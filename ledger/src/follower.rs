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
use crate::handover::{Handover, HandoverError, Succession};
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
    /// Only a header was given, of a block in which something was said or decided.
    #[error("block {0} is not known by its header alone")]
    BodyMissing(BlockHash),
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
    handovers: Vec<Handover>,
}

impl LightFollower {
    /// Starts before the first block.
    pub fn at_genesis(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain_id(),
            height: 0,
            tip: BlockHash::default(),
            validators: genesis.validators.clone(),
            handovers: Vec::new(),
        }
    }

    /// Goes on from a block that this process has followed and remembered itself, before any change
    /// of validators.
    pub fn resume(genesis: &Genesis, height: u64, tip: BlockHash) -> Self {
        Self { height, tip, ..Self::at_genesis(genesis) }
    }

    /// Goes on from a block after which the validators have changed: `handovers` are what
    /// [`LightFollower::handovers`] said then.
    ///
    /// # Errors
    /// [`HandoverError`] if they do not lead from the genesis to those who decide the next height.
    pub fn resume_after(
        genesis: &Genesis,
        height: u64,
        tip: BlockHash,
        handovers: Vec<Handover>,
    ) -> Result<Self, HandoverError> {
        let next = height.saturating_add(1);
        let succession = Succession::verify_up_to(genesis, &handovers, next)?;
        let fresh = Self::resume(genesis, height, tip);
        let validators = succession.at(next).cloned().unwrap_or(fresh.validators);
        Ok(Self { validators, handovers, ..fresh })
    }

    /// The height of the last followed block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The last followed block.
    pub fn tip(&self) -> BlockHash {
        self.tip
    }

    /// Every change of validators that was followed, from the genesis on.
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// Verifies the next block and hands out its transactions and, if they were served, results.
    ///
    /// # Errors
    /// [`NotFollowed`] names what does not hold; the follower stays where it was.
    pub fn follow<'a>(
        &mut self,
        served: &'a ServedBlock,
    ) -> Result<(&'a Block, &'a [ResultLeaf]), NotFollowed> {
        let CommittedBlock { block, certificate } = &served.committed;
        let header = &block.header;
        self.check(header, certificate)?;
        block.check_body()?;
        let results = served.results.as_deref().unwrap_or_default();
        if served.results.is_some() {
            let found = results_root(results, &block.salt);
            if found != header.results_root {
                return Err(NotFollowed::Results { found, header: header.results_root });
            }
        }
        self.go_on(header, certificate, || validators_enacted(block))?;
        Ok((block, results))
    }

    /// Verifies the next block by its header, which is all of it if nothing was said and nothing
    /// decided in it.
    ///
    /// # Errors
    /// [`NotFollowed`] names what does not hold; the follower stays where it was.
    pub fn follow_header(
        &mut self,
        header: &Header,
        certificate: &CommitCertificate,
    ) -> Result<(), NotFollowed> {
        self.check(header, certificate)?;
        if !header.is_of_nothing() {
            return Err(NotFollowed::BodyMissing(header.hash()));
        }
        self.go_on(header, certificate, || None)
    }

    /// Whether a certified header comes next.
    fn check(&self, header: &Header, certificate: &CommitCertificate) -> Result<(), NotFollowed> {
        let expected = self.height.saturating_add(1);
        if header.height != expected {
            return Err(NotFollowed::WrongHeight { found: header.height, expected });
        }
        if header.chain != self.chain || header.previous != self.tip {
            return Err(NotFollowed::OtherChain(header.hash()));
        }
        check_commit(header, certificate, &self.validators)
    }

    /// Takes a checked header for the tip; `enacted` are the validators that its block appoints.
    fn go_on(
        &mut self,
        header: &Header,
        certificate: &CommitCertificate,
        enacted: impl FnOnce() -> Option<ValidatorSet>,
    ) -> Result<(), NotFollowed> {
        if header.next_validators != self.validators.hash() {
            let unknown = NotFollowed::UnknownValidators(header.height.saturating_add(1));
            let named = |set: &ValidatorSet| set.hash() == header.next_validators;
            let next = enacted().filter(named).ok_or(unknown)?;
            self.handovers.extend(Handover::at(header, certificate, &self.validators, &next));
            self.validators = next;
        }
        self.height = header.height;
        self.tip = header.hash();
        Ok(())
    }
}

/// The validators that an act in a block appoints from the next height on. No transaction of this
/// format does.
fn validators_enacted(_: &Block) -> Option<ValidatorSet> {
    None
}
