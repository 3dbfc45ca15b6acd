//! What each party traded, against what its meter counted.

use crate::Overflow;
use crate::energy::Energy;
use crate::grid::{Grid, Node};
use crate::member::PartyId;
use crate::money::Money;
use crate::reading::Quality;
use crate::settlement::{Delivery, Expected, Facts, Metered, PartySettlement, SettlementError};
use crate::trade::Trade;
use crate::zone::ZoneId;

/// All parties side by side, by party: what is known of their settlement so far.
pub(super) struct Positions {
    /// Where each is connected.
    pub(super) nodes: Vec<Node>,
    pub(super) parties: Vec<(PartyId, PartySettlement)>,
}

impl Positions {
    /// Trades and imbalances of all parties; nothing is pooled or paid for yet.
    pub(super) fn take(facts: &Facts<'_>, grid: &Grid) -> Result<Self, SettlementError> {
        let mut positions = Self::of(facts.parties.iter().map(|(one, at)| (*one, *at)), grid)?;
        let mut ends = positions.ends(facts.trades);
        if ends.iter().any(|ends| ends.contains(&None)) {
            let mut all = facts.parties.clone();
            all.extend(strangers(facts));
            positions = Self::of(all.into_iter(), grid)?;
            ends = positions.ends(facts.trades);
        }
        for (trade, [seller, buyer]) in facts.trades.iter().zip(ends) {
            if let Some((_, seller)) = seller.and_then(|at| positions.parties.get_mut(at)) {
                seller.sell(trade)?;
            }
            if let Some((_, buyer)) = buyer.and_then(|at| positions.parties.get_mut(at)) {
                buyer.buy(trade)?;
            }
        }
        for (_, party) in &mut positions.parties {
            party.compare()?;
        }
        Ok(positions)
    }

    fn of(
        deliveries: impl ExactSizeIterator<Item = (PartyId, Delivery)>,
        grid: &Grid,
    ) -> Result<Self, SettlementError> {
        let mut nodes = Vec::with_capacity(deliveries.len());
        let mut parties = Vec::with_capacity(deliveries.len());
        for (party, Delivery { zone, metered, expected }) in deliveries {
            nodes.push(grid.node(zone).ok_or(SettlementError::UnknownZone { party, zone })?);
            let metered = metered_or(metered, expected);
            parties.push((party, PartySettlement::before_trades(metered)));
        }
        Ok(Self { nodes, parties })
    }

    /// The numbers of each trade's seller and buyer; `None` for who is not among the parties.
    fn ends(&self, trades: &[Trade]) -> Vec<[Option<usize>; 2]> {
        // As numbers side by side, identifiers are found several times as fast; the order is the
        // same.
        let number = |party: &PartyId| u128::from_be_bytes(*party.as_bytes());
        let parties: Vec<u128> = self.parties.iter().map(|(party, _)| number(party)).collect();
        let find = |party: &PartyId| parties.binary_search(&number(party)).ok();
        trades.iter().map(|trade| [find(&trade.seller), find(&trade.buyer)]).collect()
    }
}

/// The reading, or what is expected instead of one that did not come.
pub(super) fn metered_or(metered: Option<Metered>, expected: Expected) -> Metered {
    let Expected { imported, exported } = expected;
    let metered = metered.filter(|metered| metered.quality != Quality::Missing);
    metered.unwrap_or(Metered { imported, exported, quality: Quality::Missing })
}

/// Who stands in a trade alone, as if its reading never came. The zone is the lowest by number that
/// a trade names, so that the order of the trades does not matter.
fn strangers(facts: &Facts<'_>) -> impl Iterator<Item = (PartyId, Delivery)> {
    let ends = |trade: &Trade| [(trade.seller, trade.path.from), (trade.buyer, trade.path.to)];
    let ends = facts.trades.iter().flat_map(ends);
    let mut strangers: Vec<(PartyId, ZoneId)> =
        ends.filter(|(party, _)| !facts.parties.contains_key(party)).collect();
    strangers.sort_unstable();
    strangers.dedup_by_key(|(party, _)| *party);
    let unknown = |zone| Delivery { zone, metered: None, expected: Expected::default() };
    strangers.into_iter().map(move |(party, zone)| (party, unknown(zone)))
}

impl PartySettlement {
    /// What is expected instead of a reading is held against the trades once they are known.
    pub(super) fn before_trades(metered: Metered) -> Self {
        let (energy, money) = (Energy::ZERO, Money::ZERO);
        Self {
            sold: energy,
            bought: energy,
            metered,
            surplus: energy,
            missing: energy,
            extra: energy,
            not_taken: energy,
            pooled_long: energy,
            pooled_short: energy,
            supplied: energy,
            fed_in: energy,
            trade_income: money,
            trade_cost: money,
            trade_wheeling: money,
            congestion_rent: money,
            pool_income: money,
            pool_cost: money,
            pool_wheeling: money,
            supplier_income: money,
            supplier_cost: money,
            levies: money,
            tax: money,
        }
    }

    pub(super) fn sell(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.sold = self.sold.plus(trade.energy)?;
        self.trade_income = self.trade_income.plus(trade.seller_amount)?;
        Ok(())
    }

    pub(super) fn buy(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.bought = self.bought.plus(trade.energy)?;
        self.trade_cost = self.trade_cost.plus(trade.buyer_amount)?;
        self.trade_wheeling = self.trade_wheeling.plus(trade.charge)?;
        self.congestion_rent = self.congestion_rent.plus(trade.rent)?;
        Ok(())
    }

    /// Metered against traded, once all trades are in.
    pub(super) fn compare(&mut self) -> Result<(), Overflow> {
        if self.metered.quality == Quality::Missing {
            self.metered.imported = self.metered.imported.max(self.bought);
            self.metered.exported = self.metered.exported.min(self.sold);
        }
        self.surplus = self.metered.exported.excess_over(self.sold)?;
        self.missing = self.sold.excess_over(self.metered.exported)?;
        self.extra = self.metered.imported.excess_over(self.bought)?;
        self.not_taken = self.bought.excess_over(self.metered.imported)?;
        Ok(())
    }
}
