//! Acts: what members and operators decide, apart from orders and readings.
//!
//! | act | signed by | module |
//! |---|---|---|
//! | [`Join`] | the invitation's key | `invitation` |
//! | [`PartyAct`]: a new key, disputes | the party | `membership`, `dispute` |
//! | [`OperatorAct`]: everything that an operator answers for | that operator | one per topic |
//!
//! An act is judged by doing it on a copy of the state: what is checked when a message arrives and
//! what happens in a block are the same lines of code, and an act that does not hold changes
//! nothing.

mod agreement;
mod approval;
mod dispute;
mod endpoint;
mod governance;
mod invitation;
mod membership;
mod payout;
mod refusal;
mod rules;
mod spoken;

use borsh::{BorshDeserialize, BorshSerialize};
use market::admission::Rejection;
use market::answer::Answer;
use market::keys::PublicKey;
use market::member::{Member, PartyId};
use market::time::{DeliveryPeriod, Timestamp};
use std::collections::BTreeSet;
use std::fmt;

pub use agreement::{AGREEMENT_DAYS, Agreement};
pub use approval::{Approval, settlements_digest};
pub use dispute::{Corrected, Dispute, DisputeStatus, NOTE_BYTES_MAX, REASON_BYTES_MAX, Verdict};
pub use endpoint::Endpoint;
pub use governance::{NotOperators, OPERATORS_MAX, Operators};
pub use invitation::{CANDIDATES_MAX, Invitation, InvitationStatus, Purpose, join_consent};
pub use membership::key_consent;
pub use payout::{PAYOUT_MAX, REFERENCE_BYTES_MAX};
pub use refusal::NotApplied;
pub use rules::EdgeChange;
pub use spoken::{Join, Matter, Measure, OperatorAct, PartyAct};

use crate::posting::Posting;
use crate::state::State;
use crate::transaction::Transaction;

/// Who speaks in a transaction.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Signer {
    /// A party, by the key it has at the time.
    Party(PartyId) = 1,
    /// An operator.
    Operator(PublicKey) = 2,
    /// Whoever holds an invitation.
    Invitation(PublicKey) = 3,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Party(party) => write!(f, "party {party}"),
            Self::Operator(key) => write!(f, "operator {key}"),
            Self::Invitation(key) => write!(f, "invitation {key}"),
        }
    }
}

/// What follows from an act besides the state that it changes.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// Answers to orders that fall out.
    pub(crate) fallen: Vec<Answer>,
    /// Money that moves.
    pub(crate) postings: Vec<Posting>,
    /// A period whose facts have changed, so that it is settled again in this block.
    pub(crate) reopened: Option<DeliveryPeriod>,
}

/// Where an act is done.
pub(crate) struct Scene<'a> {
    /// The state, which the act may leave half changed if it does not hold.
    pub(crate) state: &'a mut State,
    /// The time of the block.
    pub(crate) time: Timestamp,
    /// The periods whose facts this block has changed so far.
    pub(crate) reopened: &'a BTreeSet<DeliveryPeriod>,
    /// What follows.
    pub(crate) consequences: Consequences,
}

/// Does what a transaction says, if whoever it names has signed it for this community. An order, a
/// reading and a curve are no acts: nothing happens.
///
/// # Errors
/// [`NotApplied`] names the rule that is broken; the state must be thrown away then.
pub(crate) fn perform(
    state: &mut State,
    transaction: &Transaction,
    time: Timestamp,
    reopened: &BTreeSet<DeliveryPeriod>,
) -> Result<Consequences, NotApplied> {
    // The signature first: an approval is dear to perform, and whoever cannot sign it may not have
    // every node do so.
    verify(state, transaction)?;
    let mut scene = Scene { state, time, reopened, consequences: Consequences::default() };
    match transaction {
        Transaction::Order(_) | Transaction::Reading(_) | Transaction::Curve(_) => {}
        Transaction::Join(envelope) => scene.join(envelope.unverified())?,
        Transaction::PartyAct(envelope) => scene.party_act(envelope.unverified())?,
        Transaction::OperatorAct(envelope) => scene.operator_act(envelope.unverified())?,
    }
    Ok(scene.consequences)
}

