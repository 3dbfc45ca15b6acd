//! The orders of a book by the zone they stand in, with their steps side by side in memory.

use std::ops::Range;

use crate::book::{BookedOrder, SealedBook};
use crate::clearing::curve::{Increment, Rank};
use crate::clearing::{ClearingError, PARALLEL_FROM};
use crate::grid::{Grid, Node, PerZone};
use crate::order::Side;

/// An order's place: zone by zone, in each zone the bids before the offers, both as in the book.
pub(super) type Place = u32;

/// All orders of a book at their places.
pub(super) struct Places<'a> {
    book: &'a SealedBook,
    count: usize,
    /// In how many orders somebody wishes for a partner or an origin.
    pub(super) wishes: Wishes,
    /// `None` where all stand in the root: then a place is a number.
    scattered: Option<Scattered>,
    root: Node,
    steps: Steps,
    zones: PerZone<ZonePlaces>,
}

/// The steps of all orders.
enum Steps {
    /// Where all stand in the root: bids and offers as they were read.
    Sides { bids: Flat, offers: Flat, first_offer: Place },
    /// By place.
    ByPlace(Flat),
}

impl Steps {
    /// The curves of these places, all of one side of one zone, and where they begin in there.
    fn find(&self, places: &Range<Place>) -> (&Flat, Range<u32>) {
        match self {
            Self::ByPlace(flat) => (flat, places.clone()),
            Self::Sides { bids, first_offer, .. } if places.start < *first_offer => {
                (bids, places.clone())
            }
            Self::Sides { offers, first_offer, .. } => {
                let number = |place: Place| place.saturating_sub(*first_offer);
                (offers, number(places.start)..number(places.end))
            }
        }
    }
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

    /// Ends the curve whose steps were pushed.
    fn end_curve(&mut self) -> Result<(), ClearingError> {
        let end = u32::try_from(self.steps.len()).map_err(|_| ClearingError::TooLarge)?;
        self.firsts.push(end);
        Ok(())
    }

    fn curves(&self) -> impl Iterator<Item = &[Increment]> + Clone {
        let spans = self.firsts.iter().zip(self.firsts.iter().skip(1));
        spans.map(|(from, to)| self.steps.get(index(*from)..index(*to)).unwrap_or_default())
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
        for (_, order) in book.crossed() {
            let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
            grid.node(order.zone).ok_or(unknown)?;
        }
        let (root, alone) = (grid.root(), grid.len() == 1);
        let gather = |side, orders| Gathered::of(orders, side, grid, alone);
        let (bids, offers) = if count < PARALLEL_FROM {
            (gather(Side::Buy, book.bids())?, gather(Side::Sell, book.offers())?)
        } else {
            let (bids, offers) = rayon::join(
                || gather(Side::Buy, book.bids()),
                || gather(Side::Sell, book.offers()),
            );
            (bids?, offers?)
        };
        let wishes = Wishes { partners: bids.partners || offers.partners, origins: bids.origins };
        let (first_offer, end) = (number(book.bids().len()), number(count));
        if alone {
            let zones = grid.table(ZonePlaces { bids: 0..first_offer, offers: first_offer..end });
            let steps = Steps::Sides { bids: bids.flat, offers: offers.flat, first_offer };
            return Ok(Self { book, count, wishes, scattered: None, root, steps, zones });
        }
        let nodes = [bids.nodes, offers.nodes].concat();
        let curves = bids.flat.curves().chain(offers.flat.curves());
        let (scattered, steps, zones) = scatter(grid, nodes, curves, book.bids().len())?;
        Ok(Self { book, count, wishes, scattered: Some(scattered), root, steps, zones })
    }

