//! Ed25519 under the one rule of this project (`verify_strict`), as the engine's signing scheme.
//!
//! What is signed:
//!
//! | statement | bytes |
//! |---|---|
//! | vote | [`ledger::certificate::vote_bytes`], so that certificates verify with `ledger` alone |
//! | proposal | domain `hidamari/proposal/1`, chain, then [`ProposalPayload`] |
//! | validator proof | fixed by the engine; binds the validator key to the transport key |
//!
//! There are no vote extensions on this chain, so none is ever signed or accepted.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use arc_malachitebft_core_types::{
    NilOrVal, SignedMessage, SigningScheme, ValidatorProof, VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use borsh::BorshSerialize;
use ledger::block::BlockHash;
use ledger::certificate::{VoteKind, vote_bytes};
use market::keys::{ChainId, PublicKey, Signature, SigningKey};
use market::signed::signing_prefix;

use super::context::{Chain, Proposal, Vote};
use super::guard::{Guard, GuardError, Statement, Step};
use crate::failpoint::{Place, reach};

const PROPOSAL_DOMAIN: &str = "hidamari/proposal/1";

/// The signing scheme of this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ed25519;

/// A key or signature of the wrong length, or a weak key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotEd25519(&'static str);

impl SigningScheme for Ed25519 {
    type DecodingError = NotEd25519;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SigningKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, NotEd25519> {
        let bytes = bytes.try_into().map_err(|_| NotEd25519("a signature has 64 bytes"))?;
        Ok(Signature::from_bytes(bytes))
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, NotEd25519> {
        let bytes = bytes.try_into().map_err(|_| NotEd25519("a public key has 32 bytes"))?;
        let key = PublicKey::from_bytes(bytes);
        key.check_strong().map_err(|_| NotEd25519("the public key is weak"))?;
        Ok(key)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

/// Checks what others signed for this chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainVerifier {
    chain: ChainId,
}

impl ChainVerifier {
    pub(super) fn new(chain: ChainId) -> Self {
        Self { chain }
    }

    pub(super) fn vote_holds(&self, vote: &Vote, signature: &Signature, key: &PublicKey) -> bool {
        vote_statement(&self.chain, vote)
            .is_some_and(|(_, bytes)| key.verify(&bytes, signature).is_ok())
    }

    pub(super) fn proposal_holds(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> bool {
        proposal_statement(&self.chain, proposal)
            .is_some_and(|(_, bytes)| key.verify(&bytes, signature).is_ok())
    }
}

#[async_trait]
impl Verifier<Chain> for ChainVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.vote_holds(vote, signature, key)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.proposal_holds(proposal, signature, key)))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Chain>,
        (): &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Chain>,
    ) -> Result<VerificationResult, Error> {
        let holds = Ed25519::decode_public_key(&proof.public_key)
            .is_ok_and(|key| key.verify(&proof.preimage(), &proof.signature).is_ok());
        Ok(VerificationResult::from_bool(holds))
    }
}

/// Signs for this validator what its guard admits.
#[derive(Debug, Clone)]
pub(super) struct GuardedSigner {
    chain: ChainId,
    key: SigningKey,
    guard: Arc<Mutex<Guard>>,
    /// The engine's log.
    log: PathBuf,
    refusal: Arc<OnceLock<String>>,
}

impl GuardedSigner {
    pub(super) fn new(chain: ChainId, key: SigningKey, guard: Guard, log: PathBuf) -> Self {
        Self { chain, key, guard: Arc::new(Mutex::new(guard)), log, refusal: Arc::default() }
    }

    /// The same signer for another life of the engine, without the words of an earlier refusal.
    pub(super) fn renewed(&self) -> Self {
        Self { refusal: Arc::default(), ..self.clone() }
    }

