//! The laws of a clearing that are cheap enough to be checked in every release build: everything
//! that can be judged from the book, the grid and the result without clearing again.

mod grid;
mod midpoint;
mod reduction;
mod sharing;
mod single;
mod standing;
mod trades;

use crate::Overflow;
use crate::answer::Answer;
use crate::book::SealedBook;
use crate::clearing::{ClearingError, ClearingResult, MechanismKind, Terms};
use crate::energy::Energy;
use crate::grid::Grid;
use crate::member::PartyId;
use crate::money::Money;
use crate::order::{OrderId, Side};
use crate::price::Price;
use crate::trade::Trade;
use crate::zone::ZoneId;
use standing::Standing;

/// A law that a result breaks. It can only come from a defect of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLaw {
    /// The result is of another period or gate than the book.
    #[error("the result is not of the book's period and gate")]
    OtherBook,
    /// Two orders of the book have one name.
    #[error("order {0} stands in the book twice")]
    OrderTwice(OrderId),
    /// The result does not name each zone and each edge exactly once, by number.
    #[error("the result does not name each zone and each edge of the grid once")]
    OtherGrid,
    /// An order stands in a zone that the grid does not have.
    #[error(transparent)]
    Book(#[from] ClearingError),
    /// A zone without trade or flow has a price, or one with either has none.
    #[error("zone {}: its price is {price:?}, which does not fit what was traded there", zone.0)]
    PriceWithoutTrade {
        /// The zone.
        zone: ZoneId,
        /// The stated price.
        price: Option<Price>,
    },
    /// What a zone sells, buys and exchanges with its neighbours does not add up (A2).
    #[error("zone {}: sold {sold:?}, bought {bought:?}, but {exported:?} flows out", zone.0)]
    Unbalanced {
        /// The zone.
        zone: ZoneId,
        /// By its offers.
        sold: Energy,
        /// By its bids.
        bought: Energy,
        /// Net, over all its edges.
        exported: Energy,
    },
    /// More flows than an edge can carry.
    #[error("zone {}: {flow:?} flows over its edge, more than its capacity", zone.0)]
    OverCapacity {
        /// The zone below the edge.
        zone: ZoneId,
        /// The flow, up positive.
        flow: Energy,
    },
    /// The prices on both sides of an edge do not fit its charge and flow.
    #[error(
        "zone {}: price {below} below and {above} above its edge do not fit its charge and flow",
        zone.0
    )]
    WrongPriceDifference {
        /// The zone below the edge.
        zone: ZoneId,
        /// Its price.
        below: Price,
        /// The price of the zone above.
        above: Price,
    },
    /// An order is filled beyond its energy, or beyond its limit (A1).
    #[error("order {order} is filled {filled:?}, its limits at price {price:?} allow {allowed:?}")]
    BeyondLimit {
        /// The order.
        order: OrderId,
        /// What it was filled.
        filled: Energy,
        /// The price of its zone.
        price: Option<Price>,
        /// What its steps allow at that price.
        allowed: Energy,
    },
    /// An order whose limit is better than the price went short.
    #[error(
        "order {order} is filled {filled:?}, but {due:?} of it has a better limit than {price:?}"
    )]
    LeftOut {
        /// The order.
        order: OrderId,
        /// What it was filled.
        filled: Energy,
        /// What its steps with a better limit than the price ask for.
        due: Energy,
        /// The price of its zone.
        price: Option<Price>,
    },
    /// A bid and an offer are left over that both would want, charges included, and the edges
    /// between them have room (A4).
    #[error("in zone {} a bid at {bid} and an offer at {offer} are both left over", zone.0)]
    UnmatchedPair {
        /// Where they would meet.
        zone: ZoneId,
        /// The best limit left among bids there.
        bid: Price,
        /// The best limit left among offers that reach it, charges included.
        offer: Price,
    },
    /// Among equals at the margin of a zone a share is too far off its part (A6).
    #[error("order {order} gets {share:?} at the margin for its {claim:?}: not pro rata")]
    NotProRata {
        /// The order.
        order: OrderId,
        /// What it asks for at exactly the clearing price.
        claim: Energy,
        /// What it was filled of that.
        share: Energy,
    },
    /// A trade that is not between a bid and an offer of the book, of two parties, for some energy,
    /// at the prices of their zones, over the shortest way.
    #[error("the trade of bid {bid} with offer {offer} is not one of this book at these prices")]
    WrongTrade {
        /// The bid it names.
        bid: OrderId,
        /// The offer it names.
        offer: OrderId,
    },
    /// The trades of an order do not add up to its fill.
    #[error("the trades of order {order} sum to {traded:?}, it is filled {filled:?}")]
    TradesDifferFromFill {
        /// The order.
        order: OrderId,
        /// By its trades.
        traded: Energy,
        /// By its fill.
        filled: Energy,
    },
    /// The trades that cross an edge are not its flow.
    #[error("zone {}: trades over its edge sum to {traded:?}, its flow is {flow:?}", zone.0)]
    TradesDifferFromFlow {
        /// The zone below the edge.
        zone: ZoneId,
        /// By the trades, up positive.
        traded: Energy,
        /// As stated.
        flow: Energy,
    },
    /// A trade's money does not add up, or is not what its way costs (A3).
    #[error("buyers pay {paid}, sellers get {received}, charges are {charge} and rent {rent}")]
    MoneyLost {
        /// By buyers.
        paid: Money,
        /// By sellers.
        received: Money,
        /// The wheeling charges.
        charge: Money,
        /// The congestion rent.
        rent: Money,
    },
    /// What an edge earns is not what the trades over it leave there.
    #[error("zone {}: its edge states a charge of {charge} and a rent of {rent}", zone.0)]
    WrongToll {
        /// The zone below the edge.
        zone: ZoneId,
        /// The stated charge.
        charge: Money,
        /// The stated rent.
        rent: Money,
    },
    /// Not every order is answered exactly once.
    #[error("{orders} orders stand in the book, {answers} are answered")]
    Unanswered {
        /// In the book.
        orders: usize,
        /// Answered.
        answers: usize,
    },
    /// An answer that does not say what happened, or a second one.
    #[error("the answer to order {0} is not what became of it")]
    WrongAnswer(OrderId),
    /// The stated volume is not that of the fills.
    #[error("bids are filled {filled:?}, stated is a volume of {stated:?}")]
    WrongVolume {
        /// As stated.
        stated: Energy,
        /// By bids.
        filled: Energy,
    },
    /// The stated welfare is not that of the fills and flows.
    #[error("the fills are worth {computed}, stated is {stated}")]
    WrongWelfare {
        /// As stated.
        stated: Money,
        /// From the fills and flows.
        computed: Money,
    },
    /// The pairs do not trade at the middle of their limits.
    #[error("the pairs together do not trade at the middle of their limits")]
    NotMidpoints,
    /// The price of a side is not the limit of an order that stays out.
    #[error("the price {price} is not set by an order of its side that does not trade")]
    SetsOwnPrice {
        /// Bids or offers.
        side: Side,
        /// Their price.
        price: Price,
    },
    /// A party is allotted more than its static share.
    #[error("party {party} is allotted {allotted:?} of {produced:?}, more than its share")]
    BeyondEntitlement {
        /// The party.
        party: PartyId,
        /// What its bids get.
        allotted: Energy,
        /// All that takes part.
        produced: Energy,
    },
    /// A key left something over that it would share.
    #[error("of {produced:?} for {wanted:?} only {shared:?} is shared")]
    NotShared {
        /// All offers that take part.
        produced: Energy,
        /// All bids that take part.
        wanted: Energy,
        /// What is shared.
        shared: Energy,
    },
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// Checks the result of a mechanism against its book and grid.
///
/// # Errors
/// [`BrokenLaw`] names the first law that does not hold.
pub fn check(
    book: &SealedBook,
    mechanism: &MechanismKind,
    terms: &Terms<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    match mechanism {
        MechanismKind::ZonalAuction => check_zonal(book, terms, result),
        MechanismKind::PairMidpoints => midpoint::check(book, terms, result),
        MechanismKind::TradeReduction => reduction::check(book, terms, result),
        MechanismKind::Sharing(rule) => sharing::check(book, rule, terms, result),
    }
}

