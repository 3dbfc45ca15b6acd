//! Pair midpoints, of the pay-as-bid family: the same energy trades as in the auction of one zone,
//! but each pair of bid and offer at a price of its own.
//!
//! - **Quantities** are those of the auction: everything better than the marginal limit of its
//!   side, and pro rata by largest remainder at that limit.
//! - **Pairs**: the highest bid meets the lowest offer, watt-hour by watt-hour in merit order;
//!   equal limits stand in it by SHA-256(order id, salt), whole orders one behind the other. Because
//!   whom one meets decides what one pays, preferences for partners and origins do not count.
//! - **Price** of a pair: the middle of its two limits, rounded down to the tick, but never below
//!   the offer's limit. Bid and offer pay and get the same; k has no say.
//! - The stated price of all zones is the mean of all trades by energy, rounded half to even.
//!
//! Nobody trades beyond a limit, and no bid and offer are left over that reach each other. But an
//! order that states its true limit pays for it: whoever bids less pays less. That is why the
//! auction is the community's usual choice.

use crate::Overflow;
use crate::answer::Reason;
use crate::book::SealedBook;
use crate::clearing::merit::{Pair, Sweep, cross, filled, merit};
use crate::clearing::single::{Decision, Left, Market};
use crate::clearing::{ClearingError, ClearingResult, Mechanism, Terms};
use crate::order::Side;
use crate::price::{Price, Tick};

/// Pair midpoints.
pub(super) struct PairMidpoints;

/// One half in millionths.
const HALF: u32 = 500_000;

impl Mechanism for PairMidpoints {
    fn clear(&self, book: &SealedBook, terms: &Terms<'_>) -> Result<ClearingResult, ClearingError> {
        let market = Market::open(book, terms.zones)?;
        let bids = merit(book.bids(), Side::Buy, book.salt());
        let offers = merit(book.offers(), Side::Sell, book.salt());
        let Some(crossing) = cross(&bids, &offers)? else {
            return market.write_out(&Decision::nothing(), |_| Reason::NoTrade);
        };
        let (volume, salt) = (crossing.volume, book.salt());
        let (last_bid, last_offer) = (crossing.bids.last.limit, crossing.offers.last.limit);
        let buying = filled(&bids, last_bid, volume, book.bids(), salt)?;
        let selling = filled(&offers, last_offer, volume, book.offers(), salt)?;
        let deal = |Pair { bid, offer, energy }| {
            let price = midpoint(limit(offer.limit), limit(bid.limit), terms.tick)?;
            Ok(market.deal(bid.number, offer.number, energy, price))
        };
        let deals = Sweep::of(&buying, &selling).map(deal).collect::<Result<Vec<_>, Overflow>>()?;
        let price = Price::mean(deals.iter().map(|deal| (deal.buyer_price, deal.energy)))?;
        let decision = Decision { deals, price, ..Decision::nothing() };
        market.write_out(&decision, |left: &Left| {
            let marginal = match left.side {
                Side::Buy => last_bid,
                Side::Sell => last_offer,
            };
            if left.limit == limit(marginal) {
                Reason::Rationed
            } else {
                Reason::NobodyLeft { limit: left.limit }
            }
        })
    }
}

fn limit(micros: i64) -> Price {
    Price::from_micros_per_kwh(micros)
}

/// The middle of two limits, down to the tick, but not below the lower one.
///
/// # Errors
/// [`Overflow`] at the ends of the range.
pub(super) fn midpoint(low: Price, high: Price, tick: Tick) -> Result<Price, Overflow> {
    Ok(low.between(high, HALF, tick)?.max(low))
}
