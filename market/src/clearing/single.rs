//! One market over the whole grid, for mechanisms that know no edges: from deals to a result.
//!
//! Such a mechanism may stand over several zones as long as energy flows freely between them: no
//! edge has a charge or a capacity.

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::allocation::{Match, allocate};
use crate::clearing::places::{Places, index};
use crate::clearing::zonal::Fill;
use crate::clearing::{ClearingError, ClearingResult, Deal, EdgeResult, ZoneResult, outcome};
use crate::energy::Energy;
use crate::grid::{Grid, PerZone};
use crate::money::Money;
use crate::order::Side;
use crate::price::Price;
use crate::trade::Trade;
use crate::zone::ZoneTree;

/// A book over a grid without edges that bind.
pub(super) struct Market<'a> {
    pub(super) book: &'a SealedBook,
    grid: Grid,
}

/// What a mechanism decided.
pub(super) struct Decision {
    /// All trades.
    pub(super) deals: Vec<Deal>,
    /// One price for everybody, for zones where something is traded or conveyed. Where there are
    /// several, a mean.
    pub(super) price: Option<Price>,
    /// What bids that trade nothing are told as the price.
    pub(super) for_bids: Option<Price>,
    /// What offers that trade nothing are told as the price.
    pub(super) for_offers: Option<Price>,
}

impl Decision {
    /// Nobody trades.
    pub(super) fn nothing() -> Self {
        Self { deals: Vec::new(), price: None, for_bids: None, for_offers: None }
    }

    /// One price for both sides.
    pub(super) fn at(price: Price, deals: Vec<Deal>) -> Self {
        if deals.is_empty() {
            return Self::nothing();
        }
        Self { deals, price: Some(price), for_bids: Some(price), for_offers: Some(price) }
    }

    fn told(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.for_bids,
            Side::Sell => self.for_offers,
        }
    }
}

/// An order that is not filled to the end.
pub(super) struct Left {
    pub(super) side: Side,
    /// Which of the book's orders on this side.
    pub(super) number: u32,
    /// The limit of its best step that is not filled to the end.
    pub(super) limit: Price,
    /// What its side is told as the price.
    pub(super) price: Option<Price>,
}

/// What one order trades.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Wh.
    energy: i64,
    /// Price x energy, in thousandths of a micro-unit.
    amount: i128,
    /// The price of its last trade.
    price: Option<Price>,
    /// Whether another trade had another price.
    several: bool,
}

impl Tally {
    fn add(&mut self, price: Price, energy: Energy) -> Result<(), Overflow> {
        let failed = Overflow::of("the trades of an order");
        self.energy = self.energy.checked_add(energy.wh()).ok_or(failed)?;
        let part = i128::from(price.micros_per_kwh()).checked_mul(i128::from(energy.wh()));
        self.amount = part.and_then(|part| self.amount.checked_add(part)).ok_or(failed)?;
        self.several |= self.price.is_some_and(|other| other != price);
        self.price = Some(price);
        Ok(())
    }
}

impl<'a> Market<'a> {
    /// # Errors
    /// [`ClearingError::EdgeBinds`] if an edge has a charge or a capacity, and what is wrong with
    /// the book.
    pub(super) fn open(book: &'a SealedBook, zones: &ZoneTree) -> Result<Self, ClearingError> {
        if let Some(zone) = zones.first_binding_edge() {
            return Err(ClearingError::EdgeBinds { zone });
        }
        let grid = Grid::of(zones);
        let most = book.bids().len().max(book.offers().len());
        u32::try_from(most).map_err(|_| ClearingError::TooLarge)?;
        let crossed = book.crossed().iter().map(|(_, order)| order);
        for order in book.bids().iter().chain(book.offers()).chain(crossed) {
            let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
            grid.node(order.zone).ok_or(unknown)?;
        }
        Ok(Self { book, grid })
    }

