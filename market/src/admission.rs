//! Admission: every node judges every message by the same rules before it counts.
//!
//! Admission is pure. The node asks it twice: when a message arrives (to refuse nonsense early) and
//! when a block is executed (where it decides). Cheap checks come before the signature.

mod curve;

pub use curve::{AdmittedCurve, admit_curve, check_curve};

use crate::book::PeriodBook;
use crate::energy::Energy;
use crate::keys::{ChainId, SignatureError, SoundKeys};
use crate::member::{Member, Membership, MeteringPointId, PartyId};
use crate::order::{MalformedOrder, Order, OrderId, Side, Step};
use crate::price::Price;
use crate::reading::{IntervalReading, Quality};
use crate::rules::MarketRules;
use crate::signed::{MaybeSigned, Signed};
use crate::time::{DeliveryPeriod, Timestamp};

/// The highest sequence of an order or a reading: how often a party may change its mind about one
/// period.
pub const SEQUENCE_MAX: u64 = 1_000;

/// What admission has to know.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionContext<'a> {
    /// The community.
    pub chain: &'a ChainId,
    /// Its rules.
    pub rules: &'a MarketRules,
    /// Its members.
    pub membership: &'a Membership,
    /// When the community began: nothing before it is metered or settled here.
    pub starts_at: Timestamp,
    /// The time of the block in which the message would stand.
    pub block_time: Timestamp,
    /// The points of the members' keys that are known already.
    pub keys: &'a SoundKeys,
}

/// An order that counts. Its one door is [`admit_order`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedOrder(Signed<Order>);

/// A reading that counts. Its one door is [`admit_reading`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedReading(Signed<IntervalReading>);

impl AdmittedOrder {
    /// The order.
    pub fn order(&self) -> &Order {
        self.0.payload()
    }

    /// Its name.
    pub fn id(&self) -> OrderId {
        self.0.id()
    }

    /// What it was admitted from.
    pub fn into_signed(self) -> Signed<Order> {
        self.0
    }
}

impl AdmittedReading {
    /// The reading.
    pub fn reading(&self) -> &IntervalReading {
        self.0.payload()
    }

    /// What it was admitted from.
    pub fn into_signed(self) -> Signed<IntervalReading> {
        self.0
    }
}

