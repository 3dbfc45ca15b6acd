//! The order book of one delivery period, and the sealed book that a gate leaves.

pub mod ex_post;

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::Overflow;
use crate::admission::AdmittedOrder;
use crate::answer::{Answer, Reason};
use crate::clearing::ClearingResult;
use crate::energy::Energy;
use crate::gate::GateIndex;
use crate::hash::Digest;
use crate::member::{Member, Membership, PartyId};
use crate::order::{MalformedOrder, OrderId, Preferences, Side, Step, check_steps};
use crate::price::Price;
use crate::time::DeliveryPeriod;
use crate::zone::ZoneId;

/// Which of a party's two orders for a period.
pub type BookKey = (Side, PartyId);

/// The live orders of one period: at most one per party and side.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct PeriodBook {
    live: BTreeMap<BookKey, LiveOrder>,
    filled: BTreeMap<BookKey, Energy>,
    gates_closed: u8,
}

/// What stands of an order after the gates that have closed. An order without steps is a
/// withdrawal; it stays so that its sequence is remembered.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct LiveOrder {
    id: OrderId,
    sequence: u64,
    /// Whether it was placed after the party's order on the other side, if there is one. Sequences
    /// are counted by each side for itself and say nothing about that.
    is_newer: bool,
    steps: Vec<Step>,
    preferences: Preferences,
}

/// An order as it stands in a sealed book.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BookedOrder {
    /// Its name.
    pub id: OrderId,
    /// Whose it is.
    pub party: PartyId,
    /// Where the party sits.
    pub zone: ZoneId,
    /// What was not filled at earlier gates, best limit first, no limit twice; never empty.
    pub steps: Vec<Step>,
    /// Whom and what it favours.
    pub preferences: Preferences,
}

/// A closed book: what one gate clears. Its doors are [`PeriodBook::seal`] before delivery and
/// [`ex_post::seal_ex_post`] after it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SealedBook {
    period: DeliveryPeriod,
    gate: GateIndex,
    bids: Vec<BookedOrder>,
    offers: Vec<BookedOrder>,
    crossed: Vec<(Side, BookedOrder)>,
    salt: Digest,
}

impl PeriodBook {
    /// A book in which nobody has ordered yet, and whose gates before `next_gate` have closed.
    ///
    /// A book comes into being with its first order; the gates that closed before that order were
    /// never its own (see [`crate::gate::GateSchedule::next_gate`]).
    pub fn before_gate(next_gate: GateIndex) -> Self {
        Self { gates_closed: next_gate.0, ..Self::default() }
    }

    /// Places an order, replacing the party's earlier one for this period and side.
    pub fn place(&mut self, admitted: &AdmittedOrder) {
        let order = admitted.order();
        if let Some(other) = self.live.get_mut(&(opposite(order.side), order.party)) {
            other.is_newer = false;
        }
        let live = LiveOrder {
            id: admitted.id(),
            sequence: order.sequence,
            is_newer: true,
            steps: order.steps.clone(),
            preferences: order.preferences.clone(),
        };
        self.live.insert((order.side, order.party), live);
    }

    /// The sequence of the order that counts, if there is one.
    pub fn sequence(&self, key: BookKey) -> Option<u64> {
        self.live.get(&key).map(|order| order.sequence)
    }

    /// How much earlier gates have filled for this party and side.
    pub fn filled(&self, key: BookKey) -> Energy {
        self.filled.get(&key).copied().unwrap_or(Energy::ZERO)
    }

    /// The gate that closes next.
    pub fn next_gate(&self) -> GateIndex {
        GateIndex(self.gates_closed)
    }

