//! The acts as they are signed.

use borsh::{BorshDeserialize, BorshSerialize};
use market::clearing::MechanismKind;
use market::hash::Digest;
use market::keys::{ChainId, PublicKey, Signature};
use market::member::PartyId;
use market::money::Money;
use market::signed::Signable;
use market::tariff::Tariff;
use market::time::{DeliveryPeriod, Timestamp};

use crate::acts::{EdgeChange, Endpoint, Operators, Purpose, Verdict};
use crate::validators::ValidatorSet;

/// The holder of an invitation names the key that it wants to be known by. Signed by the
/// invitation's key.
///
/// Nothing comes of it until an operator enrols exactly this key ([`Measure::Enrol`]). A later one
/// names another key; no key is named twice.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Join {
    /// The community it is meant for.
    pub community: ChainId,
    /// The invitation: the public half of the key that was handed over.
    pub invitation: PublicKey,
    /// The key of the party to be.
    pub key: PublicKey,
    /// That key's signature over [`crate::acts::join_consent`]: whoever joins has it.
    pub consent: Signature,
}

impl Signable for Join {
    const DOMAIN: &'static str = "hidamari/join/1";
}

/// What a party says apart from orders and readings. Signed by the party's key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartyAct {
    /// The community it is meant for.
    pub community: ChainId,
    /// Who speaks.
    pub party: PartyId,
    /// Rises with every act of the party; starts at 1 or above. Tools use the wall clock's
    /// milliseconds.
    pub sequence: u64,
    /// What it says.
    pub matter: Matter,
}

impl Signable for PartyAct {
    const DOMAIN: &'static str = "hidamari/party-act/1";
}

/// What a party can say.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Matter {
    /// From here on another key signs for the party.
    ReplaceKey {
        /// The new key.
        key: PublicKey,
        /// The new key's signature over [`crate::acts::key_consent`].
        consent: Signature,
    } = 1,
    /// The settlement of a period is contested. It can be, from the first settlement until the time
    /// for readings is over; the operator's approval does not shorten that.
    Dispute {
        /// Which period.
        period: DeliveryPeriod,
        /// Why, in 1 to 500 bytes without control characters.
        reason: String,
    } = 2,
    /// An open dispute of the party is over.
    WithdrawDispute {
        /// Its number.
        dispute: u64,
    } = 3,
}

/// What an operator answers for. Signed by that operator's key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OperatorAct {
    /// The community it is meant for.
    pub community: ChainId,
    /// Who speaks.
    pub operator: PublicKey,
    /// Rises with every act of the operator; starts at 1 or above. Tools use the wall clock's
    /// milliseconds.
    pub sequence: u64,
    /// What is done.
    pub measure: Measure,
}

impl Signable for OperatorAct {
    const DOMAIN: &'static str = "hidamari/operator-act/1";
}

/// What an operator can do.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Measure {
    /// Opens an invitation.
    Invite {
        /// The public half of the key that is handed to the household.
        invitation: PublicKey,
        /// To what.
        purpose: Purpose,
        /// Until when the household may join; later than the block.
        expires_at: Timestamp,
    } = 1,
    /// Takes an open invitation back.
    CancelInvitation {
        /// Which.
        invitation: PublicKey,
    } = 2,
    /// Approves the key that joined: makes the member, or replaces its key, and uses the invitation
    /// up.
    Enrol {
        /// The invitation.
        invitation: PublicKey,
        /// Exactly this key: the fingerprint that the operator was told.
        key: PublicKey,
    } = 3,
    /// Ends a membership from this block on. Open orders and standing curves fall out; what has
    /// been traded stands.
    Revoke {
        /// Whose.
        party: PartyId,
    } = 4,
    /// Changes zones, charges and capacities.
    Grid {
        /// The first period for which it holds; none of its gates may have closed.
        from: DeliveryPeriod,
        /// The changes, in order, to the grid that would hold for that period.
        edges: Vec<EdgeChange>,
    } = 5,
    /// Changes what the supplier charges and pays.
    Tariff {
        /// The first period for which it holds; none of its gates may have closed.
        from: DeliveryPeriod,
        /// What holds from then on.
        tariff: Tariff,
    } = 6,
    /// Changes how prices and quantities are found.
    Mechanism {
        /// The first period for which it holds; none of its gates may have closed.
        from: DeliveryPeriod,
        /// What holds from then on.
        kind: MechanismKind,
    } = 7,
    /// Names who decides from the next height on.
    Validators {
        /// All of them.
        set: ValidatorSet,
        /// Where validators listen for each other, each at most once.
        endpoints: Vec<Endpoint>,
    } = 8,
    /// Names who operates the community from the next act on.
    Operators {
        /// All of them, and how many have to approve.
        operators: Operators,
    } = 9,
    /// Approves settlements. A period is final once enough different operators have approved the
    /// same settlement of it.
    Approve {
        /// The first period.
        from: DeliveryPeriod,
        /// The last period, included.
        through: DeliveryPeriod,
        /// What was seen: [`crate::acts::settlements_digest`] of
        /// [`crate::state::State::approvable`].
        settlements: Digest,
    } = 10,
    /// Decides a dispute.
    Decide {
        /// Its number.
        dispute: u64,
        /// How.
        verdict: Verdict,
        /// Why, in 0 to 500 bytes without control characters.
        note: String,
    } = 11,
    /// Records money that was really paid.
    RecordPayout {
        /// To whom, or from whom.
        party: PartyId,
        /// Above zero: paid to the party. Below zero: received from it.
        amount: Money,
        /// The bank's words, in 1 to 140 bytes without control characters.
        reference: String,
    } = 12,
    /// Forgets a revoked party once nothing about it can change any more.
    Erase {
        /// Whom.
        party: PartyId,
    } = 13,
}