    /// Where the words of the first refusal are left: the engine stops on it, but keeps no reason.
    pub(super) fn refusal(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.refusal)
    }

    /// Admits, then signs. Waiting for the disk happens on a blocking thread.
    ///
    /// The engine has written down what led to the statement, and syncs it only before it sends the
    /// statement. Were the record on the disk and that not, a power failure would leave an engine
    /// that says something else about the same step, and the record would refuse it for good. So
    /// the log is synced first.
    async fn sign(&self, statement: Statement, bytes: Vec<u8>) -> Result<Signature, Error> {
        let (guard, log) = (Arc::clone(&self.guard), self.log.clone());
        let admitted = tokio::task::spawn_blocking(move || {
            reach(Place::BeforeLogSync);
            match File::open(&log).and_then(|log| log.sync_data()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Ok(Err(GuardError::Io { path: log, source: error }));
                }
                _ => {}
            }
            reach(Place::AfterLogSync);
            let mut guard = guard.lock().map_err(|_| "the signer's record is poisoned")?;
            Ok::<_, &'static str>(guard.admit(statement))
        });
        let admitted = admitted.await.map_err(Error::from_source)?.map_err(Error::from_source)?;
        if let Err(refusal) = admitted {
            let words = refusal.to_string();
            tracing::error!(%refusal, "the signer refuses; this validator watches");
            // A later refusal adds nothing to the first.
            let _ = self.refusal.set(words.clone());
            return Err(Error::from_source(words));
        }
        #[cfg(test)]
        crate::failpoint::signed(&statement);
        Ok(self.key.sign(&bytes))
    }
}

#[async_trait]
impl Signer<Chain> for GuardedSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Chain, Vote>, Error> {
        let (statement, bytes) =
            vote_statement(&self.chain, &vote).ok_or_else(|| no_round("vote"))?;
        let signature = self.sign(statement, bytes).await?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Chain, Proposal>, Error> {
        let (statement, bytes) =
            proposal_statement(&self.chain, &proposal).ok_or_else(|| no_round("proposal"))?;
        let signature = self.sign(statement, bytes).await?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Chain>,
        (): (),
    ) -> Result<SignedMessage<Chain, ()>, Error> {
        Err(Error::from_source("this chain has no vote extensions"))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Chain>, Error> {
        let bytes = ValidatorProof::<Chain>::signing_bytes(&public_key, &peer_id);
        Ok(ValidatorProof::new(public_key, peer_id, self.key.sign(&bytes)))
    }
}

fn no_round(what: &'static str) -> Error {
    Error::from_source(format!("a {what} without a round is never signed"))
}

/// What a vote says and the bytes its signature covers; `None` if it names no round.
pub(super) fn vote_statement(chain: &ChainId, vote: &Vote) -> Option<(Statement, Vec<u8>)> {
    let (kind, step) = match vote.kind {
        VoteType::Prevote => (VoteKind::Prevote, Step::Prevote),
        VoteType::Precommit => (VoteKind::Precommit, Step::Precommit),
    };
    let block = match vote.value {
        NilOrVal::Val(block) => Some(block),
        NilOrVal::Nil => None,
    };
    let (height, round) = (vote.height.0, vote.round.as_u32()?);
    let bytes = vote_bytes(chain, kind, height, round, block.as_ref(), &vote.voter.0);
    Some((Statement { height, round, step, block, pol_round: None }, bytes))
}

/// What a proposer signs, behind domain and chain.
#[derive(BorshSerialize)]
struct ProposalPayload {
    height: u64,
    round: u32,
    pol_round: Option<u32>,
    block: BlockHash,
    proposer: ledger::validators::Address,
}

/// What a proposal says and the bytes its signature covers; `None` if it names no round.
pub(super) fn proposal_statement(
    chain: &ChainId,
    proposal: &Proposal,
) -> Option<(Statement, Vec<u8>)> {
    let payload = ProposalPayload {
        height: proposal.height.0,
        round: proposal.round.as_u32()?,
        pol_round: proposal.pol_round.as_u32(),
        block: proposal.value.0,
        proposer: proposal.proposer.0,
    };
    let mut bytes = signing_prefix(PROPOSAL_DOMAIN, chain);
    payload.serialize(&mut bytes).ok()?;
    let ProposalPayload { height, round, pol_round, block, .. } = payload;
    let statement =
        Statement { height, round, step: Step::Proposal, block: Some(block), pol_round };
    Some((statement, bytes))
}

#[cfg(test)]
mod tests {
    use super::super::context::{Height, Value, Voter};
    use super::*;
    use arc_malachitebft_core_types::Round;
    use ledger::certificate::CommitCertificate;
    use ledger::validators::{Address, Validator, ValidatorSet};