    /// Decides who trades with whom where that moves no money, as the auction does: bids by number
    /// get `bids` Wh each, offers sell `offers`, all at these prices.
    pub(super) fn allot(
        &self,
        bids: &[i64],
        offers: &[i64],
        buyer_price: Price,
        seller_price: Price,
    ) -> Result<Vec<Deal>, ClearingError> {
        let places = Places::of(self.book, &self.grid)?;
        let mut fills = vec![Fill::default(); places.len()];
        for (number, energy) in (0_u32..).zip(bids.iter().chain(offers)) {
            if let Some(fill) = fills.get_mut(index(places.place(number))) {
                fill.energy = *energy;
            }
        }
        let matches = allocate(self.book, &places, &self.grid, &fills)?;
        let deal = |found: &Match| Deal {
            offer: places.number(found.offer).saturating_sub(places.bid_count()),
            bid: places.number(found.bid),
            energy: Energy::from_wh(found.energy),
            seller_price,
            buyer_price,
            charge: Money::ZERO,
            over: self.grid.id(found.meeting),
        };
        Ok(matches.iter().map(deal).collect())
    }

    /// A trade of a bid with an offer.
    pub(super) fn deal(&self, bid: u32, offer: u32, energy: i64, price: Price) -> Deal {
        let node = |orders: &[BookedOrder], number: u32| {
            let order = orders.get(index(number));
            order.and_then(|order| self.grid.node(order.zone)).unwrap_or(self.grid.root())
        };
        let (from, to) = (node(self.book.offers(), offer), node(self.book.bids(), bid));
        Deal {
            offer,
            bid,
            energy: Energy::from_wh(energy),
            seller_price: price,
            buyer_price: price,
            charge: Money::ZERO,
            over: self.grid.id(self.grid.meeting(from, to)),
        }
    }

    /// Writes the result out: trades, flows, sums, and one answer for each order, with `reason`
    /// for those that are not filled to the end.
    pub(super) fn write_out(
        &self,
        decision: &Decision,
        reason: impl Fn(&Left) -> Reason,
    ) -> Result<ClearingResult, ClearingError> {
        let book = self.book;
        let (bids, offers) = self.tallies(&decision.deals)?;
        let trades = decision.deals.iter().filter_map(|deal| outcome::trade(book, deal));
        let trades = trades.collect::<Result<Vec<_>, _>>()?;
        let flows = self.flows(&trades)?;
        let zones = self.zones(decision.price, &flows, &bids, &offers)?;
        let edge = |node| {
            self.grid.way(node)?;
            let (zone, flow) = (self.grid.id(node), flows[node]);
            Some(EdgeResult { zone, flow, charge: Money::ZERO, rent: Money::ZERO })
        };
        let mut edges: Vec<_> = self.grid.nodes().filter_map(edge).collect();
        edges.sort_unstable_by_key(|edge| edge.zone);
        let (answers, welfare) = self.answers(decision, &bids, &offers, reason)?;
        Ok(ClearingResult {
            period: book.period(),
            gate: book.gate(),
            zones,
            edges,
            volume: Energy::sum(trades.iter().map(|trade| trade.energy))?,
            welfare,
            trades,
            answers,
        })
    }

    /// What each bid and each offer trades.
    fn tallies(&self, deals: &[Deal]) -> Result<(Vec<Tally>, Vec<Tally>), Overflow> {
        let mut bids = vec![Tally::default(); self.book.bids().len()];
        let mut offers = vec![Tally::default(); self.book.offers().len()];
        for deal in deals {
            if let Some(bid) = bids.get_mut(index(deal.bid)) {
                bid.add(deal.buyer_price, deal.energy)?;
            }
            if let Some(offer) = offers.get_mut(index(deal.offer)) {
                offer.add(deal.seller_price, deal.energy)?;
            }
        }
        Ok((bids, offers))
    }

