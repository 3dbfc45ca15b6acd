//! The outcome of an auction in its shortest form, by the numbers of the orders in the book.

use rayon::prelude::*;

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::{ClearingResult, EdgeResult, PARALLEL_FROM, ZoneResult};
use crate::energy::Energy;
use crate::money::Money;
use crate::order::Side;
use crate::price::Price;
use crate::trade::{Path, Trade};
use crate::zone::ZoneId;

/// Everything that an auction decides. [`Outcome::write_out`] puts the names of orders and parties
/// to it; nothing is decided there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One for each zone, by number.
    pub zones: Vec<ZoneResult>,
    /// One for each zone but the root, by number.
    pub edges: Vec<EdgeResult>,
    /// How much was traded.
    pub volume: Energy,
    /// See [`ClearingResult::welfare`].
    pub welfare: Money,
    /// Who trades with whom.
    pub deals: Vec<Deal>,
    /// One for every order: bids, then offers, both as in the book.
    pub verdicts: Vec<Verdict>,
}

/// A trade between two orders of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deal {
    /// Which of the book's offers.
    pub offer: u32,
    /// Which of the book's bids.
    pub bid: u32,
    /// How much; always positive.
    pub energy: Energy,
    /// What the seller gets per kWh.
    pub seller_price: Price,
    /// What the buyer pays per kWh.
    pub buyer_price: Price,
    /// Wheeling charges on the way.
    pub charge: Money,
    /// The highest zone on the way.
    pub over: ZoneId,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How much was filled.
    pub filled: Energy,
    /// Why not more.
    pub reason: Reason,
}

impl Outcome {
    /// The result for the ledger: trades and answers with the names of orders and parties.
    ///
    /// # Errors
    /// [`Overflow`] if an amount leaves its range.
    pub fn write_out(self, book: &SealedBook) -> Result<ClearingResult, Overflow> {
        let trades = if self.deals.len() < PARALLEL_FROM {
            self.deals.iter().filter_map(|deal| trade(book, deal)).collect::<Result<_, _>>()?
        } else {
            self.deals.par_iter().filter_map(|deal| trade(book, deal)).collect::<Result<_, _>>()?
        };
        let answers = self.answers(book);
        let Self { zones, edges, volume, welfare, .. } = self;
        let (period, gate) = (book.period(), book.gate());
        Ok(ClearingResult { period, gate, zones, edges, volume, welfare, trades, answers })
    }

    fn answers(&self, book: &SealedBook) -> Vec<Answer> {
        let crossed = book.crossed().iter().map(|(side, order)| {
            let verdict = Verdict { filled: Energy::ZERO, reason: Reason::OwnOrderOpposite };
            self.answer(book, order, *side, verdict)
        });
        let (bids, offers) = self.verdicts.split_at_checked(book.bids().len()).unwrap_or_default();
        let count = self.verdicts.len().saturating_add(book.crossed().len());
        let mut answers = Vec::with_capacity(count);
        for (side, orders, verdicts) in
            [(Side::Buy, book.bids(), bids), (Side::Sell, book.offers(), offers)]
        {
            let answer = |(order, verdict): (&BookedOrder, &Verdict)| {
                self.answer(book, order, side, *verdict)
            };
            if orders.len() < PARALLEL_FROM {
                answers.extend(orders.iter().zip(verdicts).map(answer));
            } else {
                answers.par_extend(orders.par_iter().zip(verdicts).map(answer));
            }
        }
        answers.extend(crossed);
        answers
    }

    fn answer(
        &self,
        book: &SealedBook,
        order: &BookedOrder,
        side: Side,
        verdict: Verdict,
    ) -> Answer {
        let at = self.zones.binary_search_by_key(&order.zone, |zone| zone.zone).ok();
        let sum = order.steps.iter().fold(0_i64, |sum, step| sum.saturating_add(step.energy.wh()));
        Answer {
            order: order.id,
            party: order.party,
            side,
            period: book.period(),
            gate: book.gate(),
            ordered: Energy::from_wh(sum),
            filled: verdict.filled,
            price: at.and_then(|at| self.zones.get(at)?.price),
            averaged: false,
            reason: verdict.reason,
        }
    }
}

/// The trade of a deal; `None` for numbers that are not in the book, which an auction never gives.
pub(super) fn trade(book: &SealedBook, deal: &Deal) -> Option<Result<Trade, Overflow>> {
    let offer = book.offers().get(usize::try_from(deal.offer).ok()?)?;
    let bid = book.bids().get(usize::try_from(deal.bid).ok()?)?;
    Some(deal.between(book, offer, bid))
}

impl Deal {
    fn between(
        &self,
        book: &SealedBook,
        offer: &BookedOrder,
        bid: &BookedOrder,
    ) -> Result<Trade, Overflow> {
        let seller_amount = self.seller_price.amount_for(self.energy)?;
        let buyer_amount = self.buyer_price.amount_for(self.energy)?;
        Ok(Trade {
            period: book.period(),
            gate: book.gate(),
            seller: offer.party,
            buyer: bid.party,
            offer: offer.id,
            bid: bid.id,
            energy: self.energy,
            seller_price: self.seller_price,
            buyer_price: self.buyer_price,
            seller_amount,
            buyer_amount,
            charge: self.charge,
            rent: buyer_amount.minus(seller_amount)?.minus(self.charge)?,
            path: Path { from: offer.zone, over: self.over, to: bid.zone },
            origin: offer.preferences.origin,
        })
    }
}
