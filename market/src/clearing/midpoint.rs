//! Pair midpoints, of the pay-as-bid family: the same energy trades as in the auction of one zone,
//! but each pair of bid and offer at a price of its own.
//!
//! - **Quantities** are those of the auction: everything better than the marginal limit of its
//!   side, and pro rata by largest remainder at that limit.
//! - **Pairs**: the highest bid meets the lowest offer, watt-hour by watt-hour in merit order.
//!   Equal limits stand side by side in it: whatever they meet together, each gets its part of, pro
//!   rata to what it still trades, by largest remainder. So whom one meets, which decides what one
//!   pays, is no lottery; a lot, by SHA-256(order id, salt), falls for single watt-hours only.
//!   Preferences for partners and origins do not count.
//! - **Price** of a pair: the middle of its two limits, rounded down to the tick, but never below
//!   the offer's limit. Bid and offer pay and get the same; k has no say.
//! - The stated price of all zones is the mean of all trades by energy, rounded half to even.
//!
//! Nobody trades beyond a limit, and no bid and offer are left over that reach each other. But an
//! order that states its true limit pays for it: whoever bids less pays less. That is why the
//! auction is the community's usual choice.

use crate::Overflow;
use crate::answer::Reason;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::merit::{Pair, Rung, Sweep, cross, filled, merit, name};
use crate::clearing::places::index;
use crate::clearing::ration::{Claim, ration};
use crate::clearing::single::{Decision, Left, Market};
use crate::clearing::{ClearingError, ClearingResult, Mechanism, Terms};
use crate::hash::Digest;
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
        let pairs = pairs(book, buying, selling)?;
        let deals = pairs.into_iter().map(deal).collect::<Result<Vec<_>, Overflow>>()?;
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

/// Who meets whom: limit by limit in merit order, and the orders of one limit side by side.
fn pairs(
    book: &SealedBook,
    mut buying: Vec<Rung>,
    mut selling: Vec<Rung>,
) -> Result<Vec<Pair>, Overflow> {
    let (bids, offers) = (levels(&buying)?, levels(&selling)?);
    let (mut buying, mut selling) = (by_limit(&mut buying), by_limit(&mut selling));
    let mut pairs = Vec::new();
    for Pair { bid, offer, energy } in Sweep::of(&bids, &offers) {
        let of_bids = take(&mut buying, bid.number, energy, book.bids(), book.salt())?;
        let of_offers = take(&mut selling, offer.number, energy, book.offers(), book.salt())?;
        pairs.extend(Sweep::of(&of_bids, &of_offers));
    }
    Ok(pairs)
}

fn by_limit(rungs: &mut [Rung]) -> Vec<&mut [Rung]> {
    rungs.chunk_by_mut(|one, next| one.limit == next.limit).collect()
}

/// All of one limit as one, numbered by merit.
fn levels(rungs: &[Rung]) -> Result<Vec<Rung>, Overflow> {
    let failed = Overflow::of("the energy of a zone");
    let equals = rungs.chunk_by(|one, next| one.limit == next.limit);
    let level = |(number, equals): (u32, &[Rung])| {
        let energy = equals.iter().try_fold(0_i64, |sum, rung| sum.checked_add(rung.energy));
        let limit = equals.first().map(|rung| rung.limit).unwrap_or_default();
        Ok(Rung { limit, energy: energy.ok_or(failed)?, number })
    };
    (0_u32..).zip(equals).map(level).collect()
}

/// Takes so much from all of one limit, pro rata to what each still has.
fn take(
    levels: &mut [&mut [Rung]],
    number: u32,
    energy: i64,
    orders: &[BookedOrder],
    salt: &Digest,
) -> Result<Vec<Rung>, Overflow> {
    let Some(equals) = levels.get_mut(index(number)) else { return Ok(Vec::new()) };
    let claim = |rung: &Rung| Claim { who: rung.number, energy: rung.energy };
    let claims: Vec<_> = equals.iter().map(claim).collect();
    let id = |number: &u32| name(orders, *number).unwrap_or_default();
    let mut taken = Vec::with_capacity(claims.len());
    for (rung, share) in equals.iter_mut().zip(ration(&claims, energy, salt, id)?) {
        rung.energy = rung.energy.saturating_sub(share);
        if share > 0 {
            taken.push(Rung { energy: share, ..*rung });
        }
    }
    Ok(taken)
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
