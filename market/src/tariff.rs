//! The supplier's tariffs: the price of energy that neighbours did not trade.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::price::Price;

/// What the supplier charges and pays per kWh.
///
/// `feed_in <= retail`, so that trading with a neighbour is never worse than with the supplier for
/// both at once; genesis refuses anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tariffs {
    /// For energy drawn beyond what was bought from neighbours.
    pub retail: Price,
    /// For energy fed in beyond what was sold to neighbours.
    pub feed_in: Price,
}
