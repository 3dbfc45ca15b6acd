//! The clearing prices of a period, over all of its gates.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::Overflow;
use crate::clearing::ClearingResult;
use crate::energy::Energy;
use crate::price::Price;
use crate::zone::{ZoneId, ZoneTree};

/// The clearing prices of a period: for each zone the mean over the gates at which it had one.
///
/// A gate counts by the energy that was sold in the zone or flowed into it, so a few watt-hours at
/// the last gate do not set the price at which everybody's imbalances are pooled.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct ZonePrices(BTreeMap<ZoneId, Priced>);

/// What a zone's gates come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
struct Priced {
    /// Price x energy, in thousandths of a micro-unit.
    worth: i128,
    /// Wh.
    energy: i128,
}

impl Priced {
    fn add(&mut self, price: Price, energy: Energy) -> Result<(), Overflow> {
        let failed = Overflow::of("a mean price");
        let energy = i128::from(energy.wh());
        let worth = i128::from(price.micros_per_kwh()).checked_mul(energy).ok_or(failed)?;
        self.worth = self.worth.checked_add(worth).ok_or(failed)?;
        self.energy = self.energy.checked_add(energy).ok_or(failed)?;
        Ok(())
    }
}

impl ZonePrices {
    /// Takes in what a gate decided over this grid; in which order the gates come does not matter.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range; then nothing is taken in.
    pub fn note(&mut self, result: &ClearingResult, zones: &ZoneTree) -> Result<(), Overflow> {
        let mut through: BTreeMap<ZoneId, Energy> =
            result.zones.iter().map(|zone| (zone.zone, zone.sold)).collect();
        for edge in &result.edges {
            let above = zones.zone(edge.zone).and_then(|zone| zone.edge).map(|edge| edge.parent);
            let (into, energy) = if edge.flow.is_negative() {
                (Some(edge.zone), Energy::ZERO.minus(edge.flow)?)
            } else {
                (above, edge.flow)
            };
            if let Some(sum) = into.and_then(|into| through.get_mut(&into)) {
                *sum = sum.plus(energy)?;
            }
        }
        let mut all = self.0.clone();
        for zone in &result.zones {
            if let (Some(price), Some(energy)) = (zone.price, through.get(&zone.zone)) {
                all.entry(zone.zone).or_default().add(price, *energy)?;
            }
        }
        self.0 = all;
        Ok(())
    }

    /// A zone's price, rounded half to even, if any of its gates had one.
    pub fn price(&self, zone: ZoneId) -> Option<Price> {
        let Priced { worth, energy } = *self.0.get(&zone)?;
        Price::per(worth, energy).ok().flatten()
    }
}

/// Each as if a gate had priced one watt-hour.
impl FromIterator<(ZoneId, Price)> for ZonePrices {
    fn from_iter<I: IntoIterator<Item = (ZoneId, Price)>>(prices: I) -> Self {
        let priced = |price: Price| Priced { worth: price.micros_per_kwh().into(), energy: 1 };
        Self(prices.into_iter().map(|(zone, price)| (zone, priced(price))).collect())
    }
}
