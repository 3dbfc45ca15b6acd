//! Joins, party acts and operator acts of the neighbourhood, and how they are refused.

use ledger::acts::{
    Invitation, Join, Matter, Measure, NotApplied, OperatorAct, PartyAct, Purpose, join_consent,
    key_consent,
};
use ledger::draft::Draft;
use ledger::genesis::Genesis;
use ledger::transaction::Transaction;
use market::energy::Energy;
use market::keys::SigningKey;
use market::member::PartyId;
use market::signed::{Signable, Signed};
use market::time::Timestamp;
use market::zone::ZoneId;

use crate::neighbourhood::{Chain, genesis, metering_point, operator_key, party, party_key, salt};

pub(crate) fn invitation_key(n: usize) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(n).expect("few") + 0x30; 32])
}

/// An act of the n-th operator of [`genesis`].
pub(crate) fn by_operator(n: usize, sequence: u64, measure: Measure) -> Transaction {
    by_operator_in(&genesis(), n, sequence, measure)
}

pub(crate) fn by_operator_in(
    genesis: &Genesis,
    n: usize,
    sequence: u64,
    measure: Measure,
) -> Transaction {
    let (community, key) = (genesis.chain_id(), operator_key(n));
    let act = OperatorAct { community, operator: key.public(), sequence, measure };
    Transaction::OperatorAct(Signed::sign(act, &community, &key).into_envelope())
}

/// An act of the n-th household of [`genesis`], with its first key.
pub(crate) fn by_party(n: usize, sequence: u64, matter: Matter) -> Transaction {
    by_party_with(&party_key(n), n, sequence, matter)
}

pub(crate) fn by_party_with(
    key: &SigningKey,
    n: usize,
    sequence: u64,
    matter: Matter,
) -> Transaction {
    let community = genesis().chain_id();
    let act = PartyAct { community, party: party(n), sequence, matter };
    Transaction::PartyAct(Signed::sign(act, &community, key).into_envelope())
}

/// The place of a household that is to become the n-th, on feeder 1.
pub(crate) fn place(n: usize) -> Purpose {
    Purpose::NewMember {
        party: party(n),
        metering_point: metering_point(n),
        zone: ZoneId(1),
        import_max: Energy::from_wh(5_000),
        export_max: Energy::from_wh(5_000),
    }
}

pub(crate) fn invite(n: usize, purpose: Purpose, expires_at: Timestamp) -> Measure {
    Measure::Invite { invitation: invitation_key(n).public(), purpose, expires_at }
}

/// Joins by the n-th invitation with a key.
pub(crate) fn join(n: usize, key: &SigningKey) -> Transaction {
    let (community, invitation) = (genesis().chain_id(), invitation_key(n));
    let consent = key.sign(&join_consent(&community, &invitation.public()));
    let join = Join { community, invitation: invitation.public(), key: key.public(), consent };
    Transaction::Join(Signed::sign(join, &community, &invitation).into_envelope())
}

pub(crate) fn enrol(n: usize, key: &SigningKey) -> Measure {
    Measure::Enrol { invitation: invitation_key(n).public(), key: key.public() }
}

pub(crate) fn replace_key(of: PartyId, key: &SigningKey) -> Matter {
    let consent = key.sign(&key_consent(&genesis().chain_id(), &of));
    Matter::ReplaceKey { key: key.public(), consent }
}

/// The same payload, signed by another key.
pub(crate) fn resigned(said: &Transaction, key: &SigningKey) -> Transaction {
    fn sign<T: Signable + Clone>(
        envelope: &market::signed::Envelope<T>,
        key: &SigningKey,
    ) -> market::signed::Envelope<T> {
        let chain = genesis().chain_id();
        Signed::sign(envelope.unverified().clone(), &chain, key).into_envelope()
    }
    match said {
        Transaction::Order(envelope) => Transaction::Order(sign(envelope, key)),
        Transaction::Reading(envelope) => Transaction::Reading(sign(envelope, key)),
        Transaction::Curve(envelope) => Transaction::Curve(sign(envelope, key)),
        Transaction::Join(envelope) => Transaction::Join(sign(envelope, key)),
        Transaction::PartyAct(envelope) => Transaction::PartyAct(sign(envelope, key)),
        Transaction::OperatorAct(envelope) => Transaction::OperatorAct(sign(envelope, key)),
    }
}

/// Why the next block would not take something in. Everybody who is asked says the same, and the
/// draft goes on as if it had not been asked.
pub(crate) fn refusal(chain: &Chain, at: Timestamp, said: &Transaction) -> NotApplied {
    let refused = chain.state.admit(said, at).expect_err("it does not apply");
    let open = || Draft::open(&chain.state, at, salt(1)).expect("the time rises");
    let mut draft = open();
    assert_eq!(draft.admit(said.clone()), Err(refused.clone()));
    assert_eq!(draft.finish().expect("a block"), open().finish().expect("a block"));
    refused
}

/// The code of the same.
pub(crate) fn refused(chain: &Chain, at: Timestamp, said: &Transaction) -> &'static str {
    refusal(chain, at, said).code()
}

impl Chain {
    /// An invitation by its number.
    pub(crate) fn invitation(&self, n: usize) -> &Invitation {
        self.state.invitation(&invitation_key(n).public()).expect("an invitation")
    }
}
