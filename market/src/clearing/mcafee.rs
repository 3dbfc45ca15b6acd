//! McAfee's trade reduction for orders of any size: who states a true limit never regrets it, and
//! the community never pays in. Some of the possible trade is the price of that.
//!
//! **Merit order.** The steps of all bids by falling and of all offers by rising limit; equal
//! limits by SHA-256(order id, salt). The crossing is the largest energy at whose end the bid's
//! limit is not below the offer's; the steps there are the *marginal steps*, and the orders that
//! they belong to, with all their steps, the *marginal orders*.
//!
//! **Price from outside** (McAfee 1992). If both marginal steps trade in full, and each side has a
//! next step, let p be the middle of the two next limits, rounded down to the tick but not below
//! the next bid. If p lies between the limits of the marginal steps, everything within the crossing
//! trades at p, the marginal orders too.
//!
//! **Trade reduction** (Huang, Scheller-Wolf and Sycara 2002) otherwise: both marginal orders stay
//! out as a whole, because an order that sets a price must not trade at it. What the others have
//! within the crossing trades: buyers pay the limit of the marginal bid step, sellers get that of
//! the marginal offer step, and the difference stays with the community ([`crate::trade::Trade`],
//! `rent`). The side that has more left is rationed pro rata to what each order has within the
//! crossing, by largest remainder, odd watt-hours by SHA-256(order id, salt).
//!
//! For orders of one step no order gains by misstating its limit, whatever the others say: within
//! the crossing its limit moves neither price nor quantity, and outside it could only trade at a
//! loss. A curve of several steps can gain by understating its later steps: whichever of them is
//! marginal costs it the better ones too.
//!
//! Who trades with whom moves no money here and is decided as in the auction, preferences first.

use crate::Overflow;
use crate::answer::Reason;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::merit::{Crossing, Rung, cross, merit, name};
use crate::clearing::midpoint::midpoint;
use crate::clearing::places::index;
use crate::clearing::ration::{Claim, ration};
use crate::clearing::single::{Decision, Left, Market};
use crate::clearing::{ClearingError, ClearingResult, Mechanism, Terms};
use crate::hash::Digest;
use crate::order::Side;
use crate::price::{Price, Tick};

/// McAfee's trade reduction.
pub(super) struct TradeReduction;

impl Mechanism for TradeReduction {
    fn clear(&self, book: &SealedBook, terms: &Terms<'_>) -> Result<ClearingResult, ClearingError> {
        let market = Market::open(book, terms.zones)?;
        let bids = merit(book.bids(), Side::Buy, book.salt());
        let offers = merit(book.offers(), Side::Sell, book.salt());
        let Some(crossing) = cross(&bids, &offers)? else {
            return market.write_out(&Decision::nothing(), |_| Reason::NoTrade);
        };
        if let Some(price) = price_from_outside(&crossing, terms.tick)? {
            let buying = by_order(crossing.bids.inside, None, book.bids().len());
            let selling = by_order(crossing.offers.inside, None, book.offers().len());
            let deals = market.allot(&buying, &selling, price, price)?;
            return market.write_out(&Decision::at(price, deals), beyond);
        }
        reduce(&market, &crossing, terms.tick)
    }
}

/// The middle of the first limits that do not trade, if nobody who trades would mind it.
fn price_from_outside(crossing: &Crossing<'_>, tick: Tick) -> Result<Option<Price>, Overflow> {
    let (Some(bid), Some(offer)) = (crossing.bids.next, crossing.offers.next) else {
        return Ok(None);
    };
    let price = midpoint(limit(bid), limit(offer), tick)?;
    let (lowest, highest) = (limit(crossing.offers.last), limit(crossing.bids.last));
    Ok(Some(price).filter(|price| (lowest..=highest).contains(price)))
}

fn reduce(
    market: &Market<'_>,
    crossing: &Crossing<'_>,
    tick: Tick,
) -> Result<ClearingResult, ClearingError> {
    let (book, salt) = (market.book, market.book.salt());
    let (last_bid, last_offer) = (crossing.bids.last, crossing.offers.last);
    let wanted = by_order(crossing.bids.inside, Some(last_bid.number), book.bids().len());
    let offered = by_order(crossing.offers.inside, Some(last_offer.number), book.offers().len());
    let volume = sum(&wanted)?.min(sum(&offered)?);
    let buying = cut(&wanted, volume, book.bids(), salt)?;
    let selling = cut(&offered, volume, book.offers(), salt)?;
    let (buyer_price, seller_price) = (limit(last_bid), limit(last_offer));
    let deals = market.allot(&buying, &selling, buyer_price, seller_price)?;
    let traded = !deals.is_empty();
    let decision = Decision {
        deals,
        price: Some(midpoint(seller_price, buyer_price, tick)?).filter(|_| traded),
        for_bids: Some(buyer_price).filter(|_| traded),
        for_offers: Some(seller_price).filter(|_| traded),
    };
    market.write_out(&decision, |left: &Left| {
        let (marginal, filled, inside) = match left.side {
            Side::Buy => (last_bid, &buying, &wanted),
            Side::Sell => (last_offer, &selling, &offered),
        };
        let (filled, inside) = (filled.get(index(left.number)), inside.get(index(left.number)));
        if left.number == marginal.number {
            Reason::PriceSetting { limit: limit(marginal) }
        } else if filled < inside {
            Reason::Rationed
        } else {
            beyond(left)
        }
    })
}

/// Why a step outside the crossing does not trade.
fn beyond(left: &Left) -> Reason {
    match left.price {
        None => Reason::NoTrade,
        Some(price) if price == left.limit => Reason::PriceSetting { limit: price },
        Some(_) => Reason::LimitNotReached { limit: left.limit },
    }
}

fn limit(rung: Rung) -> Price {
    Price::from_micros_per_kwh(rung.limit)
}

/// By number, what each order has among these steps, but nothing for `without`. Together that is at
/// most the volume of the crossing, which was found to fit.
fn by_order(rungs: &[Rung], without: Option<u32>, count: usize) -> Vec<i64> {
    let mut energies = vec![0_i64; count];
    for rung in rungs.iter().filter(|rung| Some(rung.number) != without) {
        if let Some(energy) = energies.get_mut(index(rung.number)) {
            *energy = energy.saturating_add(rung.energy);
        }
    }
    energies
}

fn sum(energies: &[i64]) -> Result<i64, Overflow> {
    let failed = Overflow::of("the energy of a zone");
    energies.iter().try_fold(0_i64, |sum, energy| sum.checked_add(*energy)).ok_or(failed)
}

/// Cuts one side back to `volume`, pro rata.
fn cut(
    energies: &[i64],
    volume: i64,
    orders: &[BookedOrder],
    salt: &Digest,
) -> Result<Vec<i64>, Overflow> {
    let claims = (0_u32..).zip(energies).filter(|(_, energy)| **energy > 0);
    let claims: Vec<_> = claims.map(|(who, energy)| Claim { who, energy: *energy }).collect();
    let id = |number: &u32| name(orders, *number).unwrap_or_default();
    let mut parts = vec![0; energies.len()];
    for (claim, share) in claims.iter().zip(ration(&claims, volume, salt, id)?) {
        if let Some(part) = parts.get_mut(index(claim.who)) {
            *part = share;
        }
    }
    Ok(parts)
}
