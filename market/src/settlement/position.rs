//! What each party traded, against what its meter counted.

use crate::Overflow;
use crate::energy::Energy;
use crate::grid::{Grid, Node};
use crate::member::PartyId;
use crate::money::Money;
use crate::reading::Quality;
use crate::settlement::{Facts, Metered, SettlementError};
use crate::trade::Trade;
use crate::zone::ZoneId;

/// A party's trades and imbalances; see [`crate::settlement::PartySettlement`] for the fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) party: PartyId,
    pub(super) node: Node,
    pub(super) sold: Energy,
    pub(super) bought: Energy,
    pub(super) trade_income: Money,
    pub(super) trade_cost: Money,
    pub(super) trade_wheeling: Money,
    pub(super) congestion_rent: Money,
    pub(super) metered: Metered,
    pub(super) surplus: Energy,
    pub(super) missing: Energy,
    pub(super) extra: Energy,
    pub(super) not_taken: Energy,
}

/// The positions of all parties, by party.
pub(super) fn take(facts: &Facts<'_>, grid: &Grid) -> Result<Vec<Position>, SettlementError> {
    let mut positions = Vec::with_capacity(facts.parties.len());
    for (party, delivery) in facts.parties {
        positions.push(Position::of(*party, delivery.zone, delivery.metered, grid)?);
    }
    add_strangers(facts, grid, &mut positions)?;
    for trade in facts.trades {
        if let Some(seller) = find(&mut positions, trade.seller) {
            seller.sell(trade)?;
        }
        if let Some(buyer) = find(&mut positions, trade.buyer) {
            buyer.buy(trade)?;
        }
    }
    for position in &mut positions {
        position.compare()?;
    }
    Ok(positions)
}

/// Adds who stands in a trade alone. The zone is that of its first trade by zone number, so that the
/// order of the trades does not matter.
fn add_strangers(
    facts: &Facts<'_>,
    grid: &Grid,
    positions: &mut Vec<Position>,
) -> Result<(), SettlementError> {
    let ends = facts
        .trades
        .iter()
        .flat_map(|trade| [(trade.seller, trade.path.from), (trade.buyer, trade.path.to)]);
    let mut strangers: Vec<(PartyId, ZoneId)> =
        ends.filter(|(party, _)| !facts.parties.contains_key(party)).collect();
    if strangers.is_empty() {
        return Ok(());
    }
    strangers.sort_unstable();
    strangers.dedup_by_key(|(party, _)| *party);
    for (party, zone) in strangers {
        positions.push(Position::of(party, zone, None, grid)?);
    }
    positions.sort_unstable_by_key(|position| position.party);
    Ok(())
}

fn find(positions: &mut [Position], party: PartyId) -> Option<&mut Position> {
    let at = positions.binary_search_by_key(&party, |position| position.party).ok()?;
    positions.get_mut(at)
}

impl Position {
    fn of(
        party: PartyId,
        zone: ZoneId,
        metered: Option<Metered>,
        grid: &Grid,
    ) -> Result<Self, SettlementError> {
        let node = grid.node(zone).ok_or(SettlementError::UnknownZone { party, zone })?;
        // Replaced by the trades once they are known.
        let never_came =
            Metered { imported: Energy::ZERO, exported: Energy::ZERO, quality: Quality::Missing };
        Ok(Self {
            party,
            node,
            sold: Energy::ZERO,
            bought: Energy::ZERO,
            trade_income: Money::ZERO,
            trade_cost: Money::ZERO,
            trade_wheeling: Money::ZERO,
            congestion_rent: Money::ZERO,
            metered: metered.unwrap_or(never_came),
            surplus: Energy::ZERO,
            missing: Energy::ZERO,
            extra: Energy::ZERO,
            not_taken: Energy::ZERO,
        })
    }

    fn sell(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.sold = self.sold.plus(trade.energy)?;
        self.trade_income = self.trade_income.plus(trade.seller_amount)?;
        Ok(())
    }

    fn buy(&mut self, trade: &Trade) -> Result<(), Overflow> {
        self.bought = self.bought.plus(trade.energy)?;
        self.trade_cost = self.trade_cost.plus(trade.buyer_amount)?;
        self.trade_wheeling = self.trade_wheeling.plus(trade.charge)?;
        self.congestion_rent = self.congestion_rent.plus(trade.rent)?;
        Ok(())
    }

    /// Metered against traded, once all trades are in.
    fn compare(&mut self) -> Result<(), Overflow> {
        if self.metered.quality == Quality::Missing {
            self.metered.imported = self.bought;
            self.metered.exported = self.sold;
        }
        self.surplus = self.metered.exported.excess_over(self.sold)?;
        self.missing = self.sold.excess_over(self.metered.exported)?;
        self.extra = self.metered.imported.excess_over(self.bought)?;
        self.not_taken = self.bought.excess_over(self.metered.imported)?;
        Ok(())
    }

    /// What it has too much.
    pub(super) fn long(&self) -> Result<Energy, Overflow> {
        self.surplus.plus(self.not_taken)
    }

    /// What it has too little.
    pub(super) fn short(&self) -> Result<Energy, Overflow> {
        self.missing.plus(self.extra)
    }
}
