//! Transactions: everything that members and operators can say to the ledger.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::keys::PublicKey;
use market::member::PartyId;
use market::order::{Order, Side};
use market::reading::IntervalReading;
use market::signed::Envelope;
use market::standing::StandingCurve;
use market::time::DeliveryPeriod;

use crate::acts::{Join, Measure, OperatorAct, PartyAct, Signer};

/// The largest encoded transaction, in bytes: a tariff with a price of its own for every quarter of
/// an hour of a week has about 15,000. It is also the most that the mesh carries.
pub const TRANSACTION_BYTES_MAX: usize = 16 * 1024;

/// The largest encoded transaction of anybody but an operator, in bytes: an order with 16 steps and
/// 8 partners has about 600.
pub const MEMBER_TRANSACTION_BYTES_MAX: usize = 4096;

/// The first byte of an operator's act.
const OPERATOR_ACT: u8 = 6;

/// Something that somebody signed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Transaction {
    /// An order.
    Order(Envelope<Order>) = 1,
    /// An interval reading.
    Reading(Envelope<IntervalReading>) = 2,
    /// A standing curve.
    Curve(Envelope<StandingCurve>) = 3,
    /// The holder of an invitation names its key.
    Join(Envelope<Join>) = 4,
    /// What a party says apart from orders, readings and curves.
    PartyAct(Envelope<PartyAct>) = 5,
    /// What an operator answers for.
    OperatorAct(Envelope<OperatorAct>) = OPERATOR_ACT,
}

/// Bytes that are no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these {0} bytes are no transaction")]
pub struct NotATransaction(pub usize);

impl Transaction {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).unwrap_or_default()
    }

    /// Reads a transaction; decoding is total and refuses bytes behind its end.
    ///
    /// # Errors
    /// [`NotATransaction`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotATransaction> {
        let max = match bytes.first() {
            Some(&OPERATOR_ACT) => TRANSACTION_BYTES_MAX,
            _ => MEMBER_TRANSACTION_BYTES_MAX,
        };
        if bytes.len() > max {
            return Err(NotATransaction(bytes.len()));
        }
        borsh::from_slice(bytes).map_err(|_| NotATransaction(bytes.len()))
    }

    /// Whether it is a party's, or names it.
    pub fn concerns(&self, party: &PartyId) -> bool {
        match self {
            Self::Order(envelope) => envelope.unverified().party == *party,
            Self::Reading(envelope) => envelope.unverified().party == *party,
            Self::Curve(envelope) => envelope.unverified().party == *party,
            Self::Join(_) => false,
            Self::PartyAct(envelope) => envelope.unverified().party == *party,
            Self::OperatorAct(envelope) => envelope.unverified().measure.names(party),
        }
    }

    /// The invitation that it opens, uses, confirms or takes back.
    pub fn invitation(&self) -> Option<PublicKey> {
        match self {
            Self::Join(envelope) => Some(envelope.unverified().invitation),
            Self::OperatorAct(envelope) => match &envelope.unverified().measure {
                Measure::Invite { invitation, .. }
                | Measure::CancelInvitation { invitation }
                | Measure::Enrol { invitation, .. } => Some(*invitation),
                _ => None,
            },
            _ => None,
        }
    }

    /// The party that it asks to forget.
    pub fn to_erase(&self) -> Option<PartyId> {
        let Self::OperatorAct(envelope) = self else { return None };
        match envelope.unverified().measure {
            Measure::Erase { party } => Some(party),
            _ => None,
        }
    }

    /// The SHA-256 of its bytes, signature included.
    pub fn hash(&self) -> Digest {
        Digest::of(&[&self.to_bytes()])
    }
}

/// What a transaction is about: of two with the same subject, the one with the higher sequence
/// counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A party's order for one period and side.
    Order(PartyId, DeliveryPeriod, Side),
    /// A party's reading of one period.
    Reading(PartyId, DeliveryPeriod),
    /// A party's standing curve for one side.
    Curve(PartyId, Side),
    /// The key that is to be enrolled by an invitation.
    Join(PublicKey),
    /// One act of many that may wait at once: whose, and its sequence.
    Act(Signer, u64),
}

impl Subject {
    pub(crate) fn of_order(order: &Order) -> (Self, u64) {
        (Self::Order(order.party, order.period, order.side), order.sequence)
    }

    pub(crate) fn of_reading(reading: &IntervalReading) -> (Self, u64) {
        (Self::Reading(reading.party, reading.period), reading.sequence)
    }

    pub(crate) fn of_curve(curve: &StandingCurve) -> (Self, u64) {
        (Self::Curve(curve.party, curve.side), curve.sequence)
    }

    /// Whose it claims to be.
    pub fn signer(&self) -> Signer {
        match self {
            Self::Order(party, ..) | Self::Reading(party, _) | Self::Curve(party, _) => {
                Signer::Party(*party)
            }
            Self::Join(invitation) => Signer::Invitation(*invitation),
            Self::Act(signer, _) => *signer,
        }
    }

    /// The delivery period that an order or a reading is about.
    pub fn period(&self) -> Option<DeliveryPeriod> {
        match self {
            Self::Order(_, period, _) | Self::Reading(_, period) => Some(*period),
            Self::Curve(..) | Self::Join(_) | Self::Act(..) => None,
        }
    }
}

impl Transaction {
    /// What it claims to be about, and its sequence; unverified. Of an invitation one message waits
    /// at a time, so its sequence is always 0.
    pub fn subject(&self) -> (Subject, u64) {
        match self {
            Self::Order(envelope) => Subject::of_order(envelope.unverified()),
            Self::Reading(envelope) => Subject::of_reading(envelope.unverified()),
            Self::Curve(envelope) => Subject::of_curve(envelope.unverified()),
            Self::Join(envelope) => (Subject::Join(envelope.unverified().invitation), 0),
            Self::PartyAct(envelope) => {
                let PartyAct { party, sequence, .. } = envelope.unverified();
                (Subject::Act(Signer::Party(*party), *sequence), *sequence)
            }
            Self::OperatorAct(envelope) => {
                let OperatorAct { operator, sequence, .. } = envelope.unverified();
                (Subject::Act(Signer::Operator(*operator), *sequence), *sequence)
            }
        }
    }
}
