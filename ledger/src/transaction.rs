//! Transactions: everything that members can say to the ledger.

use borsh::{BorshDeserialize, BorshSerialize};
use market::hash::Digest;
use market::member::PartyId;
use market::order::{Order, Side};
use market::reading::IntervalReading;
use market::signed::Envelope;
use market::standing::StandingCurve;
use market::time::DeliveryPeriod;

/// The largest encoded transaction, in bytes: an order with 16 steps and 8 partners has about 600.
pub const TRANSACTION_BYTES_MAX: usize = 4096;

/// Something a member signed.
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
        if bytes.len() > TRANSACTION_BYTES_MAX {
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
}

impl Subject {
    /// Whose it claims to be.
    pub fn party(&self) -> PartyId {
        match self {
            Self::Order(party, ..) | Self::Reading(party, _) | Self::Curve(party, _) => *party,
        }
    }

    /// The delivery period it is about; `None` if it is about all to come.
    pub fn period(&self) -> Option<DeliveryPeriod> {
        match self {
            Self::Order(_, period, _) | Self::Reading(_, period) => Some(*period),
            Self::Curve(..) => None,
        }
    }
}

impl Transaction {
    /// What it claims to be about, and its sequence; unverified.
    pub fn subject(&self) -> (Subject, u64) {
        match self {
            Self::Order(envelope) => {
                let order = envelope.unverified();
                (Subject::Order(order.party, order.period, order.side), order.sequence)
            }
            Self::Reading(envelope) => {
                let reading = envelope.unverified();
                (Subject::Reading(reading.party, reading.period), reading.sequence)
            }
            Self::Curve(envelope) => {
                let curve = envelope.unverified();
                (Subject::Curve(curve.party, curve.side), curve.sequence)
            }
        }
    }
}
