//! The orders: curves from rows, in a sealed book, with the names that people gave them.

use std::collections::HashMap;

use market::book::{BookedOrder, SealedBook, sealed_from_orders};
use market::hash::Digest;
use market::member::PartyId;
use market::order::{OrderId, Preferences, STEPS_MAX, Side, Step};
use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
use market::zone::ZoneId;

use crate::clear::error::{ClearError, Problem, Problems};
use crate::clear::figures::{energy, price};
use crate::clear::progress::Progress;
use crate::clear::sheet::{Row, Sheet, shown};
use crate::clear::zones::Zones;

/// What a file of orders names in its header.
const COLUMNS: [&str; 6] = ["id", "party", "zone", "side", "price", "energy_wh"];

/// The places of [`COLUMNS`].
const ID: usize = 0;
const PARTY: usize = 1;
const ZONE: usize = 2;
const SIDE: usize = 3;
const PRICE: usize = 4;
const ENERGY: usize = 5;

/// Ids are hashes of names, so that no result depends on the order of the rows.
const ORDER_DOMAIN: &[u8] = b"hidamari/clear/order/1";
const PARTY_DOMAIN: &[u8] = b"hidamari/clear/party/1";

/// Where orders may stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Grid<'z> {
    /// In these zones.
    Zones(&'z Zones),
    /// All in one, whose name stands in every row or in none.
    One,
    /// In zones that could not be read; so they are not judged here.
    Unknown,
}

/// All orders of a file.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// As they first come in the file.
    entries: Vec<Entry>,
    names: Names,
    by_id: HashMap<OrderId, usize>,
    /// Where a grid of one zone has its name from: the first row.
    only_zone: Option<(String, usize)>,
}

/// An order, as far as its rows were read.
#[derive(Debug)]
struct Entry {
    id: OrderId,
    party: PartyId,
    zone: ZoneId,
    side: Side,
    /// Where its first row begins.
    at: usize,
    /// One for each limit, in the order of the rows.
    steps: Vec<Step>,
}

/// What one row says.
struct Line<'r> {
    id: &'r str,
    party: &'r str,
    zone: ZoneId,
    side: Side,
    step: Step,
}

impl Orders {
    /// Reads a file, and notes the mistakes in it.
    pub(crate) fn read(
        sheet: &Sheet,
        grid: Grid<'_>,
        problems: &mut Problems,
        progress: &mut Progress,
    ) -> Self {
        let mut orders = Self::default();
        let Some(mut rows) = sheet.rows(COLUMNS, problems) else { return orders };
        while let Some(row) = rows.next(problems) {
            progress.read(row.at, sheet);
            let Some(line) = orders.line(&row, grid, sheet, problems) else { continue };
            if let Err(problem) = orders.add(&line, &row, sheet) {
                problems.add(problem);
            }
        }
        orders
    }

    /// What the only zone is called; empty if no row names it.
    pub(crate) fn only_zone(&self) -> &str {
        self.only_zone.as_ref().map_or("", |(name, _)| name)
    }