    /// Closes the book for its next gate.
    ///
    /// `salt` is the hash of the block before the one that closes the book, and decides who gets
    /// the odd watt-hours of a tie. Nobody knows it while he can still change an order, but for the
    /// proposer of that block: what it puts into the block, down to the millisecond of its time and
    /// an order of its own, makes the hash, so it can try until it likes the lots. That is worth a
    /// watt-hour for each tie; under the trade reduction, which of equal limits at the margin stays
    /// out.
    /// Orders of parties that are no longer members stay out. Where a party's own bid reaches its
    /// own offer, the one that was placed earlier stays out, because nobody trades with himself.
    pub fn seal(&self, period: DeliveryPeriod, members: &Membership, salt: Digest) -> SealedBook {
        let mut sealed = SealedBook {
            period,
            gate: self.next_gate(),
            bids: Vec::new(),
            offers: Vec::new(),
            crossed: Vec::new(),
            salt,
        };
        for ((side, party), live) in &self.live {
            let Some(member) = open_to(members, *party, live) else {
                continue;
            };
            let booked = BookedOrder {
                id: live.id,
                party: *party,
                zone: member.zone,
                steps: live.steps.clone(),
                preferences: live.preferences.clone(),
            };
            if self.yields_to_own(*side, *party, live) {
                sealed.crossed.push((*side, booked));
            } else if *side == Side::Buy {
                sealed.bids.push(booked);
            } else {
                sealed.offers.push(booked);
            }
        }
        sealed
    }

    /// Takes the fills of the gate that just closed out of the book.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range; the limits of admission exclude it.
    pub fn close_gate(&mut self, result: &ClearingResult) -> Result<(), Overflow> {
        for answer in result.answers.iter().filter(|answer| answer.filled.is_positive()) {
            let key = (answer.side, answer.party);
            let filled = self.filled.entry(key).or_default();
            *filled = filled.plus(answer.filled)?;
            if let Some(live) = self.live.get_mut(&key) {
                take_from_best(&mut live.steps, answer.filled)?;
            }
        }
        self.gates_closed = self.gates_closed.saturating_add(1);
        Ok(())
    }

    /// Takes a party's orders out, because it is no longer a member, and answers each of them. What
    /// earlier gates have filled stands.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range; the limits of admission exclude it.
    pub fn let_fall(
        &mut self,
        period: DeliveryPeriod,
        party: PartyId,
    ) -> Result<Vec<Answer>, Overflow> {
        let mut answers = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let fallen = self.live.remove(&(side, party)).filter(|live| !live.steps.is_empty());
            let Some(live) = fallen else { continue };
            answers.push(Answer {
                order: live.id,
                party,
                side,
                period,
                gate: self.next_gate(),
                ordered: Energy::sum(live.steps.iter().map(|step| step.energy))?,
                filled: Energy::ZERO,
                price: None,
                averaged: false,
                reason: Reason::NoLongerMember,
            });
        }
        Ok(answers)
    }

    /// Whether an order of the party stands in it.
    pub fn has_order_of(&self, party: PartyId) -> bool {
        [Side::Buy, Side::Sell].iter().any(|side| self.live.contains_key(&(*side, party)))
    }

    fn yields_to_own(&self, side: Side, party: PartyId, order: &LiveOrder) -> bool {
        let Some(other) = self.live.get(&(opposite(side), party)) else { return false };
        let best = |steps: &[Step]| steps.first().map(|step| step.limit);
        let crosses = match (side, best(&order.steps), best(&other.steps)) {
            (Side::Buy, Some(bid), Some(offer)) | (Side::Sell, Some(offer), Some(bid)) => {
                bid >= offer
            }
            _ => false,
        };
        crosses && !order.is_newer
    }
}

fn opposite(side: Side) -> Side {
    match side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    }
}

/// Whose an order is, if there is something to trade and the party may trade.
fn open_to<'a>(members: &'a Membership, party: PartyId, live: &LiveOrder) -> Option<&'a Member> {
    members.get(&party).filter(|member| member.is_active() && !live.steps.is_empty())
}

fn take_from_best(steps: &mut Vec<Step>, energy: Energy) -> Result<(), Overflow> {
    let mut left = energy;
    for step in steps.iter_mut() {
        let taken = left.min(step.energy);
        step.energy = step.energy.minus(taken)?;
        left = left.minus(taken)?;
    }
    steps.retain(|step| step.energy.is_positive());
    Ok(())
}

impl SealedBook {
    /// The period whose book this is.
    pub fn period(&self) -> DeliveryPeriod {
        self.period
    }

    /// The gate that closed it.
    pub fn gate(&self) -> GateIndex {
        self.gate
    }

    /// All bids, by party.
    pub fn bids(&self) -> &[BookedOrder] {
        &self.bids
    }

    /// All offers, by party.
    pub fn offers(&self) -> &[BookedOrder] {
        &self.offers
    }

