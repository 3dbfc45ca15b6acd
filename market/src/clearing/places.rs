//! The orders of a book by the zone they stand in, with their steps side by side in memory.

use std::ops::Range;

use crate::book::{BookedOrder, SealedBook};
use crate::clearing::curve::{Increment, Rank};
use crate::clearing::{ClearingError, PARALLEL_FROM};
use crate::grid::{Grid, Node, PerZone};
use crate::order::Side;

/// An order's place: the bids before the offers, either side zone by zone, in each zone as in the
/// book.
pub(super) type Place = u32;

/// All orders of a book at their places.
pub(super) struct Places<'a> {
    book: &'a SealedBook,
    count: usize,
    /// In how many orders somebody wishes for a partner or an origin.
    pub(super) wishes: Wishes,
    bids: Seats,
    offers: Seats,
    root: Node,
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

    /// Ends the curve whose steps were pushed.
    fn end_curve(&mut self) -> Result<(), ClearingError> {
        let end = u32::try_from(self.steps.len()).map_err(|_| ClearingError::TooLarge)?;
        self.firsts.push(end);
        Ok(())
    }

    /// These curves, one after the other.
    fn curves(&self, curves: Range<u32>) -> impl Iterator<Item = &[Increment]> {
        let edges = self.firsts.get(index(curves.start)..=index(curves.end)).unwrap_or_default();
        let spans = edges.iter().zip(edges.iter().skip(1));
        spans.map(|(from, to)| self.steps.get(index(*from)..index(*to)).unwrap_or_default())
    }

    /// The steps of these curves.
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

/// One side of the book at its places. An order's number counts bids, then offers, as in the book.
struct Seats {
    /// The number of the first order, and the first place.
    first: u32,
    /// `None` where all stand in the root: then a place is a number.
    scattered: Option<Scattered>,
    /// By place.
    curves: Flat,
}

/// Where the orders of several zones are.
struct Scattered {
    /// By place.
    numbers: Vec<u32>,
    /// By number.
    places: Vec<Place>,
    /// By number, and by place: whoever goes through one of the two finds its zones side by side.
    nodes: Vec<Node>,
    nodes_by_place: Vec<Node>,
}

impl Seats {
    /// What one of these tables says of a number or a place of this side.
    fn look<T: Copy>(&self, table: impl Fn(&Scattered) -> &Vec<T>, at: u32) -> Option<T> {
        let table = table(self.scattered.as_ref()?);
        table.get(index(at.saturating_sub(self.first))).copied()
    }

    /// The same places, counted from the first one of this side.
    fn within(&self, places: &Range<Place>) -> Range<u32> {
        let at = |place: Place| place.saturating_sub(self.first);
        at(places.start)..at(places.end)
    }
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
        let first_offer = number(book.bids().len());
        let seat = |side| match side {
            Side::Buy => Seated::of(book.bids(), side, 0, grid),
            Side::Sell => Seated::of(book.offers(), side, first_offer, grid),
        };
        let (bids, offers) = if count < PARALLEL_FROM {
            (seat(Side::Buy)?, seat(Side::Sell)?)
        } else {
            let (bids, offers) = rayon::join(|| seat(Side::Buy), || seat(Side::Sell));
            (bids?, offers?)
        };
        let wishes = Wishes { partners: bids.partners || offers.partners, origins: bids.origins };
        let zone = |node| ZonePlaces {
            bids: bids.spans[node].clone(),
            offers: offers.spans[node].clone(),
        };
        let zones = grid.nodes().map(zone).collect();
        let (bids, offers, root) = (bids.seats, offers.seats, grid.root());
        Ok(Self { book, count, wishes, bids, offers, root, zones })
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
        self.side(number).look(|scattered| &scattered.places, number).unwrap_or(number)
    }

    /// The number of the order at a place.
    pub(super) fn number(&self, place: Place) -> u32 {
        self.side(place).look(|scattered| &scattered.numbers, place).unwrap_or(place)
    }

    /// The zone of the order with this number.
    pub(super) fn node(&self, number: u32) -> Node {
        self.side(number).look(|scattered| &scattered.nodes, number).unwrap_or(self.root)
    }

    /// The zone of the order at a place.
    pub(super) fn node_at(&self, place: Place) -> Node {
        self.side(place).look(|scattered| &scattered.nodes_by_place, place).unwrap_or(self.root)
    }

    /// On which side a number or a place is.
    fn side(&self, at: u32) -> &Seats {
        if at < self.offers.first { &self.bids } else { &self.offers }
    }

    /// How many bids come before the first offer in the numbers.
    pub(super) fn bid_count(&self) -> u32 {
        number(self.book.bids().len())
    }

    /// The steps of all orders at these places, which lie on one side of one zone.
    pub(super) fn steps(&self, places: &Range<Place>) -> &[Increment] {
        let seats = self.side(places.start);
        seats.curves.of(seats.within(places))
    }

    /// The steps of one order after the other.
    pub(super) fn curves(
        &self,
        places: &Range<Place>,
    ) -> impl Iterator<Item = (Place, &[Increment])> {
        let seats = self.side(places.start);
        places.clone().zip(seats.curves.curves(seats.within(places)))
    }
}

