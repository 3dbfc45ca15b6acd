//! Settlement: what was traded against what was metered (design section 4, `docs/settlement.md`).
//!
//! For each party and delivery period, on each register by itself, because both are gross:
//!
//! | | more metered than traded | less metered than traded |
//! |---|---|---|
//! | export | surplus: long | missing: short |
//! | import | extra: short | not taken: long |
//!
//! What one neighbour is long cancels what another is short, inside a zone first and then up the
//! tree (module `pool`), at the zone's clearing price. Only the rest goes to the supplier at the
//! tariffs; under a sharing key, which pools nothing, all of it does.
//!
//! [`settle`] is a pure function (law S1): settled again from the same facts it gives the same, so
//! a late or corrected reading is settled by settling the period anew and posting the
//! [`difference`] (law S3).

mod amounts;
mod finality;
mod own;
mod pool;
mod position;
mod prices;
mod transfer;

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

use crate::Overflow;
use crate::clearing::MechanismKind;
use crate::energy::Energy;
use crate::grid::Grid;
use crate::member::PartyId;
use crate::money::Money;
use crate::price::Price;
use crate::reading::Quality;
use crate::settlement::position::Positions;
use crate::tariff::Rates;
use crate::time::DeliveryPeriod;
use crate::trade::Trade;
use crate::zone::{ZoneId, ZoneTree};

pub use finality::{Change, Finality};
pub use own::settle_own;
pub use pool::{Imbalance, PoolShare};
pub use prices::ZonePrices;
pub use transfer::{Cause, Holder, Transfer, difference, of_trade};

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

/// A party that is settled: where it is connected, and its reading if one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delivery {
    /// The zone of its metering point.
    pub zone: ZoneId,
    /// What its meter counted, if that came.
    pub metered: Option<Metered>,
    /// What is held against the party as long as no reading comes.
    pub expected: Expected,
}

/// What a party draws at most, and feeds in at least, as far as is known from other periods.
///
/// A reading that never came is estimated against the silence, so that nobody gains by it: imported
/// is the larger of bought and `imported`, exported the smaller of sold and `exported`. The
/// estimate is marked [`Quality::Missing`]; a later reading settles the exact difference. The
/// default knows nothing: drawn as bought, nothing fed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Expected {
    /// Drawn from the grid at most.
    pub imported: Energy,
    /// Fed into the grid at least.
    pub exported: Energy,
}

impl Expected {
    /// From what a party metered in other periods: the most that it drew, and the least that it fed
    /// in. `None` if there are none.
    pub fn from_history(periods: impl IntoIterator<Item = Metered>) -> Option<Self> {
        let of = |metered: Metered| Self { imported: metered.imported, exported: metered.exported };
        periods.into_iter().map(of).reduce(|one, other| Self {
            imported: one.imported.max(other.imported),
            exported: one.exported.min(other.exported),
        })
    }
}

/// Everything that a settlement follows from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// Who is to be settled. A party that only stands in a trade is settled too, at the zone where
    /// the trade found it, as if its reading never came and nothing were known of it.
    pub parties: &'a BTreeMap<PartyId, Delivery>,
    /// The trades of all gates of the period.
    pub trades: &'a [Trade],
    /// How the community trades in the period: it says whether imbalances are pooled.
    pub mechanism: &'a MechanismKind,
    /// What the supplier charges and pays in the period.
    pub rates: Rates,
    /// The grid of the period, with its charges. Its capacities do not matter here: what was
    /// metered has flowed.
    pub zones: &'a ZoneTree,
    /// The clearing prices of the period.
    pub prices: &'a ZonePrices,
}

