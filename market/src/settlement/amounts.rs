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
use crate::settlement::position::Position;
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
        let side = match share.imbalance {
            Imbalance::Long => &mut self.long,
            Imbalance::Short => &mut self.short,
        };
        side.energy = side.energy.plus(Energy::from_wh(share.energy))?;
        side.worth = add_product(side.worth, share.price, share.energy)?;
        side.charges = add_product(side.charges, share.charges, share.energy)?;
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

/// Puts money on a party's position.
pub(super) fn party(
    position: &Position,
    pooled: &Pooled,
    rates: &Rates,
) -> Result<PartySettlement, Overflow> {
    let fed_in = position.long()?.minus(pooled.long.energy)?;
    let supplied = position.short()?.minus(pooled.short.energy)?;
    let long = pooled.long.money(fed_in, rates.feed_in, Charges::Less)?;
    let short = pooled.short.money(supplied, rates.retail, Charges::OnTop)?;
    let levies = rates.levies(supplied, position.metered.imported)?;
    Ok(PartySettlement {
        sold: position.sold,
        bought: position.bought,
        metered: position.metered,
        surplus: position.surplus,
        missing: position.missing,
        extra: position.extra,
        not_taken: position.not_taken,
        pooled_long: pooled.long.energy,
        pooled_short: pooled.short.energy,
        supplied,
        fed_in,
        trade_income: position.trade_income,
        trade_cost: position.trade_cost,
        trade_wheeling: position.trade_wheeling,
        congestion_rent: position.congestion_rent,
        pool_income: long.pool,
        pool_cost: short.pool,
        pool_wheeling: long.wheeling.plus(short.wheeling)?,
        supplier_income: long.supplier,
        supplier_cost: short.supplier,
        levies,
        tax: rates.tax(short.supplier, levies)?,
    })
}