/// One side of a book at its places, and where they are.
struct Seated {
    seats: Seats,
    spans: PerZone<Range<Place>>,
    partners: bool,
    origins: bool,
}

impl Seated {
    /// Reads the orders and sorts them by zone. `first` is the number of the first one.
    fn of(
        orders: &[BookedOrder],
        side: Side,
        first: u32,
        grid: &Grid,
    ) -> Result<Self, ClearingError> {
        let Gathered { nodes, flat, counts, partners, origins } = Gathered::of(orders, side, grid)?;
        if grid.len() == 1 {
            let spans = grid.table(first..first.saturating_add(number(orders.len())));
            let seats = Seats { first, scattered: None, curves: flat };
            return Ok(Self { seats, spans, partners, origins });
        }
        let (spans, cursors) = part(grid, &counts, first);
        let (numbers, places, curves) = scatter(&nodes, &flat, cursors, first);
        let mut nodes_by_place = Vec::with_capacity(nodes.len());
        for node in grid.nodes() {
            nodes_by_place.extend(std::iter::repeat_n(node, index(counts[node].order)));
        }
        let scattered = Scattered { numbers, places, nodes, nodes_by_place };
        let seats = Seats { first, scattered: Some(scattered), curves };
        Ok(Self { seats, spans, partners, origins })
    }
}

/// One side of a book, read once: a large book does not fit into any cache.
struct Gathered {
    /// By number; empty where all stand in the root.
    nodes: Vec<Node>,
    /// By number.
    flat: Flat,
    /// How many orders and steps each zone has; nothing where all stand in the root.
    counts: PerZone<Cursor>,
    partners: bool,
    origins: bool,
}

impl Gathered {
    fn of(orders: &[BookedOrder], at: Side, grid: &Grid) -> Result<Self, ClearingError> {
        let alone = grid.len() == 1;
        let mut side = Self {
            nodes: Vec::with_capacity(if alone { 0 } else { orders.len() }),
            flat: Flat::with_capacity(orders.len()),
            counts: grid.table(Cursor::default()),
            partners: false,
            origins: false,
        };
        for order in orders {
            let unknown = ClearingError::UnknownZone { order: order.id, zone: order.zone };
            let node = grid.node(order.zone).ok_or(unknown)?;
            side.partners |= !order.preferences.partners.is_empty();
            side.origins |= order.preferences.origin.is_some();
            for step in &order.steps {
                let rank = Rank::of(at, step.limit)?;
                side.flat.steps.push(Increment { rank, energy: step.energy.wh() });
            }
            side.flat.end_curve()?;
            if !alone {
                side.nodes.push(node);
                side.counts[node] = side.counts[node].after(order.steps.len());
            }
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

/// Where the next order of a zone goes, counted from the first of its side; both fit, because the
/// sides have been counted in 32 bits.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    order: u32,
    step: u32,
}

impl Cursor {
    /// One order of so many steps further.
    fn after(self, steps: usize) -> Self {
        let step = self.step.saturating_add(number(steps));
        Self { order: self.order.saturating_add(1), step }
    }
}

/// Turns the counts of orders and steps into the places of the zones, and where each begins.
fn part(
    grid: &Grid,
    counts: &PerZone<Cursor>,
    first: Place,
) -> (PerZone<Range<Place>>, PerZone<Cursor>) {
    let mut spans = grid.table(first..first);
    let mut cursors = grid.table(Cursor::default());
    let mut next = Cursor::default();
    for node in grid.nodes() {
        let Cursor { order, step } = counts[node];
        let end = next.order.saturating_add(order);
        spans[node] = first.saturating_add(next.order)..first.saturating_add(end);
        cursors[node] = next;
        next = Cursor { order: end, step: next.step.saturating_add(step) };
    }
    (spans, cursors)
}

/// Sorts the orders of one side by zone by counting, which keeps the order of the book in each
/// zone: it reads from the beginning to the end and writes to the ends of the zones' parts, never
/// here and there. Gives numbers by place, places by number, and curves by place.
fn scatter(
    nodes: &[Node],
    read: &Flat,
    mut cursors: PerZone<Cursor>,
    first: u32,
) -> (Vec<u32>, Vec<Place>, Flat) {
    let none = Increment { rank: Rank::default(), energy: 0 };
    let mut curves = Flat {
        firsts: vec![number(read.steps.len()); nodes.len().saturating_add(1)],
        steps: vec![none; read.steps.len()],
    };
    let (mut numbers, mut places) = (vec![0; nodes.len()], Vec::with_capacity(nodes.len()));
    let read = read.curves(0..number(nodes.len()));
    for (order, (node, curve)) in (first..).zip(nodes.iter().zip(read)) {
        let cursor = cursors[*node];
        let next = cursor.after(curve.len());
        if let Some(entry) = numbers.get_mut(index(cursor.order)) {
            *entry = order;
        }
        if let Some(begin) = curves.firsts.get_mut(index(cursor.order)) {
            *begin = cursor.step;
        }
        if let Some(steps) = curves.steps.get_mut(index(cursor.step)..index(next.step)) {
            steps.copy_from_slice(curve);
        }
        places.push(first.saturating_add(cursor.order));
        cursors[*node] = next;
    }
    (numbers, places, curves)
}