    /// Orders left out because their own party stands on the other side.
    pub fn crossed(&self) -> &[(Side, BookedOrder)] {
        &self.crossed
    }

    /// What decides the odd watt-hours of a tie.
    pub fn salt(&self) -> &Digest {
        &self.salt
    }

    /// Whether nobody ordered anything.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.offers.is_empty() && self.crossed.is_empty()
    }

    /// Demand by falling limit: (limit, energy at exactly this limit).
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub fn demand(&self) -> Result<Vec<(Price, Energy)>, Overflow> {
        let mut levels = levels(&self.bids)?;
        levels.reverse();
        Ok(levels)
    }

    /// Supply by rising limit: (limit, energy at exactly this limit).
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub fn supply(&self) -> Result<Vec<(Price, Energy)>, Overflow> {
        levels(&self.offers)
    }
}

fn levels(orders: &[BookedOrder]) -> Result<Vec<(Price, Energy)>, Overflow> {
    let mut levels: BTreeMap<Price, Energy> = BTreeMap::new();
    for step in orders.iter().flat_map(|order| &order.steps) {
        let level = levels.entry(step.limit).or_default();
        *level = level.plus(step.energy)?;
    }
    Ok(levels.into_iter().collect())
}

/// A book from bare orders, for clearing without a ledger: studies, benches, tests. A party may
/// have several orders on a side, and they may stand in several zones.
///
/// As in [`PeriodBook::seal`] nobody trades with himself: where the best bid of a party reaches its
/// best offer, its bids stay out.
///
/// # Errors
/// [`NotABook`] names the first order that could not stand in a book.
pub fn sealed_from_orders(
    period: DeliveryPeriod,
    mut bids: Vec<BookedOrder>,
    mut offers: Vec<BookedOrder>,
    salt: Digest,
) -> Result<SealedBook, NotABook> {
    let mut ids = Vec::with_capacity(bids.len().saturating_add(offers.len()));
    for (side, orders) in [(Side::Buy, &mut bids), (Side::Sell, &mut offers)] {
        for order in orders.iter() {
            if order.steps.is_empty() {
                return Err(NotABook::EmptyOrder(order.id));
            }
            check_steps(side, &order.steps)
                .map_err(|problem| NotABook::Malformed { order: order.id, problem })?;
            ids.push(order.id);
        }
        orders.sort_by_key(|order| (order.party, order.id));
    }
    ids.sort_unstable();
    if let Some((twice, _)) = ids.iter().zip(ids.iter().skip(1)).find(|(one, next)| one == next) {
        return Err(NotABook::OrderTwice(*twice));
    }
    let own_best = best_offers(&offers);
    let crosses = |bid: &BookedOrder| {
        let limit = bid.steps.first().map(|step| step.limit);
        own_best.get(&bid.party).is_some_and(|offer| limit >= Some(*offer))
    };
    let crossing: BTreeSet<PartyId> =
        bids.iter().filter(|bid| crosses(bid)).map(|bid| bid.party).collect();
    let mut crossed = Vec::new();
    if !crossing.is_empty() {
        let (out, stay) = bids.into_iter().partition(|bid| crossing.contains(&bid.party));
        bids = stay;
        let out: Vec<BookedOrder> = out;
        crossed = out.into_iter().map(|bid| (Side::Buy, bid)).collect();
    }
    Ok(SealedBook { period, gate: GateIndex(0), bids, offers, crossed, salt })
}

/// The lowest limit among each party's offers.
fn best_offers(offers: &[BookedOrder]) -> BTreeMap<PartyId, Price> {
    let mut best: BTreeMap<PartyId, Price> = BTreeMap::new();
    for offer in offers {
        if let Some(step) = offer.steps.first() {
            let known = best.entry(offer.party).or_insert(step.limit);
            *known = step.limit.min(*known);
        }
    }
    best
}

/// Bare orders that do not form a book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotABook {
    /// An order without a step.
    #[error("order {0} has no steps")]
    EmptyOrder(OrderId),
    /// An order whose steps break its form.
    #[error("order {order} is malformed: {problem}")]
    Malformed {
        /// The order.
        order: OrderId,
        /// What is wrong with it.
        problem: MalformedOrder,
    },
    /// Two orders with one name.
    #[error("order {0} stands there twice")]
    OrderTwice(OrderId),
}
