//! Trades: one seller, one buyer, one delivery period.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::member::PartyId;
use crate::money::Money;
use crate::order::{OrderId, Origin};
use crate::price::Price;
use crate::time::DeliveryPeriod;

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
    /// What the seller gets per kWh: the clearing price of its zone.
    pub seller_price: Price,
    /// What the buyer pays per kWh: the clearing price of its zone.
    pub buyer_price: Price,
    /// What the seller gets in all, rounded once.
    pub seller_amount: Money,
    /// What the buyer pays in all. `buyer_amount = seller_amount + charge + rent`.
    pub buyer_amount: Money,
    /// Wheeling charges on the way, to the grid operator.
    pub charge: Money,
    /// What the energy is made of, as the seller declared.
    pub origin: Option<Origin>,
}
