//! Why a transaction does not apply.

use market::Overflow;
use market::admission::Rejection;
use market::hash::Digest;
use market::keys::{PublicKey, SignatureError};
use market::member::PartyId;
use market::money::Money;
use market::time::{DeliveryPeriod, Timestamp};
use market::zone::{ZoneError, ZoneId};

use crate::acts::{CANDIDATES_MAX, PAYOUT_MAX};
use crate::genesis::GenesisError;

/// Why a transaction does not apply. Then it stands in no block, and nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// What holds for every message: community, party, sequence, signature; and all of the market's
    /// rules.
    #[error(transparent)]
    Message(#[from] Rejection),
    /// Signed by a key that operates nothing here.
    #[error("{0} is not an operator of this community")]
    NotAnOperator(PublicKey),
    /// A text of the wrong length, or with control characters.
    #[error("{field} must have {min} to {max} bytes and no control characters; it has {found}")]
    Text {
        /// Which.
        field: &'static str,
        /// The fewest bytes.
        min: usize,
        /// The most bytes.
        max: usize,
        /// How many it has.
        found: usize,
    },
    /// A key that somebody here signs with already.
    #[error("key {0} is in use already")]
    KeyInUse(PublicKey),
    /// A key that cannot be trusted, or that did not consent to its use.
    #[error("the new key has not consented: {0}")]
    Consent(SignatureError),
    /// Nobody was invited with this key.
    #[error("there is no invitation {0}")]
    UnknownInvitation(PublicKey),
    /// An invitation's key serves once.
    #[error("invitation {0} was opened before")]
    InvitationKnown(PublicKey),
    /// Used up or cancelled.
    #[error("invitation {0} is not open any more")]
    InvitationClosed(PublicKey),
    /// Too late, or an invitation that would be over before it begins.
    #[error("the invitation expires at {0:?}")]
    Expired(Timestamp),
    /// A key that joined by this invitation before.
    #[error("key {0} has joined by this invitation already")]
    JoinedBefore(PublicKey),
    /// An invitation that was used for too many keys.
    #[error("{CANDIDATES_MAX} keys have joined by this invitation; ask for a new one")]
    TooManyCandidates,
    /// The operator approved another key than the one that joined.
    #[error("the key that joined is {candidate:?}, not {approved}")]
    NotTheCandidate {
        /// What the operator approved.
        approved: PublicKey,
        /// What joined, if anything did.
        candidate: Option<PublicKey>,
    },
    /// An identifier that somebody has or had.
    #[error("party {0} is or was a member; a new member needs a new identifier")]
    PartyKnown(PartyId),
    /// What genesis would refuse too.
    #[error(transparent)]
    Unsound(#[from] GenesisError),
    /// Zones that are no tree.
    #[error(transparent)]
    Zones(#[from] ZoneError),
    /// A zone to be removed that is not there.
    #[error("there is no zone {}", .0.0)]
    UnknownZone(ZoneId),
    /// A change for a period whose first gate has closed, or which has begun.
    #[error("it is too late for this period: its rules are fixed since {0:?}")]
    RulesFixed(Timestamp),
    /// A change of the grid before one that was made from the grid as it is.
    #[error("the grid changes at {0:?} already; a change before that would be undone by it")]
    ChangesLater(Timestamp),
    /// Nothing is asked for.
    #[error("nothing is to be changed")]
    NoChange,
    /// An endpoint of somebody who is not to be a validator.
    #[error("an endpoint is named for {0}, which is not in the validator set")]
    EndpointOfNobody(PublicKey),
    /// Two endpoints for one validator.
    #[error("two endpoints are named for validator {0}")]
    EndpointTwice(PublicKey),
    /// An endpoint that not every validator can use.
    #[error("an endpoint must be written /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID or with ip6, not {0:?}")]
    EndpointUnusable(String),
    /// The approval of something that is not settled, or about to be settled again.
    #[error("the period {0:?} is not settled yet")]
    NotSettled(DeliveryPeriod),
    /// No settlement in the range can be approved.
    #[error("no settlement in this range is provisional")]
    NothingToApprove,
    /// All of it was approved by this operator before.
    #[error("this operator has approved all of these settlements already")]
    ApprovedBefore,
    /// Other settlements than the operator has seen.
    #[error("the settlements have digest {found}, but {seen} was approved")]
    OtherSettlements {
        /// What was approved.
        seen: Digest,
        /// What is there.
        found: Digest,
    },
    /// A party that is not settled in the period.
    #[error("party {party} takes no part in {period:?}")]
    NotInPeriod {
        /// Who.
        party: PartyId,
        /// Which period.
        period: DeliveryPeriod,
    },
    /// A dispute after the time for it.
    #[error("the period can be disputed until {0:?}")]
    TooLateToDispute(Timestamp),
    /// A second dispute of the same party about the same period.
    #[error("dispute {0} is about this period already")]
    AlreadyDisputed(u64),
    /// More disputes of one party than anybody can mean.
    #[error("the party has as many open disputes, or about this period, as one may have")]
    TooManyDisputes,
    /// No such dispute, or one of long ago.
    #[error("there is no dispute {0}")]
    UnknownDispute(u64),
    /// Somebody else's dispute.
    #[error("dispute {0} is another party's")]
    AnothersDispute(u64),
    /// Withdrawn or decided.
    #[error("dispute {0} is closed")]
    DisputeClosed(u64),
    /// One party corrected twice in one decision.
    #[error("party {0} is corrected twice")]
    CorrectedTwice(PartyId),
    /// A payout of nothing, or beyond what any household could be due.
    #[error("a payout is not zero and at most {PAYOUT_MAX}, but it is {0}")]
    PayoutOutOfRange(Money),
    /// Somebody who is still a member cannot be forgotten.
    #[error("party {0} is still a member")]
    StillMember(PartyId),
    /// Something about the party can still change.
    #[error("the party still takes part in {0:?}, which is not closed")]
    StillOpen(DeliveryPeriod),
    /// A sum that leaves its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl NotApplied {
    /// A short name without figures, for counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Message(rejection) => rejection.code(),
            Self::NotAnOperator(_) => "not_an_operator",
            Self::Text { .. } => "text",
            Self::KeyInUse(_) => "key_in_use",
            Self::Consent(_) => "consent",
            Self::UnknownInvitation(_) => "unknown_invitation",
            Self::InvitationKnown(_) => "invitation_known",
            Self::InvitationClosed(_) => "invitation_closed",
            Self::Expired(_) => "expired",
            Self::JoinedBefore(_) => "joined_before",
            Self::TooManyCandidates => "too_many_candidates",
            Self::NotTheCandidate { .. } => "not_the_candidate",
            Self::PartyKnown(_) => "party_known",
            Self::Unsound(_) => "unsound",
            Self::Zones(_) => "zones",
            Self::UnknownZone(_) => "unknown_zone",
            Self::RulesFixed(_) => "rules_fixed",
            Self::ChangesLater(_) => "changes_later",
            Self::NoChange => "no_change",
            Self::EndpointOfNobody(_) => "endpoint_of_nobody",
            Self::EndpointTwice(_) => "endpoint_twice",
            Self::EndpointUnusable(_) => "endpoint_unusable",
            Self::NotSettled(_) => "not_settled",
            Self::NothingToApprove => "nothing_to_approve",
            Self::ApprovedBefore => "approved_before",
            Self::OtherSettlements { .. } => "other_settlements",
            Self::NotInPeriod { .. } => "not_in_period",
            Self::TooLateToDispute(_) => "too_late_to_dispute",
            Self::AlreadyDisputed(_) => "already_disputed",
            Self::TooManyDisputes => "too_many_disputes",
            Self::UnknownDispute(_) => "unknown_dispute",
            Self::AnothersDispute(_) => "anothers_dispute",
            Self::DisputeClosed(_) => "dispute_closed",
            Self::CorrectedTwice(_) => "corrected_twice",
            Self::PayoutOutOfRange(_) => "payout_out_of_range",
            Self::StillMember(_) => "still_member",
            Self::StillOpen(_) => "still_open",
            Self::Overflow(_) => "overflow",
        }
    }

    /// Whether every node judges the message alike, whatever its height and clock: then whoever
    /// passed it on could have known.
    pub fn is_everywhere(&self) -> bool {
        match self {
            Self::Message(rejection) => rejection.is_everywhere(),
            Self::Text { .. }
            | Self::Consent(_)
            | Self::EndpointOfNobody(_)
            | Self::EndpointTwice(_)
            | Self::EndpointUnusable(_)
            | Self::CorrectedTwice(_)
            | Self::PayoutOutOfRange(_) => true,
            _ => false,
        }
    }

    /// Whether it, or a newer one, has been applied before: a repetition, and no harm.
    pub fn is_repetition(&self) -> bool {
        matches!(
            self,
            Self::Message(Rejection::SequenceReplayed { .. })
                | Self::JoinedBefore(_)
                | Self::InvitationClosed(_)
        )
    }
}
