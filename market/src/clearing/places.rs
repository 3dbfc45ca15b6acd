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
    /// In how many orders somebody wishes for a partner or an origin.
    pub(super) wishes: Wishes,
    /// `None` where all stand in the root: then a place is a number.
    scattered: Option<Scattered>,
    root: Node,
    /// By place.
    flat: Flat,
    zones: PerZone<ZonePlaces>,
}

/// Curves one behind the other.
struct Flat {
    /// Where each begins; one more at the end.
    firsts: Vec<u32>,
    steps: Vec<Increment>,
}

impl Flat {
    fn with_capacity(count: usize) -> Self {
        let mut firsts = Vec::with_capacity(count.saturating_add(1));
        firsts.push(0);
        Self { firsts, steps: Vec::with_capacity(count) }
    }

    fn append(&mut self, curve: impl Iterator<Item = Increment>) -> Result<(), ClearingError> {
        self.steps.extend(curve);
        let end = u32::try_from(self.steps.len()).map_err(|_| ClearingError::TooLarge)?;
        self.firsts.push(end);
        Ok(())
    }

    fn of(&self, curves: Range<u32>) -> &[Increment] {
        let edge = |curve: u32| self.firsts.get(index(curve)).map_or(0, |at| index(*at));
        self.steps.get(edge(curves.start)..edge(curves.end)).unwrap_or_default()
    }
}

/// Whether any order of the book has preferences at all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes {
    pub(super) partners: bool,
    /// Only those of bids matter: an offer states what it is made of.
    pub(super) origins: bool,
}

/// Where the orders of several zones are. An order's number counts bids, then offers, as in the
/// book.
struct Scattered {
    /// By place.
    numbers: Vec<u32>,
    /// By number.
    places: Vec<Place>,
    /// By number.
    nodes: Vec<Node>,
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
        let count = book.bids().len().saturating_add(book.offers().len());
        u32::try_from(count).map_err(|_| ClearingError::TooLarge)?;
        let (root, alone) = (grid.root(), grid.len() == 1);
        let mut nodes = Vec::with_capacity(if alone { 0 } else { count });
        let mut wishes = Wishes::default();
        let mut flat = Flat::with_capacity(count);
        for (side, orders) in [(Side::Buy, book.bids()), (Side::Sell, book.offers())] {
            for order in orders {
                let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
                let node = grid.node(order.zone).ok_or(unknown)?;
                if !alone {
                    nodes.push(node);
                }
                wishes.partners |= !order.preferences.partners.is_empty();
                wishes.origins |= side == Side::Buy && order.preferences.origin.is_some();
                flat.append(order.steps.iter().map(|step| Increment {
                    price: step.limit.micros_per_kwh(),
                    energy: step.energy.wh(),
                }))?;
            }
        }
        let bid_count = book.bids().len();
        if alone {
            let (middle, end) = (number(bid_count), number(count));
            let zones = grid.table(ZonePlaces { bids: 0..middle, offers: middle..end });
            return Ok(Self { book, wishes, scattered: None, root, flat, zones });
        }
        let (scattered, zones) = scatter(grid, nodes, bid_count);
        let mut by_place = Flat::with_capacity(count);
        for number in &scattered.numbers {
            by_place.append(flat.of(*number..number.saturating_add(1)).iter().copied())?;
        }
        Ok(Self { book, wishes, scattered: Some(scattered), root, flat: by_place, zones })
    }

    /// How many orders there are.
    pub(super) fn len(&self) -> usize {
        self.flat.firsts.len().saturating_sub(1)
    }

    /// The places of a zone.
    pub(super) fn zone(&self, node: Node) -> &ZonePlaces {
        &self.zones[node]
    }

    /// The order at a place.
    pub(super) fn order(&self, place: Place) -> Option<&'a BookedOrder> {
        order(self.book, self.number(place))
    }

    /// The place of the order with this number.
    pub(super) fn place(&self, number: u32) -> Place {
        match &self.scattered {
            None => number,
            Some(scattered) => scattered.places.get(index(number)).copied().unwrap_or_default(),
        }
    }

    /// The number of the order at a place.
    pub(super) fn number(&self, place: Place) -> u32 {
        match &self.scattered {
            None => place,
            Some(scattered) => scattered.numbers.get(index(place)).copied().unwrap_or_default(),
        }
    }

    /// The zone of the order with this number.
    pub(super) fn node(&self, number: u32) -> Node {
        match &self.scattered {
            None => self.root,
            Some(scattered) => scattered.nodes.get(index(number)).copied().unwrap_or(self.root),
        }
    }

    /// How many bids come before the first offer in the numbers.
    pub(super) fn bid_count(&self) -> u32 {
        number(self.book.bids().len())
    }

    /// The steps of all orders at these places.
    pub(super) fn steps(&self, places: &Range<Place>) -> &[Increment] {
        self.flat.of(places.clone())
    }

    /// The steps of one order after the other.
    pub(super) fn curves(
        &self,
        places: &Range<Place>,
    ) -> impl Iterator<Item = (Place, &[Increment])> {
        let range = index(places.start)..index(places.end).saturating_add(1);
        let edges = self.flat.firsts.get(range).unwrap_or_default();
        let spans = edges.iter().zip(edges.iter().skip(1));
        places.clone().zip(spans).map(|(place, (from, to))| {
            (place, self.flat.steps.get(index(*from)..index(*to)).unwrap_or_default())
        })
    }
}

/// A 32-bit place or number as an index.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// An index that is known to fit, as a 32-bit number.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn order(book: &SealedBook, number: u32) -> Option<&BookedOrder> {
    let number = index(number);
    match number.checked_sub(book.bids().len()) {
        None => book.bids().get(number),
        Some(number) => book.offers().get(number),
    }
}

/// Sorts the orders by zone and side by counting, which keeps the order of the book in each zone.
fn scatter(grid: &Grid, nodes: Vec<Node>, bid_count: usize) -> (Scattered, PerZone<ZonePlaces>) {
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
    let (mut numbers, mut places) = (vec![0; nodes.len()], Vec::with_capacity(nodes.len()));
    for (at, node) in nodes.iter().enumerate() {
        let (bid, offer) = &mut counts[*node];
        let place = if at < bid_count { bid } else { offer };
        if let Some(entry) = numbers.get_mut(index(*place)) {
            *entry = number(at);
        }
        places.push(*place);
        *place = place.saturating_add(1);
    }
    (Scattered { numbers, places, nodes }, zones)
}
