//! The money of one party's settlement.
//!
//! Each side of an imbalance is rounded once as a whole, half to even: all that the party pays for
//! what it is short of, wheeling charges and the supplier's part included, and all that it gets for
//! what it has left. So a household that pooled some of it never pays a micro-unit more, nor gets
//! one less, than the supplier alone would have rounded to. The supplier's part and the charges are
//! rounded by themselves; the pool's part is the rest.

use crate::Overflow;
use crate::energy::Energy;
use crate::money::Money;
use crate::price::Price;
use crate::settlement::PartySettlement;
use crate::settlement::pool::{Imbalance, Share};
use crate::tariff::Rates;

/// A party's parts in all pools.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pooled {
    long: SidePooled,
    short: SidePooled,
}

#[derive(Debug, Clone, Copy, Default)]
struct SidePooled {
    energy: Energy,
    /// Energy x price, in thousandths of a micro-unit.
    worth: i128,
    /// Energy x charges, in thousandths of a micro-unit.
    charges: i128,
}

impl Pooled {
    pub(super) fn add(&mut self, share: &Share) -> Result<(), Overflow> {
        self.add_part(share.imbalance, share.energy, share.price, share.charges)
    }

    /// Wh, and micro-units per kWh.
    pub(super) fn add_part(
        &mut self,
        imbalance: Imbalance,
        energy: i64,
        price: i64,
        charges: i64,
    ) -> Result<(), Overflow> {
        let side = match imbalance {
            Imbalance::Long => &mut self.long,
            Imbalance::Short => &mut self.short,
        };
        side.energy = side.energy.plus(Energy::from_wh(energy))?;
        side.worth = add_product(side.worth, price, energy)?;
        side.charges = add_product(side.charges, charges, energy)?;
        Ok(())
    }
}

fn add_product(sum: i128, price: i64, energy: i64) -> Result<i128, Overflow> {
    let product = i128::from(price).checked_mul(i128::from(energy));
    product.and_then(|product| sum.checked_add(product)).ok_or(Overflow::of("price x energy"))
}

/// One side of an imbalance in money.
struct Side {
    pool: Money,
    wheeling: Money,
    supplier: Money,
}

impl SidePooled {
    /// `rest` goes to the supplier at `tariff`; charges count with this sign.
    fn money(&self, rest: Energy, tariff: Price, charges: Charges) -> Result<Side, Overflow> {
        let supplier = tariff.amount_for(rest)?;
        if self.energy.is_zero() {
            return Ok(Side { pool: Money::ZERO, wheeling: Money::ZERO, supplier });
        }
        let failed = Overflow::of("an imbalance");
        let with_rest = add_product(self.worth, tariff.micros_per_kwh(), rest.wh())?;
        let wheeling = Money::from_thousandths(self.charges)?;
        let (whole, beside_pool) = match charges {
            Charges::OnTop => (with_rest.checked_add(self.charges), supplier.plus(wheeling)?),
            Charges::Less => (with_rest.checked_sub(self.charges), supplier.minus(wheeling)?),
        };
        let whole = Money::from_thousandths(whole.ok_or(failed)?)?;
        Ok(Side { pool: whole.minus(beside_pool)?, wheeling, supplier })
    }
}

/// How charges count in what a side comes to.
enum Charges {
    /// Paid on top of the price.
    OnTop,
    /// Taken off the price.
    Less,
}

/// Puts money on a party whose trades and imbalances are known.
pub(super) fn pay(
    party: &mut PartySettlement,
    pooled: &Pooled,
    rates: &Rates,
) -> Result<(), Overflow> {
    (party.pooled_long, party.pooled_short) = (pooled.long.energy, pooled.short.energy);
    party.fed_in = party.long()?.minus(party.pooled_long)?;
    party.supplied = party.short()?.minus(party.pooled_short)?;
    let long = pooled.long.money(party.fed_in, rates.feed_in, Charges::Less)?;
    let short = pooled.short.money(party.supplied, rates.retail, Charges::OnTop)?;
    (party.pool_income, party.pool_cost) = (long.pool, short.pool);
    party.pool_wheeling = long.wheeling.plus(short.wheeling)?;
    (party.supplier_income, party.supplier_cost) = (long.supplier, short.supplier);
    party.levies = rates.levies(party.supplied, party.metered.imported)?;
    party.tax = rates.tax(party.supplier_cost, party.levies)?;
    Ok(())
}