/// Why a message does not count. Named as the law that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Meant for another community.
    #[error("it is meant for community {0}, not for this one")]
    OtherCommunity(ChainId),
    /// Nobody here has this identifier.
    #[error("party {0} is not a member")]
    UnknownParty(PartyId),
    /// The party was a member and is not one any more.
    #[error("the party's membership was revoked at {0:?}")]
    Revoked(Timestamp),
    /// A reading of a period that began before the party joined.
    #[error("the party joined at {0:?}, after this period had begun")]
    BeforeJoining(Timestamp),
    /// The metering point is not the party's.
    #[error("metering point {0} does not belong to the party")]
    ForeignMeteringPoint(MeteringPointId),
    /// The period has another length than the community's.
    #[error("the period lasts {0} minutes, not as long as this community's")]
    WrongPeriodLength(i64),
    /// The order breaks its own form.
    #[error("malformed: {0}")]
    Malformed(#[from] MalformedOrder),
    /// The last gate of the period has closed.
    #[error("the last gate for this period closed at {0:?}")]
    AfterGateClosure(Timestamp),
    /// The period lies too far ahead.
    #[error("the period starts more than {0} ms ahead")]
    BeyondHorizon(u64),
    /// A limit outside the community's price range.
    #[error("limit {limit} lies outside {min} to {max}")]
    PriceOutOfRange {
        /// The limit.
        limit: Price,
        /// The lowest allowed.
        min: Price,
        /// The highest allowed.
        max: Price,
    },
    /// A limit that is not a whole number of ticks.
    #[error("limit {0} is not a multiple of the tick")]
    OffTick(Price),
    /// More energy than the metering point can carry in a period, with what is already filled.
    #[error("{wanted:?} ordered or filled, the metering point is registered for {max:?}")]
    BeyondMeteringPoint {
        /// Filled plus ordered.
        wanted: Energy,
        /// The registered limit.
        max: Energy,
    },
    /// The same or a newer message of this party is already known.
    #[error("sequence {given} is not above {known}, which already counts")]
    SequenceReplayed {
        /// The message's.
        given: u64,
        /// The one that counts.
        known: u64,
    },
    /// A sequence that no honest party ever needs: each replacement costs everybody a place in a
    /// block for ever, so their number is bounded.
    #[error("sequence {0} is above {SEQUENCE_MAX}, the most that a period allows")]
    SequenceBeyondMax(u64),
    /// An order for a community without a gate before delivery.
    #[error("this community takes no orders: it clears after delivery only")]
    NoGateBeforeDelivery,
    /// A standing curve for a community that never clears after delivery.
    #[error("this community takes no standing curves: it clears before delivery only")]
    NoGateAfterDelivery,
    /// A standing curve that was changed more often than once per delivery period.
    #[error("sequence {given} is above {allowed}, more often than a curve may have changed by now")]
    ChangedTooOften {
        /// The curve's.
        given: u64,
        /// The highest one at this time.
        allowed: u64,
    },
    /// A reading of a period that is not over.
    #[error("the period ends at {0:?}, it cannot be metered yet")]
    BeforeDelivery(Timestamp),
    /// A period that began before the community did.
    #[error("the period starts before the community began, at {0:?}")]
    BeforeGenesis(Timestamp),
    /// A reading of a period whose settlement is final.
    #[error("the settlement of this period has been final since {0:?}")]
    AfterFinality(Timestamp),
    /// A register fell, or counted more than the metering point can carry.
    #[error("a register counted {counted:?}, possible are 0 to {max:?}")]
    ImplausibleReading {
        /// The figure.
        counted: Energy,
        /// The registered limit.
        max: Energy,
    },
    /// A reading that says itself that there was none.
    #[error("a reading cannot be sent as missing")]
    MissingSent,
    /// The signature does not hold.
    #[error("bad signature: {0}")]
    BadSignature(#[from] SignatureError),
}

impl Rejection {
    /// A short name without figures, for counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherCommunity(_) => "other_community",
            Self::UnknownParty(_) => "unknown_party",
            Self::Revoked(_) => "revoked",
            Self::BeforeJoining(_) => "before_joining",
            Self::ForeignMeteringPoint(_) => "foreign_metering_point",
            Self::WrongPeriodLength(_) => "wrong_period_length",
            Self::Malformed(_) => "malformed",
            Self::AfterGateClosure(_) => "after_gate_closure",
            Self::BeyondHorizon(_) => "beyond_horizon",
            Self::PriceOutOfRange { .. } => "price_out_of_range",
            Self::OffTick(_) => "off_tick",
            Self::BeyondMeteringPoint { .. } => "beyond_metering_point",
            Self::SequenceReplayed { .. } => "sequence_replayed",
            Self::SequenceBeyondMax(_) => "sequence_beyond_max",
            Self::NoGateBeforeDelivery => "no_gate_before_delivery",
            Self::NoGateAfterDelivery => "no_gate_after_delivery",
            Self::ChangedTooOften { .. } => "changed_too_often",
            Self::BeforeDelivery(_) => "before_delivery",
            Self::BeforeGenesis(_) => "before_genesis",
            Self::AfterFinality(_) => "after_finality",
            Self::ImplausibleReading { .. } => "implausible_reading",
            Self::MissingSent => "missing_sent",
            Self::BadSignature(_) => "bad_signature",
        }
    }

    /// Whether every node judges the message alike, whatever its height and clock: then whoever
    /// passed it on could have known.
    pub fn is_everywhere(&self) -> bool {
        matches!(
            self,
            Self::OtherCommunity(_)
                | Self::WrongPeriodLength(_)
                | Self::Malformed(_)
                | Self::PriceOutOfRange { .. }
                | Self::OffTick(_)
                | Self::BeforeGenesis(_)
                | Self::SequenceBeyondMax(_)
                | Self::NoGateBeforeDelivery
                | Self::NoGateAfterDelivery
                | Self::MissingSent
                | Self::BadSignature(_)
        )
    }
}

/// Judges an order: community, membership, form, gate, limits, replay, signature.
///
/// `book` is the book of the order's period as it stands before this order.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn admit_order(
    order: impl Into<MaybeSigned<Order>>,
    context: &AdmissionContext<'_>,
    book: Option<&PeriodBook>,
) -> Result<AdmittedOrder, Rejection> {
    let order = order.into();
    let member = check_order(order.unverified(), context, book)?;
    Ok(AdmittedOrder(order.verify(context.chain, &member.key, context.keys)?))
}

/// Everything [`admit_order`] asks but the signature: what may have changed for an order whose
/// signature was checked before. Returns whose order it is.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn check_order<'a>(
    order: &Order,
    context: &AdmissionContext<'a>,
    book: Option<&PeriodBook>,
) -> Result<&'a Member, Rejection> {
    let member =
        context.member(&order.community, order.party, order.metering_point, order.period)?;
    check_active(member)?;
    order.check_form()?;
    check_sequence(order.sequence)?;
    context.check_gate(order.period)?;
    context.check_limits(&order.steps)?;
    let key = (order.side, order.party);
    if let Some(known) = book.and_then(|book| book.sequence(key))
        && order.sequence <= known
    {
        return Err(Rejection::SequenceReplayed { given: order.sequence, known });
    }
    let max = match order.side {
        Side::Buy => member.import_max,
        Side::Sell => member.export_max,
    };
    let filled = book.map_or(Energy::ZERO, |book| book.filled(key));
    let wanted = order.energy().and_then(|energy| energy.plus(filled));
    let wanted = wanted.map_err(MalformedOrder::Overflow)?;
    if !order.is_withdrawal() && wanted > max {
        return Err(Rejection::BeyondMeteringPoint { wanted, max });
    }
    Ok(member)
}

