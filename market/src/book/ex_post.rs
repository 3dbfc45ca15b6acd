//! The book of a gate after delivery: what the meters counted and earlier gates have not traded, at
//! the limits of standing curves. Sharing keys get their book here too.
//!
//! Law: in this mode no party is ever worse off than without the market. No bid stands above what
//! the supplier's energy would cost, no offer below what the supplier would pay, and no quantity
//! goes beyond the meter. So whatever trades, each watt-hour of it is bought for at most, and sold
//! for at least, what the supplier would have asked or given for that very watt-hour, levies and
//! tax included. In money every trade and every line of the bill is rounded by itself and may add
//! half a micro-unit.
//!
//! The law is about what was metered when the gate closed. Trades stand: who sold a kilowatt-hour
//! that a later reading or a dispute takes back has sold what it did not feed in, and is settled
//! for it like anybody who is short, at the pool's price or at retail.

use std::collections::BTreeMap;

use super::{BookedOrder, SealedBook};
use crate::Overflow;
use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::hash::Digest;
use crate::member::{Membership, PartyId};
use crate::order::{OrderId, Preferences, Side, Step};
use crate::price::Price;
use crate::reading::Quality;
use crate::settlement::Metered;
use crate::standing::{InForce, StandingCurves};
use crate::tariff::Rates;
use crate::time::DeliveryPeriod;
use crate::trade::Trade;

/// What a party's meter counted and earlier gates have not traded; neither is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Residual {
    /// Drawn from the grid beyond what was bought.
    pub imported: Energy,
    /// Fed in beyond what was sold.
    pub exported: Energy,
}

/// Within which prices nobody is worse off than with the supplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corridor {
    /// What the supplier pays per kWh: no offer stands below it.
    pub feed_in: Price,
    /// What a kWh costs more from the supplier than from a neighbour who asks nothing: no bid
    /// stands above it. The retail tariff, where there are no levies and taxes on top of it.
    pub retail: Price,
}

impl From<&Rates> for Corridor {
    fn from(rates: &Rates) -> Self {
        Self { feed_in: rates.feed_in, retail: rates.avoidable() }
    }
}

/// What is left of the readings of one delivery period after the trades of its earlier gates.
///
/// A party without a reading, or with one that is only assumed ([`Quality::Missing`]), is not among
/// them: nothing is traded that no meter has counted.
///
/// # Errors
/// [`Overflow`] if a sum leaves its range; admitted orders and readings exclude it.
pub fn residuals(
    readings: &BTreeMap<PartyId, Metered>,
    trades: &[Trade],
) -> Result<BTreeMap<PartyId, Residual>, Overflow> {
    let mut traded: BTreeMap<PartyId, Residual> = BTreeMap::new();
    for trade in trades {
        let bought = &mut traded.entry(trade.buyer).or_default().imported;
        *bought = bought.plus(trade.energy)?;
        let sold = &mut traded.entry(trade.seller).or_default().exported;
        *sold = sold.plus(trade.energy)?;
    }
    let counted = readings.iter().filter(|(_, metered)| metered.quality != Quality::Missing);
    let left = counted.map(|(party, metered)| {
        let traded = traded.get(party).copied().unwrap_or_default();
        let imported = metered.imported.excess_over(traded.imported)?;
        let exported = metered.exported.excess_over(traded.exported)?;
        Ok((*party, Residual { imported, exported }))
    });
    left.collect()
}

