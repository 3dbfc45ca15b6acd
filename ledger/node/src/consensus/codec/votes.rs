//! Votes, proposals, and the certificates made of them.

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::types::{ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{
    NilOrVal, PolkaCertificate, PolkaSignature, RoundCertificate, RoundCertificateType,
    RoundSignature, SignedMessage, SignedProposal, SignedVote, Validity, VoteType,
};
use borsh::{BorshDeserialize, BorshSerialize};
use ledger::block::BlockHash;
use ledger::validators::Address;
use market::keys::Signature;

use super::super::context::{Chain, Height, Proposal, Value, Vote, Voter};
use super::{CERTIFICATE_BYTES_MAX, CodecError, Wire, round_of};

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum WireConsensus {
    Vote(WireVote),
    Proposal(WireProposal),
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum WireLiveness {
    Vote(WireVote),
    Polka(WirePolka),
    SkipRound(WireRoundCertificate),
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireVote {
    kind: WireKind,
    height: u64,
    round: u32,
    block: Option<BlockHash>,
    voter: Address,
    signature: Signature,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireProposal {
    height: u64,
    round: u32,
    block: BlockHash,
    pol_round: Option<u32>,
    proposer: Address,
    signature: Signature,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WirePolka {
    height: u64,
    round: u32,
    block: BlockHash,
    signatures: Vec<(Address, Signature)>,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireRoundCertificate {
    height: u64,
    round: u32,
    all_precommits: bool,
    votes: Vec<WireRoundVote>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct WireRoundVote {
    kind: WireKind,
    block: Option<BlockHash>,
    voter: Address,
    signature: Signature,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WireProposedValue {
    height: u64,
    round: u32,
    valid_round: Option<u32>,
    proposer: Address,
    block: BlockHash,
    valid: bool,
}

#[derive(Clone, Copy, BorshSerialize, BorshDeserialize)]
enum WireKind {
    Prevote,
    Precommit,
}

impl Wire<SignedConsensusMsg<Chain>> for WireConsensus {
    const WHAT: &'static str = "vote or proposal";
    const LIMIT: usize = 256;

    fn of(message: &SignedConsensusMsg<Chain>) -> Result<Self, CodecError> {
        Ok(match message {
            SignedConsensusMsg::Vote(vote) => Self::Vote(WireVote::of(vote)?),
            SignedConsensusMsg::Proposal(proposal) => Self::Proposal(WireProposal::of(proposal)?),
        })
    }

    fn message(self) -> Result<SignedConsensusMsg<Chain>, CodecError> {
        Ok(match self {
            Self::Vote(vote) => SignedConsensusMsg::Vote(vote.signed()),
            Self::Proposal(proposal) => SignedConsensusMsg::Proposal(proposal.signed()),
        })
    }
}

impl Wire<LivenessMsg<Chain>> for WireLiveness {
    const WHAT: &'static str = "liveness message";
    const LIMIT: usize = CERTIFICATE_BYTES_MAX;

    fn of(message: &LivenessMsg<Chain>) -> Result<Self, CodecError> {
        Ok(match message {
            LivenessMsg::Vote(vote) => Self::Vote(WireVote::of(vote)?),
            LivenessMsg::PolkaCertificate(polka) => Self::Polka(WirePolka::of(polka)?),
            LivenessMsg::SkipRoundCertificate(certificate) => {
                Self::SkipRound(WireRoundCertificate::of(certificate)?)
            }
        })
    }

    fn message(self) -> Result<LivenessMsg<Chain>, CodecError> {
        Ok(match self {
            Self::Vote(vote) => LivenessMsg::Vote(vote.signed()),
            Self::Polka(polka) => LivenessMsg::PolkaCertificate(polka.message()?),
            Self::SkipRound(certificate) => {
                LivenessMsg::SkipRoundCertificate(certificate.certificate())
            }
        })
    }
}

impl Wire<PolkaCertificate<Chain>> for WirePolka {
    const WHAT: &'static str = "polka certificate";
    const LIMIT: usize = CERTIFICATE_BYTES_MAX;

    fn of(certificate: &PolkaCertificate<Chain>) -> Result<Self, CodecError> {
        let signatures = certificate.polka_signatures.iter();
        Ok(Self {
            height: certificate.height.0,
            round: round_of(certificate.round, Self::WHAT)?,
            block: certificate.value_id,
            signatures: signatures.map(|vote| (vote.address.0, vote.signature)).collect(),
        })
    }

    fn message(self) -> Result<PolkaCertificate<Chain>, CodecError> {
        let signatures = self.signatures.into_iter();
        Ok(PolkaCertificate {
            height: Height(self.height),
            round: self.round.into(),
            value_id: self.block,
            polka_signatures: signatures
                .map(|(voter, signature)| PolkaSignature::new(Voter(voter), signature))
                .collect(),
        })
    }
}

impl Wire<ProposedValue<Chain>> for WireProposedValue {
    const WHAT: &'static str = "proposed value";
    const LIMIT: usize = 128;

    fn of(value: &ProposedValue<Chain>) -> Result<Self, CodecError> {
        Ok(Self {
            height: value.height.0,
            round: round_of(value.round, Self::WHAT)?,
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer.0,
            block: value.value.0,
            valid: value.validity.is_valid(),
        })
    }

    fn message(self) -> Result<ProposedValue<Chain>, CodecError> {
        Ok(ProposedValue {
            height: Height(self.height),
            round: self.round.into(),
            valid_round: self.valid_round.into(),
            proposer: Voter(self.proposer),
            value: Value(self.block),
            validity: Validity::from_bool(self.valid),
        })
    }
}

impl WireVote {
    fn of(vote: &SignedVote<Chain>) -> Result<Self, CodecError> {
        Ok(Self {
            kind: vote.kind.into(),
            height: vote.height.0,
            round: round_of(vote.round, "vote")?,
            block: option(&vote.value),
            voter: vote.voter.0,
            signature: vote.signature,
        })
    }

    fn signed(self) -> SignedVote<Chain> {
        let vote = Vote {
            kind: self.kind.into(),
            height: Height(self.height),
            round: self.round.into(),
            value: value(self.block),
            voter: Voter(self.voter),
        };
        SignedMessage::new(vote, self.signature)
    }
}

impl WireProposal {
    fn of(proposal: &SignedProposal<Chain>) -> Result<Self, CodecError> {
        Ok(Self {
            height: proposal.height.0,
            round: round_of(proposal.round, "proposal")?,
            block: proposal.value.0,
            pol_round: proposal.pol_round.as_u32(),
            proposer: proposal.proposer.0,
            signature: proposal.signature,
        })
    }

    fn signed(self) -> SignedProposal<Chain> {
        let proposal = Proposal {
            height: Height(self.height),
            round: self.round.into(),
            value: Value(self.block),
            pol_round: self.pol_round.into(),
            proposer: Voter(self.proposer),
        };
        SignedMessage::new(proposal, self.signature)
    }
}

impl WireRoundCertificate {
    fn of(certificate: &RoundCertificate<Chain>) -> Result<Self, CodecError> {
        let votes = certificate.round_signatures.iter().map(|vote| WireRoundVote {
            kind: vote.vote_type.into(),
            block: option(&vote.value_id),
            voter: vote.address.0,
            signature: vote.signature,
        });
        Ok(Self {
            height: certificate.height.0,
            round: round_of(certificate.round, "round certificate")?,
            all_precommits: certificate.cert_type == RoundCertificateType::Precommit,
            votes: votes.collect(),
        })
    }

    fn certificate(self) -> RoundCertificate<Chain> {
        let votes = self.votes.into_iter().map(|vote| {
            let (kind, voter) = (vote.kind.into(), Voter(vote.voter));
            RoundSignature::new(kind, value(vote.block), voter, vote.signature)
        });
        RoundCertificate {
            height: Height(self.height),
            round: self.round.into(),
            cert_type: if self.all_precommits {
                RoundCertificateType::Precommit
            } else {
                RoundCertificateType::Skip
            },
            round_signatures: votes.collect(),
        }
    }
}

impl From<VoteType> for WireKind {
    fn from(kind: VoteType) -> Self {
        match kind {
            VoteType::Prevote => Self::Prevote,
            VoteType::Precommit => Self::Precommit,
        }
    }
}

impl From<WireKind> for VoteType {
    fn from(kind: WireKind) -> Self {
        match kind {
            WireKind::Prevote => Self::Prevote,
            WireKind::Precommit => Self::Precommit,
        }
    }
}

fn option(value: &NilOrVal<BlockHash>) -> Option<BlockHash> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(block) => Some(*block),
    }
}

fn value(block: Option<BlockHash>) -> NilOrVal<BlockHash> {
    block.map_or(NilOrVal::Nil, NilOrVal::Val)
}
