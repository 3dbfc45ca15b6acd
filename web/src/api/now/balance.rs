//! Where the energy of a delivery period came from and went.
//!
//! The view is the market's, not the wires': neighbours cover what was both sold and exported, and
//! both bought and imported; everything else is the supplier's. Within one period the registers of
//! a home are gross, so the supplier may deliver to one home and take from another.

use market::Overflow;
use market::energy::Energy;
use market::order::Origin;

use crate::access::HOUSEHOLDS_MIN;
use crate::api::now::{Flow, FlowFrom, FlowTo};
use crate::read_model::query::now::Home;

/// What homes exported of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Export {
    /// All of it.
    total: Energy,
    /// What was sold to neighbours and exported.
    sold: Energy,
    /// How many homes that were.
    homes_count: usize,
}

/// The energy of all homes in a delivery period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Drawn from the grid.
    pub(crate) imported: Energy,
    /// Fed into the grid.
    pub(crate) exported: Energy,
    /// Delivered between neighbours: no more than was exported as sold, nor imported as bought.
    pub(crate) neighbours: Energy,
    by_origin: [(FlowFrom, Export); 3],
    sold: Energy,
}

impl Balance {
    /// Adds up homes.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub(crate) fn of(homes: &[Home]) -> Result<Self, Overflow> {
        let mut by_origin = [FlowFrom::Solar, FlowFrom::Battery, FlowFrom::Other]
            .map(|from| (from, Export::default()));
        let (mut imported, mut bought) = (Energy::ZERO, Energy::ZERO);
        for Home { settlement, origin, .. } in homes {
            let metered = settlement.metered;
            imported = imported.plus(metered.imported)?;
            bought = bought.plus(settlement.bought.minus(settlement.not_taken)?)?;
            let from = match origin {
                Some(Origin::Solar) => FlowFrom::Solar,
                Some(Origin::Battery) => FlowFrom::Battery,
                None => FlowFrom::Other,
            };
            for (_, export) in by_origin.iter_mut().filter(|(one, _)| *one == from) {
                export.total = export.total.plus(metered.exported)?;
                let sold = settlement.sold.minus(settlement.missing)?;
                export.sold = export.sold.plus(sold)?;
                export.homes_count = export.homes_count.saturating_add(1);
            }
        }
        let exported = Energy::sum(by_origin.iter().map(|(_, export)| export.total))?;
        let sold = Energy::sum(by_origin.iter().map(|(_, export)| export.sold))?;
        Ok(Self { imported, exported, neighbours: sold.min(bought), by_origin, sold })
    }

    /// The flows, without those of nothing.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub(crate) fn flows(&self) -> Result<Vec<Flow>, Overflow> {
        let mut flows = Vec::new();
        let mut flow = |from, to, energy: Energy| {
            if energy.is_positive() {
                flows.push(Flow { from, to, energy_wh: energy.wh() });
            }
        };
        let (mut sold, mut given) = (Energy::ZERO, Energy::ZERO);
        for (from, export) in &self.by_origin {
            // Shares of the running sum, rounded down: the parts add up exactly, and none is
            // larger than what was sold of its origin.
            sold = sold.plus(export.sold)?;
            let share = self.share_of(sold)?;
            let to_homes = share.minus(given)?;
            given = share;
            flow(*from, FlowTo::Homes, to_homes);
            flow(*from, FlowTo::Grid, export.total.minus(to_homes)?);
        }
        flow(FlowFrom::Grid, FlowTo::Homes, self.imported.minus(self.neighbours)?);
        Ok(flows)
    }

    /// The flows as everybody may know them: by origin only if no origin is that of so few homes
    /// that its sum tells what a single one did.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub(crate) fn public_flows(&self) -> Result<Vec<Flow>, Overflow> {
        let tells = |(_, export): &(FlowFrom, Export)| {
            (1..HOUSEHOLDS_MIN).contains(&export.homes_count) && export.total.is_positive()
        };
        if !self.by_origin.iter().any(tells) {
            return self.flows();
        }
        let sum = |part: fn(&Export) -> Energy| {
            Energy::sum(self.by_origin.iter().map(|(_, export)| part(export)))
        };
        let homes_count = self.by_origin.iter().map(|(_, export)| export.homes_count).sum();
        let all = Export {
            total: sum(|export| export.total)?,
            sold: sum(|export| export.sold)?,
            homes_count,
        };
        let mut merged = self.clone();
        for (from, export) in &mut merged.by_origin {
            *export = if *from == FlowFrom::Other { all } else { Export::default() };
        }
        merged.flows()
    }

    /// The share of the import that neighbours covered, to four places; `None` without import.
    pub(crate) fn self_sufficiency(&self) -> Option<f64> {
        let share = i128::from(self.neighbours.wh())
            .saturating_mul(10_000)
            .checked_div(i128::from(self.imported.wh()))?;
        Some(f64::from(u16::try_from(share).ok()?) / 10_000.0)
    }

    /// What neighbours took of the first `sold` watt-hours.
    fn share_of(&self, sold: Energy) -> Result<Energy, Overflow> {
        let product = i128::from(self.neighbours.wh()).saturating_mul(i128::from(sold.wh()));
        let share = product.checked_div(i128::from(self.sold.wh())).unwrap_or_default();
        i64::try_from(share).map(Energy::from_wh).map_err(|_| Overflow::of("a share of energy"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::member::PartyId;
    use market::money::Money;
    use market::reading::Quality;
    use market::settlement::{Metered, PartySettlement};

    /// xorshift: the same homes on every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }

        fn energy(&mut self) -> Energy {
            let zero = self.below(3) == 0;
            Energy::from_wh(if zero { 0 } else { i64::try_from(self.below(5_000)).unwrap() })
        }

        fn home(&mut self) -> Home {
            let (imported, exported) = (self.energy(), self.energy());
            let (bought, sold) = (self.energy(), self.energy());
            let excess = |a: Energy, b: Energy| a.excess_over(b).unwrap();
            let settlement = PartySettlement {
                sold,
                bought,
                metered: Metered { imported, exported, quality: Quality::Ok },
                surplus: excess(exported, sold),
                missing: excess(sold, exported),
                extra: excess(imported, bought),
                not_taken: excess(bought, imported),
                pooled_long: Energy::ZERO,
                pooled_short: Energy::ZERO,
                supplied: Energy::ZERO,
                fed_in: Energy::ZERO,
                trade_income: Money::ZERO,
                trade_cost: Money::ZERO,
                trade_wheeling: Money::ZERO,
                congestion_rent: Money::ZERO,
                pool_income: Money::ZERO,
                pool_cost: Money::ZERO,
                pool_wheeling: Money::ZERO,
                supplier_income: Money::ZERO,
                supplier_cost: Money::ZERO,
                levies: Money::ZERO,
                tax: Money::ZERO,
            };
            let origin = match self.below(3) {
                0 => None,
                1 => Some(Origin::Solar),
                _ => Some(Origin::Battery),
            };
            Home { party: PartyId::from_bytes([0; 16]), settlement, origin }
        }
    }

    #[test]
    fn flows_balance_for_any_homes() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..2_000 {
            let homes: Vec<_> = (0..round % 9).map(|_| random.home()).collect();
            let balance = Balance::of(&homes).unwrap();
            let flows = balance.flows().unwrap();
            let sum = |fits: &dyn Fn(&&Flow) -> bool| -> i64 {
                flows.iter().filter(fits).map(|flow| flow.energy_wh).sum()
            };
            let into_homes = sum(&|flow| flow.to == FlowTo::Homes);
            let out_of_homes = sum(&|flow| flow.from != FlowFrom::Grid);
            let neighbours = sum(&|flow| flow.to == FlowTo::Homes && flow.from != FlowFrom::Grid);
            assert_eq!(into_homes, balance.imported.wh(), "{homes:?}");
            assert_eq!(out_of_homes, balance.exported.wh(), "{homes:?}");
            assert_eq!(neighbours, balance.neighbours.wh(), "{homes:?}");
            assert!(flows.iter().all(|flow| flow.energy_wh > 0));
            assert!(balance.neighbours <= balance.imported.min(balance.exported));
            let public = balance.public_flows().unwrap();
            let total = |flows: &[Flow], to| -> i64 {
                flows.iter().filter(|flow| flow.to == to).map(|flow| flow.energy_wh).sum()
            };
            for to in [FlowTo::Homes, FlowTo::Grid] {
                assert_eq!(total(&public, to), total(&flows, to), "{homes:?}");
            }
            for from in [FlowFrom::Solar, FlowFrom::Battery] {
                let origin = if from == FlowFrom::Solar { Origin::Solar } else { Origin::Battery };
                let count = homes.iter().filter(|home| home.origin == Some(origin)).count();
                assert!(count >= HOUSEHOLDS_MIN || public.iter().all(|flow| flow.from != from));
            }
            assert!(balance.self_sufficiency().is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
    }
}