/// Judges a reading: community, membership, time, plausibility, replay, signature.
///
/// `known_sequence` is that of the reading that counts for this party and period so far.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn admit_reading(
    reading: impl Into<MaybeSigned<IntervalReading>>,
    context: &AdmissionContext<'_>,
    known_sequence: Option<u64>,
) -> Result<AdmittedReading, Rejection> {
    let reading = reading.into();
    let member = check_reading(reading.unverified(), context, known_sequence)?;
    Ok(AdmittedReading(reading.verify(context.chain, &member.key, context.keys)?))
}

/// Everything [`admit_reading`] asks but the signature. Returns whose reading it is.
///
/// # Errors
/// [`Rejection`] names the first rule that is broken.
pub fn check_reading<'a>(
    reading: &IntervalReading,
    context: &AdmissionContext<'a>,
    known_sequence: Option<u64>,
) -> Result<&'a Member, Rejection> {
    let member = context.member(
        &reading.community,
        reading.party,
        reading.metering_point,
        reading.period,
    )?;
    check_belongs(member, reading.period)?;
    let ends_at = reading.period.end();
    if context.block_time < ends_at {
        return Err(Rejection::BeforeDelivery(ends_at));
    }
    let final_at = context.rules.final_at(reading.period);
    if context.block_time >= final_at {
        return Err(Rejection::AfterFinality(final_at));
    }
    if reading.quality == Quality::Missing {
        return Err(Rejection::MissingSent);
    }
    for (counted, max) in
        [(reading.imported, member.import_max), (reading.exported, member.export_max)]
    {
        if counted.is_negative() || counted > max {
            return Err(Rejection::ImplausibleReading { counted, max });
        }
    }
    check_sequence(reading.sequence)?;
    let known = known_sequence.unwrap_or_default();
    if reading.sequence <= known {
        return Err(Rejection::SequenceReplayed { given: reading.sequence, known });
    }
    Ok(member)
}

fn check_active(member: &Member) -> Result<(), Rejection> {
    member.revoked_at.map_or(Ok(()), |revoked_at| Err(Rejection::Revoked(revoked_at)))
}

/// A party that was revoked while a period ran is still metered and settled for it.
fn check_belongs(member: &Member, period: DeliveryPeriod) -> Result<(), Rejection> {
    if member.belongs_to(period) {
        return Ok(());
    }
    match member.joined_at {
        Some(joined_at) if joined_at > period.start() => Err(Rejection::BeforeJoining(joined_at)),
        _ => check_active(member),
    }
}

fn check_sequence(sequence: u64) -> Result<(), Rejection> {
    if sequence > SEQUENCE_MAX { Err(Rejection::SequenceBeyondMax(sequence)) } else { Ok(()) }
}

impl<'a> AdmissionContext<'a> {
    fn member(
        &self,
        community: &ChainId,
        party: PartyId,
        metering_point: MeteringPointId,
        period: DeliveryPeriod,
    ) -> Result<&'a Member, Rejection> {
        let member = self.party(community, party, metering_point)?;
        if period.length() != self.rules.period_length {
            return Err(Rejection::WrongPeriodLength(period.length().minutes()));
        }
        if period.start() < self.starts_at {
            return Err(Rejection::BeforeGenesis(self.starts_at));
        }
        Ok(member)
    }

    fn party(
        &self,
        community: &ChainId,
        party: PartyId,
        metering_point: MeteringPointId,
    ) -> Result<&'a Member, Rejection> {
        if community != self.chain {
            return Err(Rejection::OtherCommunity(*community));
        }
        let member = self.membership.get(&party).ok_or(Rejection::UnknownParty(party))?;
        if member.metering_point != metering_point {
            return Err(Rejection::ForeignMeteringPoint(metering_point));
        }
        Ok(member)
    }

    fn check_gate(&self, period: DeliveryPeriod) -> Result<(), Rejection> {
        if self.rules.gates.leads_ms().is_empty() {
            return Err(Rejection::NoGateBeforeDelivery);
        }
        let closes_at = self.rules.gates.last_closes_at(period);
        if self.block_time >= closes_at {
            return Err(Rejection::AfterGateClosure(closes_at));
        }
        let ahead_ms = period.start().millis_since(self.block_time);
        if u64::try_from(ahead_ms).unwrap_or_default() > self.rules.horizon_ms {
            return Err(Rejection::BeyondHorizon(self.rules.horizon_ms));
        }
        Ok(())
    }

    fn check_limits(&self, steps: &[Step]) -> Result<(), Rejection> {
        let (min, max) = (self.rules.price_min, self.rules.price_max);
        for step in steps {
            if step.limit < min || step.limit > max {
                return Err(Rejection::PriceOutOfRange { limit: step.limit, min, max });
            }
            if !self.rules.tick.divides(step.limit) {
                return Err(Rejection::OffTick(step.limit));
            }
        }
        Ok(())
    }
}
