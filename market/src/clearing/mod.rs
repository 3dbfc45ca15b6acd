//! Clearing: from a sealed book to prices, quantities, trades and answers.
//!
//! The zonal auction finds quantities and prices first (`zonal`); who trades with whom is decided
//! afterwards (`allocation`), so that preferences cost nobody anything; then money is put on every
//! trade (`trading`) and every order is answered (`answering`).
//!
//! The other mechanisms (`midpoint`, `mcafee`, [`sharing`]) know one zone, or several with free
//! edges between them, and write their results out in `single`.

mod allocation;
mod answering;
mod curve;
pub mod laws;
mod mcafee;
mod merit;
mod midpoint;
mod outcome;
mod places;
pub(crate) mod ration;
pub mod sharing;
mod single;
mod trading;
mod zonal;

use borsh::{BorshDeserialize, BorshSerialize};

pub use outcome::{Deal, Outcome, Verdict};

use crate::Overflow;
use crate::answer::Answer;
use crate::book::SealedBook;
use crate::clearing::sharing::SharingRule;
use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::grid::Grid;
use crate::money::Money;
use crate::order::OrderId;
use crate::price::{Price, Tick};
use crate::time::DeliveryPeriod;
use crate::trade::Trade;
use crate::zone::{ZoneId, ZoneTree};

/// From so many orders or increments on, work on all cores is worth its coordination.
const PARALLEL_FROM: usize = 16_384;

/// The most that all steps may come to, each counted once for its zone and once for every zone
/// above it. The zonal auction keeps a curve for each zone, of 16 bytes for each of them: a
/// gigabyte.
pub const CURVE_STEPS_MAX: u64 = 1 << 26;

/// How a community finds prices and quantities; chosen in genesis.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum MechanismKind {
    /// The exact zonal double auction of design section 4.
    ZonalAuction = 1,
    /// The same quantities, each pair of bid and offer at the middle of its limits. One zone.
    PairMidpoints = 2,
    /// McAfee's trade reduction: no order gains by misstating its limit. One zone.
    TradeReduction = 3,
    /// Metered energy is allotted by a fixed key at a fixed price. One zone.
    Sharing(SharingRule) = 4,
}

/// What a mechanism has to keep to, besides the book.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The grid, with the charges and capacities of the period.
    pub zones: &'a ZoneTree,
    /// Where in a crossing interval the price lies, in millionths: 0 = its lower end.
    pub k_millionths: u32,
    /// A price chosen within an interval is rounded down to a multiple of this, but not below the
    /// interval. Other prices follow from it by wheeling charges, or are limits.
    pub tick: Tick,
}

/// A way to clear a book.
///
/// Every mechanism is a pure function: the same book and terms give the same result on every node,
/// whatever the order in which messages came and however many threads there are.
pub trait Mechanism: Sync {
    /// Clears a sealed book.
    ///
    /// # Errors
    /// [`ClearingError`].
    fn clear(&self, book: &SealedBook, terms: &Terms<'_>) -> Result<ClearingResult, ClearingError>;
}

impl MechanismKind {
    /// The mechanism of this name.
    pub fn mechanism(&self) -> &dyn Mechanism {
        match self {
            Self::ZonalAuction => &zonal::ZonalAuction,
            Self::PairMidpoints => &midpoint::PairMidpoints,
            Self::TradeReduction => &mcafee::TradeReduction,
            Self::Sharing(rule) => rule,
        }
    }

    /// Whether opposite imbalances of neighbours cancel in settlement. Under a sharing key they do
    /// not: what the key allots to nobody is the supplier's, or neighbours would get it all the
    /// same.
    pub fn pools(&self) -> bool {
        !matches!(self, Self::Sharing(_))
    }

    /// Whether the mechanism can stand over this grid. All but the zonal auction know one zone:
    /// several are as one only if no edge between them has a charge or a capacity.
    ///
    /// # Errors
    /// [`ClearingError::EdgeBinds`] names the first zone whose edge has one.
    pub fn check_grid(&self, zones: &ZoneTree) -> Result<(), ClearingError> {
        match (self, zones.first_binding_edge()) {
            (Self::ZonalAuction, _) | (_, None) => Ok(()),
            (_, Some(zone)) => Err(ClearingError::EdgeBinds { zone }),
        }
    }
}

/// Why a book cannot be cleared. None of it can come from admitted orders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearingError {
    /// A sum or a price left its range. Genesis bounds what all members together can turn over;
    /// hostile bare books may reach it.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// An order stands in a zone that the grid does not have.
    #[error("order {order} stands in zone {}, which does not exist", zone.0)]
    UnknownZone {
        /// The order.
        order: OrderId,
        /// Its zone.
        zone: ZoneId,
    },
    /// A mechanism for one zone stands over several, and the way between them is not free.
    #[error(
        "this mechanism knows one zone only, but the edge above zone {} has a wheeling charge or a \
         capacity; choose the zonal auction, or free the edge",
        zone.0
    )]
    EdgeBinds {
        /// The zone below the edge.
        zone: ZoneId,
    },
    /// A deep grid with so many orders that their curves would not fit into memory.
    #[error(
        "the zones lie too deep for so many orders: each step counts once for its zone and once \
         for every zone above, which makes {counted}, and at most {CURVE_STEPS_MAX} can be cleared"
    )]
    TooDeep {
        /// All of them.
        counted: u64,
    },
    /// More than 4,294,967,295 orders or steps.
    #[error("the book has more orders or steps than 32 bits can count")]
    TooLarge,
}

