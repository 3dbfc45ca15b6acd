//! The orders of a book by the zone they stand in, with their steps side by side in memory.

use std::ops::Range;

use crate::book::{BookedOrder, SealedBook};
use crate::clearing::ClearingError;
use crate::clearing::curve::Increment;
use crate::grid::{Grid, Node, PerZone};
use crate::order::Side;

/// An order's place: zone by zone, in each zone the bids before the offers, both as in the book.
pub(super) type Place = u32;

/// All orders of a book at their places.
pub(super) struct Places<'a> {
    book: &'a SealedBook,
    /// By place: the order's number in the book, offers counted on behind the bids.
    numbers: Vec<u32>,
    /// By place: where its steps begin; one more at the end.
    first_steps: Vec<u32>,
    steps: Vec<Increment>,
    zones: PerZone<ZonePlaces>,
}

/// The places of one zone.
#[derive(Debug, Clone, Default)]
pub(super) struct ZonePlaces {
    pub(super) bids: Range<Place>,
    pub(super) offers: Range<Place>,
}

impl<'a> Places<'a> {
    /// Finds every order's place.
    ///
    /// # Errors
    /// [`ClearingError::UnknownZone`] for an order outside the grid, [`ClearingError::TooLarge`]
    /// for a book whose orders or steps 32 bits cannot count.
    pub(super) fn of(book: &'a SealedBook, grid: &Grid) -> Result<Self, ClearingError> {
        let mut nodes = Vec::with_capacity(book.bids().len().saturating_add(book.offers().len()));
        let mut step_count = 0_usize;
        for order in book.bids().iter().chain(book.offers()) {
            let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
            nodes.push(grid.node(order.zone).ok_or(unknown)?);
            step_count = step_count.saturating_add(order.steps.len());
        }
        u32::try_from(step_count.max(nodes.len())).map_err(|_| ClearingError::TooLarge)?;
        let (numbers, zones) = group(grid, &nodes, book.bids().len());
        drop(nodes);
        let mut first_steps = Vec::with_capacity(numbers.len().saturating_add(1));
        let mut steps = Vec::with_capacity(step_count);
        for number in &numbers {
            first_steps.push(u32::try_from(steps.len()).unwrap_or(u32::MAX));
            let (_, order) = order(book, *number).ok_or(ClearingError::TooLarge)?;
            steps.extend(order.steps.iter().map(|step| Increment {
                price: step.limit.micros_per_kwh(),
                energy: step.energy.wh(),
            }));
        }
        first_steps.push(u32::try_from(steps.len()).unwrap_or(u32::MAX));
        Ok(Self { book, numbers, first_steps, steps, zones })
    }

    /// How many orders there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The places of a zone.
    pub(super) fn zone(&self, node: Node) -> &ZonePlaces {
        &self.zones[node]
    }

    /// The order at a place, with its side.
    pub(super) fn order(&self, place: Place) -> Option<(Side, &'a BookedOrder)> {
        order(self.book, *self.numbers.get(index(place))?)
    }

    /// The steps of all orders at these places.
    pub(super) fn steps(&self, places: &Range<Place>) -> &[Increment] {
        let edge = |place: Place| self.first_steps.get(index(place)).map_or(0, |at| index(*at));
        self.steps.get(edge(places.start)..edge(places.end)).unwrap_or_default()
    }

    /// The steps of one order after the other.
    pub(super) fn curves(&self, places: &Range<Place>) -> impl Iterator<Item = (Place, &[Increment])> {
        places.clone().map(|place| (place, self.steps(&(place..place.saturating_add(1)))))
    }

    /// Values by place, brought back into the order of the book.
    pub(super) fn in_book_order(&self, by_place: &[i64]) -> Vec<i64> {
        let mut values = vec![0; by_place.len()];
        for (number, value) in self.numbers.iter().zip(by_place) {
            if let Some(entry) = values.get_mut(index(*number)) {
                *entry = *value;
            }
        }
        values
    }

    /// The places in the order of the book.
    pub(super) fn of_book_order(&self) -> Vec<Place> {
        let mut places = vec![0; self.numbers.len()];
        for (place, number) in (0_u32..).zip(&self.numbers) {
            if let Some(entry) = places.get_mut(index(*number)) {
                *entry = place;
            }
        }
        places
    }
}

/// A 32-bit place or number as an index.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn order(book: &SealedBook, number: u32) -> Option<(Side, &BookedOrder)> {
    let number = index(number);
    match number.checked_sub(book.bids().len()) {
        None => book.bids().get(number).map(|order| (Side::Buy, order)),
        Some(number) => book.offers().get(number).map(|order| (Side::Sell, order)),
    }
}

/// Sorts the orders by zone and side by counting, which keeps the order of the book in each zone.
fn group(grid: &Grid, nodes: &[Node], bid_count: usize) -> (Vec<u32>, PerZone<ZonePlaces>) {
    let mut counts = grid.table((0_u32, 0_u32));
    for (number, node) in nodes.iter().enumerate() {
        let (bids, offers) = &mut counts[*node];
        let count = if number < bid_count { bids } else { offers };
        *count = count.saturating_add(1);
    }
    let mut zones = grid.table(ZonePlaces::default());
    let mut next = 0_u32;
    for node in grid.nodes() {
        let (bids, offers) = counts[node];
        let middle = next.saturating_add(bids);
        let end = middle.saturating_add(offers);
        zones[node] = ZonePlaces { bids: next..middle, offers: middle..end };
        counts[node] = (next, middle);
        next = end;
    }
    let mut numbers = vec![0; nodes.len()];
    for (number, (at, node)) in (0_u32..).zip(nodes.iter().enumerate()) {
        let (bid, offer) = &mut counts[*node];
        let place = if at < bid_count { bid } else { offer };
        if let Some(entry) = numbers.get_mut(index(*place)) {
            *entry = number;
        }
        *place = place.saturating_add(1);
    }
    (numbers, zones)
}