    /// All answers, and the welfare.
    fn answers(
        &self,
        decision: &Decision,
        bids: &[Tally],
        offers: &[Tally],
        reason: impl Fn(&Left) -> Reason,
    ) -> Result<(Vec<Answer>, Money), Overflow> {
        let (mut answers, mut worth) = (Vec::new(), 0_i128);
        for (side, orders, tallies) in
            [(Side::Buy, self.book.bids(), bids), (Side::Sell, self.book.offers(), offers)]
        {
            let told = decision.told(side);
            for ((number, order), tally) in (0_u32..).zip(orders).zip(tallies) {
                let (left, value) = valued(order, tally.energy);
                let left = left.map(|limit| Left { side, number, limit, price: told });
                let reason = left.map_or(Reason::Filled, |left| reason(&left));
                answers.push(self.answer(order, side, *tally, told, reason)?);
                worth = match side {
                    Side::Buy => worth.saturating_add(value),
                    Side::Sell => worth.saturating_sub(value),
                };
            }
        }
        for (side, order) in self.book.crossed() {
            let (told, reason) = (decision.told(*side), Reason::OwnOrderOpposite);
            answers.push(self.answer(order, *side, Tally::default(), told, reason)?);
        }
        Ok((answers, Money::from_thousandths(worth)?))
    }

    fn answer(
        &self,
        order: &BookedOrder,
        side: Side,
        tally: Tally,
        told: Option<Price>,
        reason: Reason,
    ) -> Result<Answer, Overflow> {
        Ok(Answer {
            order: order.id,
            party: order.party,
            side,
            period: self.book.period(),
            gate: self.book.gate(),
            ordered: Energy::sum(order.steps.iter().map(|step| step.energy))?,
            filled: Energy::from_wh(tally.energy),
            price: Price::per(tally.amount, i128::from(tally.energy))?.or(told),
            averaged: tally.several,
            reason,
        })
    }

    /// What flows over the edge above each zone; up is positive.
    fn flows(&self, trades: &[Trade]) -> Result<PerZone<Energy>, Overflow> {
        let mut flows = self.grid.table(Energy::ZERO);
        let node = |zone| self.grid.node(zone).unwrap_or(self.grid.root());
        for trade in trades {
            let over = node(trade.path.over);
            for (below, _) in self.grid.climb(node(trade.path.from), over) {
                flows[below] = flows[below].plus(trade.energy)?;
            }
            for (below, _) in self.grid.climb(node(trade.path.to), over) {
                flows[below] = flows[below].minus(trade.energy)?;
            }
        }
        Ok(flows)
    }

    fn zones(
        &self,
        price: Option<Price>,
        flows: &PerZone<Energy>,
        bids: &[Tally],
        offers: &[Tally],
    ) -> Result<Vec<ZoneResult>, Overflow> {
        let mut sums = self.grid.table((Energy::ZERO, Energy::ZERO));
        let node = |order: &BookedOrder| self.grid.node(order.zone).unwrap_or(self.grid.root());
        for (order, tally) in self.book.bids().iter().zip(bids) {
            let bought = &mut sums[node(order)].0;
            *bought = bought.plus(Energy::from_wh(tally.energy))?;
        }
        for (order, tally) in self.book.offers().iter().zip(offers) {
            let sold = &mut sums[node(order)].1;
            *sold = sold.plus(Energy::from_wh(tally.energy))?;
        }
        let mut conveys = self.grid.table(false);
        for node in self.grid.nodes() {
            if let Some(way) = self.grid.way(node).filter(|_| !flows[node].is_zero()) {
                conveys[node] = true;
                conveys[way.parent] = true;
            }
        }
        let zone = |node| {
            let (bought, sold) = sums[node];
            let active = conveys[node] || bought.is_positive() || sold.is_positive();
            let price = price.filter(|_| active);
            ZoneResult { zone: self.grid.id(node), price, bought, sold }
        };
        let mut zones: Vec<_> = self.grid.nodes().map(zone).collect();
        zones.sort_unstable_by_key(|zone| zone.zone);
        Ok(zones)
    }
}

/// The limit of the best step that is not filled to the end, and limit x energy of what is filled,
/// best steps first, in thousandths of a micro-unit.
fn valued(order: &BookedOrder, filled: i64) -> (Option<Price>, i128) {
    let (mut left, mut worth, mut next) = (filled, 0_i128, None);
    for step in &order.steps {
        let taken = left.min(step.energy.wh());
        left = left.saturating_sub(taken);
        let value = i128::from(step.limit.micros_per_kwh()).saturating_mul(i128::from(taken));
        worth = worth.saturating_add(value);
        if taken < step.energy.wh() {
            next = next.or(Some(step.limit));
        }
    }
    (next, worth)
}