/// What one gate decided for one delivery period.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClearingResult {
    /// The delivery period.
    pub period: DeliveryPeriod,
    /// The gate.
    pub gate: GateIndex,
    /// One for each zone, by number.
    pub zones: Vec<ZoneResult>,
    /// One for each zone but the root, by number.
    pub edges: Vec<EdgeResult>,
    /// How much was traded.
    pub volume: Energy,
    /// What the exchange was worth to all together: bid limits minus offer limits minus wheeling
    /// charges, over all that was filled. Computed exactly and rounded once, half to even.
    pub welfare: Money,
    /// Who trades with whom.
    pub trades: Vec<Trade>,
    /// One for every order in the book: bids, offers, then those left out, each by party.
    pub answers: Vec<Answer>,
}

/// What one gate decided for one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ZoneResult {
    /// The zone.
    pub zone: ZoneId,
    /// The clearing price; `None` if nothing was traded in the zone or conveyed through it. No
    /// trade is no price, never zero. Where a mechanism has several prices, a mean of them.
    pub price: Option<Price>,
    /// Bought by orders of this zone.
    pub bought: Energy,
    /// Sold by orders of this zone.
    pub sold: Energy,
}

/// What one gate decided for the edge above one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EdgeResult {
    /// The zone below the edge.
    pub zone: ZoneId,
    /// What flows over it: positive towards the parent, negative away from it.
    pub flow: Energy,
    /// Wheeling charges of the trades that cross it.
    pub charge: Money,
    /// Congestion rent of the trades that cross it; zero unless the edge is full.
    pub rent: Money,
}

impl ClearingResult {
    /// What buyers pay per kWh on average, wheeling charges included, rounded half to even; `None`
    /// if nothing was traded. Where all zones have one price it is that price.
    ///
    /// # Errors
    /// [`Overflow`] if the sum leaves its range.
    pub fn mean_price(&self) -> Result<Option<Price>, Overflow> {
        let paid = self.trades.iter().map(|trade| (trade.buyer_price, trade.energy));
        Price::mean(paid)
    }

    /// The clearing price of a zone; `None` if it has none.
    pub fn zone_price(&self, zone: ZoneId) -> Option<Price> {
        self.zones.iter().find(|result| result.zone == zone)?.price
    }
}

/// Clears a sealed book by the community's mechanism.
///
/// # Errors
/// [`ClearingError`].
pub fn clear(
    book: &SealedBook,
    mechanism: &MechanismKind,
    terms: &Terms<'_>,
) -> Result<ClearingResult, ClearingError> {
    mechanism.mechanism().clear(book, terms)
}

impl Mechanism for zonal::ZonalAuction {
    fn clear(&self, book: &SealedBook, terms: &Terms<'_>) -> Result<ClearingResult, ClearingError> {
        Ok(decide(book, terms)?.write_out(book)?)
    }
}

/// Runs the zonal auction and gives its outcome in the shortest form.
///
/// # Errors
/// [`ClearingError`].
pub fn decide(book: &SealedBook, terms: &Terms<'_>) -> Result<Outcome, ClearingError> {
    let grid = Grid::of(terms.zones);
    let places = places::Places::of(book, &grid)?;
    let solution = zonal::solve(&places, &grid, terms, book.salt())?;
    let matches = allocation::allocate(book, &places, &grid, &solution.fills)?;
    let (deals, edges) = trading::trade(&places, &grid, &solution, &matches)?;
    drop(matches);
    let zones = trading::zones(&places, &grid, &solution)?;
    let view = answering::View { places: &places, grid: &grid, solution: &solution, zones: &zones };
    let (verdicts, welfare) = view.verdicts()?;
    let volume = Energy::sum(zones.iter().map(|zone| zone.bought))?;
    let mut zones: Vec<_> = zones.iter().copied().collect();
    zones.sort_unstable_by_key(|zone| zone.zone);
    Ok(Outcome { zones, edges, volume, welfare, deals, verdicts })
}
