//! Trades: one seller, one buyer, one delivery period.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::member::PartyId;
use crate::money::Money;
use crate::order::{OrderId, Origin};
use crate::price::Price;
use crate::time::DeliveryPeriod;
use crate::zone::ZoneId;

/// Energy that a seller owes a buyer in one period, and the money for it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Trade {
    /// When the energy is delivered.
    pub period: DeliveryPeriod,
    /// At which gate they met.
    pub gate: GateIndex,
    /// Who delivers.
    pub seller: PartyId,
    /// Who takes.
    pub buyer: PartyId,
    /// The seller's order.
    pub offer: OrderId,
    /// The buyer's order.
    pub bid: OrderId,
    /// How much; always positive.
    pub energy: Energy,
    /// What the seller gets per kWh: as a rule, the clearing price of its zone.
    pub seller_price: Price,
    /// What the buyer pays per kWh: as a rule, the clearing price of its zone.
    pub buyer_price: Price,
    /// What the seller gets in all, rounded once.
    pub seller_amount: Money,
    /// What the buyer pays in all. `buyer_amount = seller_amount + charge + rent`, to the unit.
    pub buyer_amount: Money,
    /// Wheeling charges on the way, to the grid operator; not negative.
    pub charge: Money,
    /// What stays with the community: congestion rent, zero unless an edge on the way is full; or
    /// the surplus of a trade reduction, whose buyers pay more than its sellers get.
    pub rent: Money,
    /// The way the energy takes.
    pub path: Path,
    /// What the energy is made of, as the seller declared.
    pub origin: Option<Origin>,
}

/// A way through the grid: up from the seller's zone and down to the buyer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Path {
    /// The seller's zone.
    pub from: ZoneId,
    /// The highest zone on the way; equal to the others within one zone.
    pub over: ZoneId,
    /// The buyer's zone.
    pub to: ZoneId,
}