/// Checks the result of a zonal auction against its book and grid: every law of [`BrokenLaw`].
///
/// Together they say that the result is an optimum: fills that the prices support, and prices that
/// differ across an edge by its charge unless it is full or unused, are the conditions of
/// optimality of the linear programme (complementary slackness).
///
/// # Errors
/// [`BrokenLaw`] names the first one that does not hold.
pub fn check_zonal(
    book: &SealedBook,
    terms: &Terms<'_>,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    if result.period != book.period() || result.gate != book.gate() {
        return Err(BrokenLaw::OtherBook);
    }
    let grid = Grid::of(terms.zones);
    let view = grid::read(&grid, result)?;
    let mut standings = standing::read(book, result, &grid)?;
    grid::check_balances(&grid, &view, &standings)?;
    grid::check_edges(&grid, &view)?;
    for standing in standings.values() {
        standing::check_limits(standing, view.zones[standing.node].price)?;
    }
    grid::check_no_pair_left(&grid, &view, &standings)?;
    for side in [Side::Buy, Side::Sell] {
        standing::check_margins(&grid, &view, &standings, side)?;
    }
    let priced = |trade: &Trade, bid: &Standing<'_>, offer: &Standing<'_>| {
        Some(trade.buyer_price) == view.zones[bid.node].price
            && Some(trade.seller_price) == view.zones[offer.node].price
    };
    trades::check(&grid, &view, result, &mut standings, &priced)?;
    trades::check_tolls(&grid, &view, result)?;
    let price = |standing: &Standing<'_>| Ok((view.zones[standing.node].price, false));
    let holds = |answer: &Answer, _: &Standing<'_>, left| standing::holds(answer, &view, left);
    standing::check_answers(&standings, result, price, holds)?;
    standing::check_sums(&grid, &view, &standings, result)
}