/// One party's settlement of one delivery period.
///
/// - `exported = sold + surplus - missing` and `imported = bought + extra - not_taken`, where of
///   each pair of imbalances at most one is above zero.
/// - `missing + extra = pooled_short + supplied` and `surplus + not_taken = pooled_long + fed_in`.
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
    /// Of surplus and not taken, what neighbours were short of.
    pub pooled_long: Energy,
    /// Of missing and extra, what neighbours had left.
    pub pooled_short: Energy,
    /// Of missing and extra, what the supplier delivers.
    pub supplied: Energy,
    /// Of surplus and not taken, what the supplier takes.
    pub fed_in: Energy,
    /// What neighbours pay the party for what it sold.
    pub trade_income: Money,
    /// What the party pays for what it bought, including the next two.
    pub trade_cost: Money,
    /// Of `trade_cost`, the wheeling charges to the grid operator.
    pub trade_wheeling: Money,
    /// Of `trade_cost`, the congestion rent to the community.
    pub congestion_rent: Money,
    /// What the party gets for `pooled_long`, before wheeling charges.
    pub pool_income: Money,
    /// What the party pays for `pooled_short`, before wheeling charges.
    pub pool_cost: Money,
    /// The wheeling charges on `pooled_long` and `pooled_short`, to the grid operator.
    pub pool_wheeling: Money,
    /// What the supplier pays the party: `fed_in` at the feed-in tariff.
    pub supplier_income: Money,
    /// What the party pays the supplier: `supplied` at the retail tariff, before levies and tax.
    pub supplier_cost: Money,
    /// The levies on what it imported and was supplied with; the supplier collects them.
    pub levies: Money,
    /// The tax on `supplier_cost` and `levies`; the supplier collects it.
    pub tax: Money,
}

/// Opposite imbalances that cancelled at one zone and one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Pool {
    /// The zone under which they lay.
    pub zone: ZoneId,
    /// How much cancelled.
    pub energy: Energy,
    /// At which price, before the wheeling charges up to the zone.
    pub price: Price,
}

/// The lines of a period's settlement that are no single party's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct CommunitySettlement {
    /// The grid operator's wheeling charges of trades.
    pub trade_wheeling: Money,
    /// The grid operator's wheeling charges of pooled imbalances.
    pub pool_wheeling: Money,
    /// The congestion rent, which the community keeps on an account of its own.
    pub congestion_rent: Money,
    /// What rounding leaves in the pool, on a second account of the community; negative if that
    /// account adds it.
    pub rounding: Money,
    /// What the supplier gets for energy, less what it pays.
    pub supplier: Money,
    /// The levies that the supplier collects.
    pub levies: Money,
    /// The tax that the supplier collects.
    pub tax: Money,
}

/// The settlement of one delivery period for everyone concerned.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Settlement {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// Each party's part.
    pub parties: BTreeMap<PartyId, PartySettlement>,
    /// What cancelled, zone by zone from below.
    pub pools: Vec<Pool>,
    /// What is nobody's own.
    pub community: CommunitySettlement,
}

/// Why a period cannot be settled. None of it can come from admitted orders and readings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// An amount left its range. Genesis bounds what all members together can turn over.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A party is connected to a zone that the grid of the period does not have.
    #[error("party {party} is connected to zone {}, which does not exist", zone.0)]
    UnknownZone {
        /// The party.
        party: PartyId,
        /// Its zone.
        zone: ZoneId,
    },
    /// Two settlements to compare that are not of one period and the same trades.
    #[error("the settlements to compare are not of one period and the same trades")]
    NotComparable,
}

/// Settles one period: a pure function of the facts (law S1), whatever the order of the trades.
///
/// # Errors
/// [`SettlementError`]; admitted orders and readings exclude it.
pub fn settle(facts: &Facts<'_>) -> Result<Settlement, SettlementError> {
    settle_telling(facts, |_, _, _| {})
}

/// [`settle`], and who cancelled how much, where and at which price: what [`pool_shares`] says.
///
/// # Errors
/// As [`settle`].
pub fn settle_with_shares(
    facts: &Facts<'_>,
) -> Result<(Settlement, Vec<PoolShare>), SettlementError> {
    let mut shares = Vec::new();
    let settlement = settle_telling(facts, |share, grid, positions| {
        let party = positions.parties.get(share.at());
        shares.extend(party.map(|(party, _)| share.of(*party, grid)));
    })?;
    Ok((settlement, shares))
}

