//! Transactions whose signatures may have been checked: what a node takes in once and judges twice,
//! when it arrives and when it stands in a block.

use market::member::PartyId;
use market::order::Order;
use market::reading::IntervalReading;
use market::signed::MaybeSigned;
use market::standing::StandingCurve;

use crate::state::State;
use crate::transaction::{Subject, Transaction};

/// A transaction with what this process knows of its signature. Only what
/// [`crate::state::State::receive`] has returned is known to hold, and what a state does not know
/// for its own community and keys it checks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received(pub(crate) Said);

/// What members say often, with its signature; all else is checked whenever it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Order(MaybeSigned<Order>),
    Reading(MaybeSigned<IntervalReading>),
    Curve(MaybeSigned<StandingCurve>),
    Act(Transaction),
}

impl From<Transaction> for Received {
    fn from(transaction: Transaction) -> Self {
        Self(match transaction {
            Transaction::Order(order) => Said::Order(order.into()),
            Transaction::Reading(reading) => Said::Reading(reading.into()),
            Transaction::Curve(curve) => Said::Curve(curve.into()),
            act @ (Transaction::Join(_)
            | Transaction::PartyAct(_)
            | Transaction::OperatorAct(_)) => Said::Act(act),
        })
    }
}

impl From<Received> for Transaction {
    fn from(received: Received) -> Self {
        match received.0 {
            Said::Order(order) => Self::Order(order.into_envelope()),
            Said::Reading(reading) => Self::Reading(reading.into_envelope()),
            Said::Curve(curve) => Self::Curve(curve.into_envelope()),
            Said::Act(act) => act,
        }
    }
}

impl Received {
    /// Whether it is this very transaction, its signature included.
    pub fn is(&self, transaction: &Transaction) -> bool {
        match (&self.0, transaction) {
            (Said::Order(order), Transaction::Order(envelope)) => order.envelope() == envelope,
            (Said::Reading(reading), Transaction::Reading(envelope)) => {
                reading.envelope() == envelope
            }
            (Said::Curve(curve), Transaction::Curve(envelope)) => curve.envelope() == envelope,
            (Said::Act(act), transaction) => act == transaction,
            _ => false,
        }
    }

    /// What it claims to be about, and its sequence ([`Transaction::subject`]).
    pub fn subject(&self) -> (Subject, u64) {
        match &self.0 {
            Said::Order(order) => Subject::of_order(order.unverified()),
            Said::Reading(reading) => Subject::of_reading(reading.unverified()),
            Said::Curve(curve) => Subject::of_curve(curve.unverified()),
            Said::Act(act) => act.subject(),
        }
    }

    /// Whether its signature has been checked, by whatever key.
    pub fn is_checked(&self) -> bool {
        match &self.0 {
            Said::Order(order) => matches!(order, MaybeSigned::Signed(_)),
            Said::Reading(reading) => matches!(reading, MaybeSigned::Signed(_)),
            Said::Curve(curve) => matches!(curve, MaybeSigned::Signed(_)),
            Said::Act(_) => false,
        }
    }

    /// Checks the signature ahead of judging, by the key that the party has now: so that many can be
    /// checked at once. If it does not hold, or cannot be told yet, whoever judges it will say so.
    pub fn verify(&mut self, state: &State) {
        let context = state.admission(state.time());
        let key = |party: &PartyId| context.membership.get(party).map(|member| member.key);
        let (chain, keys) = (context.chain, context.keys);
        match &mut self.0 {
            Said::Order(order) => {
                if let Some(key) = key(&order.unverified().party) {
                    order.verify_ahead(chain, &key, keys);
                }
            }
            Said::Reading(reading) => {
                if let Some(key) = key(&reading.unverified().party) {
                    reading.verify_ahead(chain, &key, keys);
                }
            }
            Said::Curve(curve) => {
                if let Some(key) = key(&curve.unverified().party) {
                    curve.verify_ahead(chain, &key, keys);
                }
            }
            Said::Act(_) => {}
        }
    }

    /// How many bytes it takes in a block.
    pub fn bytes_count(&self) -> usize {
        // The byte that says what it is, which an act has already.
        let written = match &self.0 {
            Said::Order(order) => borsh::object_length(order.envelope()),
            Said::Reading(reading) => borsh::object_length(reading.envelope()),
            Said::Curve(curve) => borsh::object_length(curve.envelope()),
            Said::Act(act) => return borsh::object_length(act).unwrap_or(usize::MAX),
        };
        written.unwrap_or(usize::MAX).saturating_add(1)
    }
}