    /// How many orders there are.
    pub(super) fn len(&self) -> usize {
        self.count
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

    /// The steps of all orders at these places, which lie on one side of one zone.
    pub(super) fn steps(&self, places: &Range<Place>) -> &[Increment] {
        let (flat, curves) = self.steps.find(places);
        flat.of(curves)
    }

    /// The steps of one order after the other.
    pub(super) fn curves(
        &self,
        places: &Range<Place>,
    ) -> impl Iterator<Item = (Place, &[Increment])> {
        let (flat, curves) = self.steps.find(places);
        let edges = flat.firsts.get(index(curves.start)..=index(curves.end)).unwrap_or_default();
        let spans = edges.iter().zip(edges.iter().skip(1));
        places.clone().zip(spans).map(|(place, (from, to))| {
            (place, flat.steps.get(index(*from)..index(*to)).unwrap_or_default())
        })
    }
}

/// One side of a book, read once: a large book does not fit into any cache.
struct Gathered {
    /// Empty where all stand in the root.
    nodes: Vec<Node>,
    flat: Flat,
    partners: bool,
    origins: bool,
}

impl Gathered {
    fn of(
        orders: &[BookedOrder],
        at: Side,
        grid: &Grid,
        alone: bool,
    ) -> Result<Self, ClearingError> {
        let mut side = Self {
            nodes: Vec::with_capacity(if alone { 0 } else { orders.len() }),
            flat: Flat::with_capacity(orders.len()),
            partners: false,
            origins: false,
        };
        for order in orders {
            let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
            let node = grid.node(order.zone).ok_or(unknown)?;
            if !alone {
                side.nodes.push(node);
            }
            side.partners |= !order.preferences.partners.is_empty();
            side.origins |= order.preferences.origin.is_some();
            for step in &order.steps {
                let rank = Rank::of(at, step.limit)?;
                side.flat.steps.push(Increment { rank, energy: step.energy.wh() });
            }
            side.flat.end_curve()?;
        }
        Ok(side)
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

/// Where the next order of a zone and side goes.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    place: Place,
    step: u32,
}

/// Sorts the orders by zone and side by counting, which keeps the order of the book in each zone:
/// it reads from the beginning to the end and writes to the ends of the zones' parts, never here
/// and there.
fn scatter<'s>(
    grid: &Grid,
    nodes: Vec<Node>,
    curves: impl Iterator<Item = &'s [Increment]> + Clone,
    bid_count: usize,
) -> Result<(Scattered, Steps, PerZone<ZonePlaces>), ClearingError> {
    let mut cursors = grid.table([Cursor::default(); 2]);
    let side = |number: usize| usize::from(number >= bid_count);
    for (number, (node, curve)) in nodes.iter().zip(curves.clone()).enumerate() {
        if let Some(count) = cursors[*node].get_mut(side(number)) {
            count.place = count.place.saturating_add(1);
            let steps = u32::try_from(curve.len()).map_err(|_| ClearingError::TooLarge)?;
            count.step = count.step.checked_add(steps).ok_or(ClearingError::TooLarge)?;
        }
    }
    let (zones, step_count) = part(grid, &mut cursors)?;
    let none = Increment { rank: Rank::default(), energy: 0 };
    let mut flat = Flat {
        firsts: vec![step_count; nodes.len().saturating_add(1)],
        steps: vec![none; index(step_count)],
    };
    let (mut numbers, mut places) = (vec![0; nodes.len()], Vec::with_capacity(nodes.len()));
    for (number, (node, curve)) in nodes.iter().zip(curves).enumerate() {
        let Some(cursor) = cursors[*node].get_mut(side(number)) else { continue };
        let end = cursor.step.saturating_add(u32::try_from(curve.len()).unwrap_or(u32::MAX));
        if let Some(entry) = numbers.get_mut(index(cursor.place)) {
            *entry = self::number(number);
        }
        if let Some(first) = flat.firsts.get_mut(index(cursor.place)) {
            *first = cursor.step;
        }
        if let Some(steps) = flat.steps.get_mut(index(cursor.step)..index(end)) {
            steps.copy_from_slice(curve);
        }
        places.push(cursor.place);
        *cursor = Cursor { place: cursor.place.saturating_add(1), step: end };
    }
    Ok((Scattered { numbers, places, nodes }, Steps::ByPlace(flat), zones))
}

/// Turns counts into the parts of the zones; returns them and the number of all steps.
fn part(
    grid: &Grid,
    cursors: &mut PerZone<[Cursor; 2]>,
) -> Result<(PerZone<ZonePlaces>, u32), ClearingError> {
    let mut zones = grid.table(ZonePlaces::default());
    let mut next = Cursor::default();
    for node in grid.nodes() {
        let start = next.place;
        let mut middle = start;
        for (side, cursor) in cursors[node].iter_mut().enumerate() {
            let count = *cursor;
            *cursor = next;
            next.place = next.place.saturating_add(count.place);
            next.step = next.step.checked_add(count.step).ok_or(ClearingError::TooLarge)?;
            if side == 0 {
                middle = next.place;
            }
        }
        zones[node] = ZonePlaces { bids: start..middle, offers: middle..next.place };
    }
    Ok((zones, next.step))
}