/// Checks that an act is meant for this community, and its signature.
fn verify(state: &State, transaction: &Transaction) -> Result<(), NotApplied> {
    let chain = state.chain();
    let meant_for = match transaction {
        Transaction::Order(_) | Transaction::Reading(_) | Transaction::Curve(_) => return Ok(()),
        Transaction::Join(envelope) => envelope.unverified().community,
        Transaction::PartyAct(envelope) => envelope.unverified().community,
        Transaction::OperatorAct(envelope) => envelope.unverified().community,
    };
    if meant_for != *chain {
        return Err(Rejection::OtherCommunity(meant_for).into());
    }
    let verified = match transaction {
        Transaction::Order(_) | Transaction::Reading(_) | Transaction::Curve(_) => return Ok(()),
        Transaction::Join(envelope) => {
            let key = envelope.unverified().invitation;
            envelope.clone().verify(chain, &key).map(drop)
        }
        Transaction::PartyAct(envelope) => {
            let key = listed(state, envelope.unverified().party)?.key;
            envelope.clone().verify(chain, &key).map(drop)
        }
        Transaction::OperatorAct(envelope) => {
            let key = envelope.unverified().operator;
            envelope.clone().verify(chain, &key).map(drop)
        }
    };
    verified.map_err(|error| Rejection::from(error).into())
}

/// Whom the community knows by this identifier, revoked or not.
fn listed(state: &State, party: PartyId) -> Result<&Member, NotApplied> {
    state.members().get(&party).ok_or(NotApplied::Message(Rejection::UnknownParty(party)))
}

/// A member that has not been revoked.
fn active(state: &State, party: PartyId) -> Result<&Member, NotApplied> {
    let member = listed(state, party)?;
    match member.revoked_at {
        None => Ok(member),
        Some(revoked_at) => Err(Rejection::Revoked(revoked_at).into()),
    }
}

/// A text that people read: so many bytes, no control characters.
fn check_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), NotApplied> {
    let fits = (min..=max).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(NotApplied::Text { field, min, max, found: text.len() }) }
}

impl Scene<'_> {
    fn party_act(&mut self, act: &PartyAct) -> Result<(), NotApplied> {
        listed(self.state, act.party)?;
        self.count(Signer::Party(act.party), act.sequence)?;
        match &act.matter {
            Matter::ReplaceKey { key, consent } => self.replace_key(act.party, *key, consent),
            Matter::Dispute { period, reason } => self.dispute(act.party, *period, reason),
            Matter::WithdrawDispute { dispute } => self.withdraw_dispute(act.party, *dispute),
        }
    }

    fn operator_act(&mut self, act: &OperatorAct) -> Result<(), NotApplied> {
        if !self.state.operators().contains(&act.operator) {
            return Err(NotApplied::NotAnOperator(act.operator));
        }
        self.count(Signer::Operator(act.operator), act.sequence)?;
        if !act.measure.needs_agreement() {
            return self.take(act.operator, &act.measure);
        }
        let enough = self.agree(act.operator, &act.measure)?;
        let before = self.state.charter.clone();
        // Whatever waits could be carried out as things are.
        self.take(act.operator, &act.measure)?;
        if !enough {
            self.state.charter = before;
        }
        Ok(())
    }

    /// Carries out what an operator decides.
    fn take(&mut self, operator: PublicKey, measure: &Measure) -> Result<(), NotApplied> {
        match measure {
            Measure::Invite { invitation, purpose, expires_at } => {
                self.invite(*invitation, purpose, *expires_at)
            }
            Measure::CancelInvitation { invitation } => self.cancel_invitation(invitation),
            Measure::Enrol { invitation, key } => self.enrol(invitation, *key),
            Measure::Revoke { party } => self.revoke(*party),
            Measure::Grid { from, edges } => self.change_grid(*from, edges),
            Measure::Tariff { from, tariff } => self.change_tariff(*from, tariff),
            Measure::Mechanism { from, kind } => self.change_mechanism(*from, kind),
            Measure::Validators { set, endpoints } => self.change_validators(set, endpoints),
            Measure::Operators { operators } => self.change_operators(operators),
            Measure::Approve { from, through, settlements } => {
                self.approve(operator, *from, *through, settlements)
            }
            Measure::Decide { dispute, verdict, note } => {
                self.decide(operator, *dispute, verdict, note)
            }
            Measure::RecordPayout { party, amount, reference } => {
                self.record_payout(*party, *amount, reference)
            }
            Measure::Erase { party } => self.erase(*party),
        }
    }

    /// Every act of a signer has a higher sequence than the one before, so it applies once.
    fn count(&mut self, signer: Signer, given: u64) -> Result<(), NotApplied> {
        let known = self.state.act_sequence(&signer);
        if given <= known {
            return Err(Rejection::SequenceReplayed { given, known }.into());
        }
        self.state.sequences.insert(signer, given);
        Ok(())
    }
}
