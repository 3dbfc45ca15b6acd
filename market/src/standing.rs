//! Standing curves: what a party is willing to pay or wants to get for whatever its meter counts.
//!
//! At a gate after delivery nobody forecasts: the quantities are the metered ones, and only the
//! limits come from the party, once and for all periods until it changes its mind. A party that
//! says nothing bids at the retail tariff and offers at the feed-in tariff: it takes every trade
//! that is better than the supplier.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::Overflow;
use crate::admission::AdmittedCurve;
use crate::book::BookKey;
use crate::keys::ChainId;
use crate::member::{MeteringPointId, PartyId};
use crate::order::{MalformedOrder, OrderId, PARTNERS_MAX, Preferences, Side, Step, check_steps};
use crate::signed::Signable;
use crate::time::{DeliveryPeriod, PeriodLength, Timestamp};

/// A price curve for all delivery periods to come, on one side.
///
/// A party has at most one in force per side; a higher `sequence` replaces it. It holds from the
/// first delivery period that starts after the block in which it stands: once a period has begun,
/// nobody can fit his limits to what he sees on the meter.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StandingCurve {
    /// The community it is meant for.
    pub community: ChainId,
    /// Whose it is.
    pub party: PartyId,
    /// Where the energy is metered.
    pub metering_point: MeteringPointId,
    /// Buy: for what was drawn from the grid. Sell: for what was fed in.
    pub side: Side,
    /// At most [`crate::order::STEPS_MAX`] steps, best limit first, no limit twice. Each holds for
    /// its energy, and the last also for everything beyond, however much is metered. Empty: the
    /// default, which takes every trade that is better than the supplier.
    pub steps: Vec<Step>,
    /// Rises with every standing curve of this party and side; starts at 1.
    pub sequence: u64,
    /// Whom and what to favour.
    pub preferences: Preferences,
}

impl Signable for StandingCurve {
    const DOMAIN: &'static str = "hidamari/standing-curve/1";
}

impl StandingCurve {
    /// Checks what can be checked without knowing the sender.
    ///
    /// # Errors
    /// [`MalformedOrder`] names the first rule that is broken.
    pub fn check_form(&self) -> Result<(), MalformedOrder> {
        if self.sequence == 0 {
            return Err(MalformedOrder::SequenceZero);
        }
        if self.preferences.partners.len() > PARTNERS_MAX {
            return Err(MalformedOrder::TooManyPartners(self.preferences.partners.len()));
        }
        check_steps(self.side, &self.steps)
    }
}

/// A standing curve as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct InForce {
    /// The name of the signed curve, and of the orders made from it: one per period.
    pub id: OrderId,
    /// Its sequence.
    pub sequence: u64,
    /// Its steps; empty for the default.
    pub steps: Vec<Step>,
    /// Whom and what it favours.
    pub preferences: Preferences,
}

/// All standing curves, each with the instant from which it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct StandingCurves {
    curves: BTreeMap<BookKey, BTreeMap<Timestamp, InForce>>,
}

impl StandingCurves {
    /// Takes in a curve that stands in a block of this time. It is in force from the next delivery
    /// period on; of several that begin with the same period the last one counts.
    ///
    /// # Errors
    /// [`Overflow`] at the end of time.
    pub fn place(
        &mut self,
        admitted: &AdmittedCurve,
        block_time: Timestamp,
        length: PeriodLength,
    ) -> Result<(), Overflow> {
        let from = DeliveryPeriod::containing(block_time, length)?.next()?.start();
        let curve = admitted.curve();
        let in_force = InForce {
            id: admitted.id(),
            sequence: curve.sequence,
            steps: curve.steps.clone(),
            preferences: curve.preferences.clone(),
        };
        self.curves.entry((curve.side, curve.party)).or_default().insert(from, in_force);
        Ok(())
    }

    /// What is in force for a delivery period; `None` if the party never said anything.
    pub fn in_force(&self, key: BookKey, period: DeliveryPeriod) -> Option<&InForce> {
        let (_, curve) = self.curves.get(&key)?.range(..=period.start()).next_back()?;
        Some(curve)
    }

    /// The sequence of the last curve, in force or yet to be.
    pub fn sequence(&self, key: BookKey) -> Option<u64> {
        self.curves.get(&key)?.last_key_value().map(|(_, curve)| curve.sequence)
    }

    /// Forgets what is in force for no period from this one on: curves that were replaced before.
    pub fn forget_before(&mut self, period: DeliveryPeriod) {
        for versions in self.curves.values_mut() {
            let counting = versions.range(..=period.start()).next_back().map(|(from, _)| *from);
            if let Some(counting) = counting {
                *versions = versions.split_off(&counting);
            }
        }
    }

    /// Forgets everything that a party said: it is no longer a member.
    pub fn remove(&mut self, party: &PartyId) {
        self.curves.retain(|(_, of), _| of != party);
    }
}
