//! Turns drafts into signed transactions. The party's key lives here and nowhere else.

use ledger::transaction::Transaction;
use market::energy::Energy;
use market::keys::{ChainId, SigningKey};
use market::member::{Member, MeteringPointId, PartyId};
use market::order::{Order, Preferences, Side, Step};
use market::reading::{IntervalReading, Quality};
use market::signed::Signed;
use market::standing::StandingCurve;
use market::time::{DeliveryPeriod, Timestamp};

use crate::interval::ClosedInterval;

/// Something to say, without its sequence and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it says.
    pub content: Content,
    /// From when on, in market time, it can no longer count and is not sent any more.
    pub useless_from: Timestamp,
}

/// What a draft says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An order; without steps it withdraws what stands.
    Order {
        /// When the energy is to be delivered.
        period: DeliveryPeriod,
        /// Bid or offer.
        side: Side,
        /// Best limit first.
        steps: Vec<Step>,
        /// Whom and what to favour.
        preferences: Preferences,
    },
    /// A standing curve for the gate after delivery; without steps the default holds again.
    Curve {
        /// Bid or offer.
        side: Side,
        /// Best limit first.
        steps: Vec<Step>,
        /// Whom and what to favour.
        preferences: Preferences,
    },
    /// An interval reading.
    Reading(ClosedInterval),
}

/// Which sequence numbers a message draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageKey {
    /// What it is.
    pub kind: MessageKind,
    /// Of which period; a standing curve is of none.
    pub period: Option<DeliveryPeriod>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// An order to buy.
    Bid,
    /// An order to sell.
    Offer,
    /// An interval reading.
    Reading,
    /// A standing curve to buy.
    StandingBid,
    /// A standing curve to sell.
    StandingOffer,
}

impl MessageKind {
    /// A standing curve's.
    pub fn standing(side: Side) -> Self {
        match side {
            Side::Buy => Self::StandingBid,
            Side::Sell => Self::StandingOffer,
        }
    }
}

impl From<Side> for MessageKind {
    fn from(side: Side) -> Self {
        match side {
            Side::Buy => Self::Bid,
            Side::Sell => Self::Offer,
        }
    }
}

impl Content {
    /// Which sequence numbers it draws from.
    pub fn key(&self) -> MessageKey {
        match self {
            Self::Order { period, side, .. } => {
                MessageKey { kind: (*side).into(), period: Some(*period) }
            }
            Self::Curve { side, .. } => {
                MessageKey { kind: MessageKind::standing(*side), period: None }
            }
            Self::Reading(closed) => {
                MessageKey { kind: MessageKind::Reading, period: Some(closed.period) }
            }
        }
    }
}

/// The key and sequence of a transaction, unchecked; `None` for what an agent never sends.
pub fn sequence_of(transaction: &Transaction) -> Option<(MessageKey, PartyId, u64)> {
    match transaction {
        Transaction::Order(envelope) => {
            let order = envelope.unverified();
            let key = MessageKey { kind: order.side.into(), period: Some(order.period) };
            Some((key, order.party, order.sequence))
        }
        Transaction::Reading(envelope) => {
            let reading = envelope.unverified();
            let key = MessageKey { kind: MessageKind::Reading, period: Some(reading.period) };
            Some((key, reading.party, reading.sequence))
        }
        Transaction::Curve(envelope) => {
            let curve = envelope.unverified();
            let key = MessageKey { kind: MessageKind::standing(curve.side), period: None };
            Some((key, curve.party, curve.sequence))
        }
        _ => None,
    }
}

/// Signs for one party of one community.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    chain: ChainId,
    party: PartyId,
    metering_point: MeteringPointId,
    import_max: Energy,
    export_max: Energy,
}

impl Signer {
    /// Signs as a member. The caller has checked that the key is the member's.
    pub fn new(key: SigningKey, chain: ChainId, party: PartyId, member: &Member) -> Self {
        Self {
            key,
            chain,
            party,
            metering_point: member.metering_point,
            import_max: member.import_max,
            export_max: member.export_max,
        }
    }

    /// Signs a draft with its sequence.
    ///
    /// A reading above the registered limit would be refused by everybody; it is signed as that
    /// limit, which is less than was metered and therefore still true, and marked as estimated.
    pub fn sign(&self, content: &Content, sequence: u64) -> Transaction {
        match content {
            Content::Order { period, side, steps, preferences } => {
                let order = Order {
                    community: self.chain,
                    party: self.party,
                    metering_point: self.metering_point,
                    period: *period,
                    side: *side,
                    steps: steps.clone(),
                    sequence,
                    preferences: preferences.clone(),
                };
                let signed = Signed::sign(order, &self.chain, &self.key);
                Transaction::Order(signed.into_envelope())
            }
            Content::Curve { side, steps, preferences } => {
                let curve = StandingCurve {
                    community: self.chain,
                    party: self.party,
                    metering_point: self.metering_point,
                    side: *side,
                    steps: steps.clone(),
                    sequence,
                    preferences: preferences.clone(),
                };
                let signed = Signed::sign(curve, &self.chain, &self.key);
                Transaction::Curve(signed.into_envelope())
            }
            Content::Reading(closed) => {
                let signed = Signed::sign(self.reading(closed, sequence), &self.chain, &self.key);
                Transaction::Reading(signed.into_envelope())
            }
        }
    }

    fn reading(&self, closed: &ClosedInterval, sequence: u64) -> IntervalReading {
        let imported = closed.imported.min(self.import_max);
        let exported = closed.exported.min(self.export_max);
        let capped = imported != closed.imported || exported != closed.exported;
        if capped {
            tracing::warn!(
                period = ?closed.period, imported = ?closed.imported, exported = ?closed.exported,
                "the meter counted more than the metering point is registered for; ask the \
                 operator to correct the registration"
            );
        }
        IntervalReading {
            community: self.chain,
            party: self.party,
            metering_point: self.metering_point,
            period: closed.period,
            imported,
            exported,
            quality: if capped { Quality::Estimated } else { closed.quality },
            sequence,
        }
    }
}
