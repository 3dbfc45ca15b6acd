//! Who trades with whom: named partners first, then matching origin, then by merit of place in the
//! book. Quantities and the price are already fixed, so this moves no money between neighbours.

use std::collections::BTreeMap;

use crate::Overflow;
use crate::book::{BookedOrder, SealedBook};
use crate::energy::Energy;
use crate::member::PartyId;
use crate::money::Money;
use crate::order::Origin;
use crate::price::Price;
use crate::trade::Trade;

/// Turns fills into trades. Every trade exhausts an order, and the last one exhausts two, so there
/// are fewer trades than filled orders.
///
/// # Errors
/// [`Overflow`] if an amount leaves its range.
pub(super) fn pair(
    book: &SealedBook,
    bid_fills: &[Energy],
    offer_fills: &[Energy],
    price: Price,
) -> Result<Vec<Trade>, Overflow> {
    let (bids, offers) = (Open::new(book.bids(), bid_fills), Open::new(book.offers(), offer_fills));
    let trades = Vec::with_capacity(bids.orders.len().saturating_add(offers.orders.len()));
    let mut pairing = Pairing { book, price, bids, offers, trades };
    pairing.partners()?;
    for origin in [Origin::Solar, Origin::Battery] {
        let prefers = |order: &BookedOrder| order.preferences.origin == Some(origin);
        pairing.sweep(prefers)?;
    }
    pairing.sweep(|_| true)?;
    Ok(pairing.trades)
}

/// The filled orders of one side, with what is not yet paired.
struct Open<'a> {
    orders: Vec<(&'a BookedOrder, Energy)>,
}

impl<'a> Open<'a> {
    fn new(orders: &'a [BookedOrder], fills: &[Energy]) -> Self {
        let filled = orders.iter().zip(fills.iter().copied());
        Self { orders: filled.filter(|(_, energy)| energy.is_positive()).collect() }
    }

    fn by_party(&self) -> BTreeMap<PartyId, usize> {
        self.orders.iter().enumerate().map(|(at, (order, _))| (order.party, at)).collect()
    }
}

struct Pairing<'a> {
    book: &'a SealedBook,
    price: Price,
    bids: Open<'a>,
    offers: Open<'a>,
    trades: Vec<Trade>,
}

impl Pairing<'_> {
    /// Named partners, the buyers' wishes before the sellers', each in the order of its list.
    fn partners(&mut self) -> Result<(), Overflow> {
        let names_any =
            |(order, _): &(&BookedOrder, Energy)| !order.preferences.partners.is_empty();
        let wished = self.bids.orders.iter().any(names_any);
        if !wished && !self.offers.orders.iter().any(names_any) {
            return Ok(());
        }
        let (buyers, sellers) = (self.bids.by_party(), self.offers.by_party());
        let mut wishes = Vec::new();
        for (at, (order, _)) in self.bids.orders.iter().enumerate() {
            let partners = order.preferences.partners.iter();
            wishes.extend(partners.filter_map(|party| Some((at, *sellers.get(party)?))));
        }
        for (at, (order, _)) in self.offers.orders.iter().enumerate() {
            let partners = order.preferences.partners.iter();
            wishes.extend(partners.filter_map(|party| Some((*buyers.get(party)?, at))));
        }
        wishes.into_iter().try_for_each(|(bid, offer)| self.trade(bid, offer))
    }

    /// Pairs the chosen bids with the chosen offers, both in the book's order, until one side is
    /// used up.
    fn sweep(&mut self, chosen: impl Fn(&BookedOrder) -> bool) -> Result<(), Overflow> {
        let (mut bid, mut offer) = (0_usize, 0_usize);
        while let (Some((buyer, wanted)), Some((seller, left))) =
            (self.bids.orders.get(bid), self.offers.orders.get(offer))
        {
            if wanted.is_zero() || !chosen(buyer) {
                bid = bid.saturating_add(1);
            } else if left.is_zero() || !chosen(seller) {
                offer = offer.saturating_add(1);
            } else if buyer.party == seller.party {
                // A sealed book never fills both; whatever else comes in must not go on for ever.
                offer = offer.saturating_add(1);
            } else {
                self.trade(bid, offer)?;
            }
        }
        Ok(())
    }

    /// Trades as much as both have left.
    fn trade(&mut self, bid: usize, offer: usize) -> Result<(), Overflow> {
        let (Some((buyer, wanted)), Some((seller, left))) =
            (self.bids.orders.get_mut(bid), self.offers.orders.get_mut(offer))
        else {
            return Ok(());
        };
        let energy = (*wanted).min(*left);
        if !energy.is_positive() || buyer.party == seller.party {
            return Ok(());
        }
        *wanted = wanted.minus(energy)?;
        *left = left.minus(energy)?;
        let amount = self.price.amount_for(energy)?;
        self.trades.push(Trade {
            period: self.book.period(),
            gate: self.book.gate(),
            seller: seller.party,
            buyer: buyer.party,
            offer: seller.id,
            bid: buyer.id,
            energy,
            seller_price: self.price,
            buyer_price: self.price,
            seller_amount: amount,
            buyer_amount: amount,
            charge: Money::ZERO,
            origin: seller.preferences.origin,
        });
        Ok(())
    }
}