/// Settles, and tells each part in a pool as it happens.
fn settle_telling(
    facts: &Facts<'_>,
    mut tell: impl FnMut(&pool::Share, &Grid, &Positions),
) -> Result<Settlement, SettlementError> {
    let grid = Grid::of(facts.zones);
    let mut positions = Positions::take(facts, &grid)?;
    let mut pooled = vec![amounts::Pooled::default(); positions.parties.len()];
    let pools = pool::cancel(facts, &grid, &positions, |share| {
        tell(&share, &grid, &positions);
        pooled.get_mut(share.at()).map_or(Ok(()), |pooled| pooled.add(&share))
    })?;
    let mut community = CommunitySettlement::default();
    for ((_, party), pooled) in positions.parties.iter_mut().zip(&pooled) {
        amounts::pay(party, pooled, &facts.rates)?;
        community.add(party)?;
    }
    let parties = positions.parties.into_iter().collect();
    Ok(Settlement { period: facts.period, parties, pools, community })
}

/// Who cancelled how much, where and at which price: the single steps behind `pooled_long` and
/// `pooled_short`, in the order in which they happened.
///
/// # Errors
/// As [`settle`].
pub fn pool_shares(facts: &Facts<'_>) -> Result<Vec<PoolShare>, SettlementError> {
    let grid = Grid::of(facts.zones);
    let positions = Positions::take(facts, &grid)?;
    let mut shares = Vec::new();
    pool::cancel(facts, &grid, &positions, |share| {
        let party = positions.parties.get(share.at());
        shares.extend(party.map(|(party, _)| share.of(*party, &grid)));
        Ok(())
    })?;
    Ok(shares)
}

impl PartySettlement {
    /// What it has too much: surplus and not taken.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn long(&self) -> Result<Energy, Overflow> {
        self.surplus.plus(self.not_taken)
    }

    /// What it has too little: missing and extra.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn short(&self) -> Result<Energy, Overflow> {
        self.missing.plus(self.extra)
    }

    /// What the party has earned in the period; negative if it has to pay.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn net_income(&self) -> Result<Money, Overflow> {
        let income = [self.trade_income, self.pool_income, self.supplier_income];
        let cost = [
            self.trade_cost,
            self.pool_cost,
            self.pool_wheeling,
            self.supplier_cost,
            self.levies,
            self.tax,
        ];
        Money::sum(income)?.minus(Money::sum(cost)?)
    }

    /// What the party would have earned with the supplier alone, at the same metered energy.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn net_income_without_market(&self, rates: &Rates) -> Result<Money, Overflow> {
        let Metered { imported, exported, .. } = self.metered;
        let cost = rates.retail.amount_for(imported)?;
        let levies = rates.levies(imported, imported)?;
        let tax = rates.tax(cost, levies)?;
        rates.feed_in.amount_for(exported)?.minus(Money::sum([cost, levies, tax])?)
    }

    /// All that the grid operator gets from the party.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn wheeling(&self) -> Result<Money, Overflow> {
        self.trade_wheeling.plus(self.pool_wheeling)
    }
}

impl CommunitySettlement {
    fn add(&mut self, party: &PartySettlement) -> Result<(), Overflow> {
        let supplier = party.supplier_cost.minus(party.supplier_income)?;
        let rounding = party.pool_cost.minus(party.pool_income)?;
        for (line, part) in [
            (&mut self.trade_wheeling, party.trade_wheeling),
            (&mut self.pool_wheeling, party.pool_wheeling),
            (&mut self.congestion_rent, party.congestion_rent),
            (&mut self.rounding, rounding),
            (&mut self.supplier, supplier),
            (&mut self.levies, party.levies),
            (&mut self.tax, party.tax),
        ] {
            *line = line.plus(part)?;
        }
        Ok(())
    }

    /// What everybody but the parties gets: with what all parties earn it sums to zero (law S5).
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn total(&self) -> Result<Money, Overflow> {
        Money::sum([
            self.trade_wheeling,
            self.pool_wheeling,
            self.congestion_rent,
            self.rounding,
            self.supplier,
            self.levies,
            self.tax,
        ])
    }
}