    /// Reads one row and notes all mistakes in it.
    fn line<'r>(
        &mut self,
        row: &'r Row<'_, 6>,
        grid: Grid<'_>,
        sheet: &Sheet,
        problems: &mut Problems,
    ) -> Option<Line<'r>> {
        let told = |field: usize, told: String| row.problem(field, told);
        let id = row.name(ID).map_err(|problem| problems.add(problem)).ok();
        let party = row.name(PARTY).map_err(|problem| problems.add(problem)).ok();
        let zone = self.zone(row, grid, sheet).map_err(|problem| problems.add(problem)).ok();
        let side = match row.fields[SIDE] {
            "bid" => Some(Side::Buy),
            "offer" => Some(Side::Sell),
            _ => {
                problems.add(row.problem(SIDE, "bid or offer"));
                None
            }
        };
        let limit = price(row.fields[PRICE]).map_err(|text| problems.add(told(PRICE, text))).ok();
        let wh = energy(row.fields[ENERGY], 1);
        let wh = wh.map_err(|text| problems.add(told(ENERGY, text))).ok();
        let step = Step { limit: limit?, energy: wh? };
        Some(Line { id: id?, party: party?, zone: zone?, side: side?, step })
    }

    fn zone(&mut self, row: &Row<'_, 6>, grid: Grid<'_>, sheet: &Sheet) -> Result<ZoneId, Problem> {
        let name = row.fields[ZONE];
        match grid {
            Grid::Unknown => Ok(ZoneId(0)),
            Grid::Zones(zones) => {
                let id = zones.id(row.name(ZONE)?);
                id.ok_or_else(|| row.problem(ZONE, "the name of a zone from the file of zones"))
            }
            Grid::One => {
                let Some((first, at)) = &self.only_zone else {
                    let name = if name.is_empty() { name } else { row.name(ZONE)? };
                    self.only_zone = Some((name.to_owned(), row.at));
                    return Ok(ZoneId(0));
                };
                if name == first {
                    return Ok(ZoneId(0));
                }
                let (first, line) = (shown(first), sheet.line(*at));
                let expected = format!(
                    "{first}, as in line {line}: without --zones all orders stand in one zone"
                );
                Err(row.problem(ZONE, expected))
            }
        }
    }

    /// Takes a row into the curve of its order.
    fn add(&mut self, line: &Line<'_>, row: &Row<'_, 6>, sheet: &Sheet) -> Result<(), Problem> {
        let id = Digest::of(&[ORDER_DOMAIN, line.id.as_bytes()]);
        let id = OrderId::from_bytes(*id.as_bytes());
        let party = party_id(line.party);
        let entry = self.by_id.get(&id).and_then(|at| self.entries.get_mut(*at));
        let Some(entry) = entry else {
            self.by_id.insert(id, self.entries.len());
            self.names.push(line.id, line.party);
            let (zone, side, steps) = (line.zone, line.side, vec![line.step]);
            self.entries.push(Entry { id, party, zone, side, at: row.at, steps });
            return Ok(());
        };
        let same = [
            (PARTY, entry.party == party),
            (ZONE, entry.zone == line.zone),
            (SIDE, entry.side == line.side),
        ];
        if let Some((field, _)) = same.iter().find(|(_, same)| !same) {
            let first = sheet.line(entry.at);
            let expected = format!("what line {first} says: rows of one id are steps of one curve");
            return Err(row.problem(*field, expected));
        }
        if let Some(step) = entry.steps.iter_mut().find(|step| step.limit == line.step.limit) {
            let sum = step.energy.plus(line.step.energy);
            let expected = "energies of one price that add up to at most 9223372036854775807 Wh";
            step.energy = sum.map_err(|_| row.problem(ENERGY, expected))?;
        } else if entry.steps.len() == STEPS_MAX {
            let first = sheet.line(entry.at);
            let expected = format!(
                "at most {STEPS_MAX} prices for one id: this is one more for the order of line \
                 {first}"
            );
            return Err(row.problem(PRICE, expected));
        } else {
            entry.steps.push(line.step);
        }
        Ok(())
    }

    /// Closes the book, and keeps apart what the market does not need.
    ///
    /// # Errors
    /// [`ClearError::NotABook`] for orders that the market refuses, though each row was right.
    pub(crate) fn seal(self, salt: Digest) -> Result<(SealedBook, Listing), ClearError> {
        let period = DeliveryPeriod::starting_at(Timestamp::default(), PeriodLength::Minutes15)
            .expect("the first quarter of an hour of 1970 is a delivery period");
        let (mut bids, mut offers) = (Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(self.entries.len());
        for Entry { id, party, zone, side, mut steps, .. } in self.entries {
            places.push((zone, side));
            match side {
                Side::Buy => steps.sort_unstable_by_key(|step| std::cmp::Reverse(step.limit)),
                Side::Sell => steps.sort_unstable_by_key(|step| step.limit),
            }
            let order = BookedOrder { id, party, zone, steps, preferences: Preferences::default() };
            match side {
                Side::Buy => bids.push(order),
                Side::Sell => offers.push(order),
            }
        }
        let book = sealed_from_orders(period, bids, offers, salt)?;
        Ok((book, Listing { places, names: self.names, by_id: self.by_id }))
    }
}

/// The party of this name.
fn party_id(name: &str) -> PartyId {
    let digest = Digest::of(&[PARTY_DOMAIN, name.as_bytes()]);
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    PartyId::from_bytes(id)
}

/// What the file says about the orders beside what the market needs to clear them.
#[derive(Debug)]
pub(crate) struct Listing {
    places: Vec<(ZoneId, Side)>,
    names: Names,
    by_id: HashMap<OrderId, usize>,
}

/// An order as the file names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'l> {
    /// The order's name.
    pub(crate) id: &'l str,
    /// Whose it is.
    pub(crate) party: &'l str,
    /// Where it stands.
    pub(crate) zone: ZoneId,
    /// Bid or offer.
    pub(crate) side: Side,
}

impl Listing {
    /// How many orders there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// All orders as they first come in the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// Which order of the file this is.
    pub(crate) fn number(&self, id: &OrderId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// An order by its number.
    pub(crate) fn get(&self, number: usize) -> Option<Listed<'_>> {
        let (zone, side) = *self.places.get(number)?;
        let (id, party) = self.names.get(number)?;
        Some(Listed { id, party, zone, side })
    }
}

/// Names one behind the other in memory: a large file has two million of them.
#[derive(Debug, Default)]
struct Names {
    text: String,
    /// By order: where the name of the order ends, and that of the party behind it.
    ends: Vec<(usize, usize)>,
}

impl Names {
    fn push(&mut self, order: &str, party: &str) {
        self.text.push_str(order);
        let end = self.text.len();
        self.text.push_str(party);
        self.ends.push((end, self.text.len()));
    }

    fn get(&self, number: usize) -> Option<(&str, &str)> {
        let before = number.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = before.map_or(0, |(_, end)| *end);
        let (middle, end) = *self.ends.get(number)?;
        Some((self.text.get(start..middle)?, self.text.get(middle..end)?))
    }
}