/// Closes the book of a gate after delivery: a pure function of readings, earlier trades
/// ([`residuals`]), standing curves and tariff.
///
/// - A bid's limits are lowered to the retail end of the corridor and an offer's raised to the
///   feed-in end. The other ends need no clamp: nobody offers below the corridor or bids above it,
///   and no party trades beyond the limit that it stated itself.
/// - A party may have drawn and fed in within one period. Where its own bid reaches its own offer,
///   the one for less energy stays out (on equal energy the bid), because nobody trades with
///   himself; that energy is the supplier's, as without the market.
/// - Parties that are no longer members stay out.
///
/// `salt` is the hash of the block before the one that closes the book, as in
/// [`super::PeriodBook::seal`].
///
/// # Errors
/// [`Overflow`] if the energies of a curve leave their range.
pub fn seal_ex_post(
    period: DeliveryPeriod,
    gate: GateIndex,
    members: &Membership,
    curves: &StandingCurves,
    residuals: &BTreeMap<PartyId, Residual>,
    corridor: Corridor,
    salt: Digest,
) -> Result<SealedBook, Overflow> {
    let (mut bids, mut offers, mut crossed) = (Vec::new(), Vec::new(), Vec::new());
    for (party, residual) in residuals {
        let member = members.get(party).filter(|member| member.is_active());
        let Some(member) = member else { continue };
        let order = |side: Side, energy: Energy| {
            let curve = curves.in_force((side, *party), period);
            let steps = steps(side, curve, energy, corridor)?;
            Ok(Some(BookedOrder {
                id: curve.map_or_else(|| default_id(side, party), |curve| curve.id),
                party: *party,
                zone: member.zone,
                steps,
                preferences: curve
                    .map_or_else(Preferences::default, |curve| curve.preferences.clone()),
            })
            .filter(|order| !order.steps.is_empty()))
        };
        let mut bid = order(Side::Buy, residual.imported)?;
        let mut offer = order(Side::Sell, residual.exported)?;
        if reaches(bid.as_ref(), offer.as_ref()) {
            if residual.imported > residual.exported {
                crossed.extend(offer.take().map(|offer| (Side::Sell, offer)));
            } else {
                crossed.extend(bid.take().map(|bid| (Side::Buy, bid)));
            }
        }
        bids.extend(bid);
        offers.extend(offer);
    }
    crossed.sort_by_key(|(side, order)| (*side, order.party));
    Ok(SealedBook { period, gate, bids, offers, crossed, salt })
}

/// Whether a party's own bid would trade with its own offer.
fn reaches(bid: Option<&BookedOrder>, offer: Option<&BookedOrder>) -> bool {
    let best = |order: Option<&BookedOrder>| order?.steps.first().map(|step| step.limit);
    best(bid).zip(best(offer)).is_some_and(|(bid, offer)| bid >= offer)
}

/// Names the order of a party that never sent a curve.
fn default_id(side: Side, party: &PartyId) -> OrderId {
    let side: &[u8] = if side == Side::Buy { b"buy" } else { b"sell" };
    let digest = Digest::of(&[b"hidamari/default-curve/1", party.as_bytes(), side]);
    OrderId::from_bytes(*digest.as_bytes())
}

/// The curve along the metered energy, in the corridor. Steps that the corridor makes equal become
/// one.
fn steps(
    side: Side,
    curve: Option<&InForce>,
    energy: Energy,
    corridor: Corridor,
) -> Result<Vec<Step>, Overflow> {
    let clamp = |limit: Price| match side {
        Side::Buy => limit.min(corridor.retail),
        Side::Sell => limit.max(corridor.feed_in),
    };
    let default = match side {
        Side::Buy => corridor.retail,
        Side::Sell => corridor.feed_in,
    };
    let said = curve.map_or(&[][..], |curve| curve.steps.as_slice());
    let beyond = said.last().map_or(default, |last| last.limit);
    let rest = Step { limit: beyond, energy };
    let (mut left, mut steps) = (energy, Vec::<Step>::new());
    for step in said.iter().chain([&rest]) {
        let (limit, taken) = (clamp(step.limit), step.energy.min(left));
        if !taken.is_positive() {
            break;
        }
        left = left.minus(taken)?;
        match steps.last_mut().filter(|last| last.limit == limit) {
            Some(last) => last.energy = last.energy.plus(taken)?,
            None => steps.push(Step { limit, energy: taken }),
        }
    }
    Ok(steps)
}