    const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
    const ELSEWHERE: ChainId = ChainId::from_bytes([2; 32]);

    fn vote(kind: VoteType, block: u8) -> Vote {
        let value = NilOrVal::Val(BlockHash::from_bytes([block; 32]));
        Vote { kind, height: Height(3), round: Round::new(1), value, voter: voter() }
    }

    fn proposal(pol_round: Round) -> Proposal {
        let value = Value(BlockHash::from_bytes([7; 32]));
        let (height, round) = (Height(3), Round::new(1));
        Proposal { height, round, value, pol_round, proposer: voter() }
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[9; 32])
    }

    fn voter() -> Voter {
        Voter(Address::of(&key().public()))
    }

    fn signer(directory: &std::path::Path) -> GuardedSigner {
        let guard = Guard::open(directory, CHAIN, key().public(), None).unwrap();
        GuardedSigner::new(CHAIN, key(), guard, directory.join("no-log"))
    }

    #[tokio::test]
    async fn a_signature_holds_for_one_statement_of_one_chain() {
        let directory = tempfile::tempdir().unwrap();
        let signer = signer(directory.path());
        let (here, there) = (ChainVerifier::new(CHAIN), ChainVerifier::new(ELSEWHERE));
        let public = key().public();

        let proposed = signer.sign_proposal(proposal(Round::Nil)).await.unwrap().signature;
        assert!(here.proposal_holds(&proposal(Round::Nil), &proposed, &public));
        assert!(!there.proposal_holds(&proposal(Round::Nil), &proposed, &public));
        assert!(!here.proposal_holds(&proposal(Round::new(0)), &proposed, &public));

        let voted = signer.sign_vote(vote(VoteType::Precommit, 7)).await.unwrap().signature;
        assert!(here.vote_holds(&vote(VoteType::Precommit, 7), &voted, &public));
        assert!(!there.vote_holds(&vote(VoteType::Precommit, 7), &voted, &public));
        assert!(!here.vote_holds(&vote(VoteType::Prevote, 7), &voted, &public));
        assert!(!here.vote_holds(&vote(VoteType::Precommit, 8), &voted, &public));
        assert!(!here.proposal_holds(&proposal(Round::Nil), &voted, &public));

        let certificate = CommitCertificate {
            height: 3,
            round: 1,
            block: BlockHash::from_bytes([7; 32]),
            signatures: vec![(voter().0, voted)],
        };
        let validators = ValidatorSet::new(vec![Validator { key: public, power: 1 }]).unwrap();
        certificate.verify(&CHAIN, &validators).unwrap();
    }

    #[tokio::test]
    async fn the_signer_repeats_itself_but_signs_nothing_that_contradicts() {
        let directory = tempfile::tempdir().unwrap();
        let signer = signer(directory.path());
        let first = signer.sign_vote(vote(VoteType::Prevote, 1)).await.unwrap();
        assert_eq!(signer.sign_vote(vote(VoteType::Prevote, 1)).await.unwrap(), first);
        assert_eq!(signer.refusal().get(), None);
        assert!(signer.sign_vote(vote(VoteType::Prevote, 2)).await.is_err());
        assert!(signer.sign_proposal(proposal(Round::Nil)).await.is_err());
        let words = signer.refusal().get().cloned().unwrap();
        assert!(words.contains("a prevote for block 0202"), "{words}");
    }

    #[tokio::test]
    async fn a_validator_proof_binds_key_and_peer() {
        let directory = tempfile::tempdir().unwrap();
        let public = key().public().as_bytes().to_vec();
        let signer = signer(directory.path());
        let proof = signer.sign_validator_proof(public, vec![1, 2, 3]).await.unwrap();
        let verifier = ChainVerifier::new(CHAIN);
        assert!(verifier.verify_validator_proof(&proof).await.unwrap().is_valid());
        let stolen = ValidatorProof { peer_id: vec![4, 5, 6], ..proof.clone() };
        assert!(verifier.verify_validator_proof(&stolen).await.unwrap().is_invalid());
        let weak = ValidatorProof { public_key: vec![0; 32], ..proof };
        assert!(verifier.verify_validator_proof(&weak).await.unwrap().is_invalid());
    }
}
