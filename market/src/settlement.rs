//! Settlement: what was traded against what was metered (design section 4).
//!
//! For each party and delivery period, on each register by itself, because both are gross:
//!
//! | | more metered than traded | less metered than traded |
//! |---|---|---|
//! | export | surplus: the supplier takes it at the feed-in tariff | missing: the supplier delivers it at retail |
//! | import | extra: the supplier delivers it at retail | not taken: the supplier takes it at the feed-in tariff |
//!
//! Opposite imbalances of neighbours are not pooled.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::Overflow;
use crate::energy::Energy;
use crate::member::PartyId;
use crate::money::Money;
use crate::reading::Quality;
use crate::tariff::Tariffs;
use crate::time::DeliveryPeriod;
use crate::trade::Trade;

/// What a meter counted in the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Metered {
    /// Drawn from the grid.
    pub imported: Energy,
    /// Fed into the grid.
    pub exported: Energy,
    /// How far both can be trusted.
    pub quality: Quality,
}

/// One party's settlement of one delivery period.
///
/// `exported = sold + surplus - missing` and `imported = bought + extra - not_taken`, where of each
/// pair of imbalances at most one is above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PartySettlement {
    /// Sold to neighbours.
    pub sold: Energy,
    /// Bought from neighbours.
    pub bought: Energy,
    /// What was metered, or taken as metered.
    pub metered: Metered,
    /// Exported beyond what was sold.
    pub surplus: Energy,
    /// Sold but not exported.
    pub missing: Energy,
    /// Imported beyond what was bought.
    pub extra: Energy,
    /// Bought but not imported.
    pub not_taken: Energy,
    /// What neighbours pay the party for what it sold.
    pub trade_income: Money,
    /// What the party pays neighbours for what it bought, wheeling charges and rent included.
    pub trade_cost: Money,
    /// What the supplier pays the party: (surplus + not taken) at the feed-in tariff.
    pub supplier_income: Money,
    /// What the party pays the supplier: (missing + extra) at the retail tariff.
    pub supplier_cost: Money,
}

/// The settlement of one delivery period for everyone concerned.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settlement {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// Each party's part.
    pub parties: BTreeMap<PartyId, PartySettlement>,
}

impl PartySettlement {
    /// What the party has earned in the period; negative if it has to pay.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn net_income(&self) -> Result<Money, Overflow> {
        self.trade_income
            .plus(self.supplier_income)?
            .minus(self.trade_cost)?
            .minus(self.supplier_cost)
    }

    /// What the party would have earned with the supplier alone, at the same metered energy.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn net_income_without_market(&self, tariffs: &Tariffs) -> Result<Money, Overflow> {
        let income = tariffs.feed_in.amount_for(self.metered.exported)?;
        income.minus(tariffs.retail.amount_for(self.metered.imported)?)
    }
}

/// Settles one period: a pure function of trades, readings and tariffs.
///
/// `parties` are those to be settled, each with its reading if one came. A reading that never came
/// is estimated as "delivered exactly as traded" and marked [`Quality::Missing`]; a later reading
/// settles the exact difference.
///
/// # Errors
/// [`Overflow`] if an amount leaves its range; admitted orders and readings exclude it.
pub fn settle(
    period: DeliveryPeriod,
    parties: &BTreeMap<PartyId, Option<Metered>>,
    trades: &[Trade],
    tariffs: &Tariffs,
) -> Result<Settlement, Overflow> {
    let mut positions: BTreeMap<PartyId, Position> =
        parties.keys().map(|party| (*party, Position::default())).collect();
    for trade in trades {
        positions.entry(trade.seller).or_default().sell(trade)?;
        positions.entry(trade.buyer).or_default().buy(trade)?;
    }
    let settle_one = |(party, position): (PartyId, Position)| {
        let reading = parties.get(&party).copied().flatten();
        Ok((party, position.against(reading, tariffs)?))
    };
    let parties = positions.into_iter().map(settle_one).collect::<Result<_, Overflow>>()?;
    Ok(Settlement { period, parties })
}

/// What a party has traded for one period.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    sold: Energy,
    bought: Energy,
    income: Money,
    cost: Money,
}

impl Position {
    fn sell(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.sold = self.sold.plus(trade.energy)?;
        self.income = self.income.plus(trade.seller_amount)?;
        Ok(())
    }

    fn buy(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.bought = self.bought.plus(trade.energy)?;
        self.cost = self.cost.plus(trade.buyer_amount)?;
        Ok(())
    }

    fn against(
        self,
        reading: Option<Metered>,
        tariffs: &Tariffs,
    ) -> Result<PartySettlement, Overflow> {
        let as_traded =
            Metered { imported: self.bought, exported: self.sold, quality: Quality::Missing };
        let metered = reading.unwrap_or(as_traded);
        let surplus = metered.exported.excess_over(self.sold)?;
        let missing = self.sold.excess_over(metered.exported)?;
        let extra = metered.imported.excess_over(self.bought)?;
        let not_taken = self.bought.excess_over(metered.imported)?;
        Ok(PartySettlement {
            sold: self.sold,
            bought: self.bought,
            metered,
            surplus,
            missing,
            extra,
            not_taken,
            trade_income: self.income,
            trade_cost: self.cost,
            supplier_income: tariffs.feed_in.amount_for(surplus.plus(not_taken)?)?,
            supplier_cost: tariffs.retail.amount_for(missing.plus(extra)?)?,
        })
    }
}
