//! Pooling: what one neighbour is long cancels what another is short.
//!
//! Zone by zone from below, everything that is still open under a zone meets there, at one price
//! before charges: the zone's clearing price, brought into the corridor in which everybody who
//! takes part does no worse than with the supplier. Who is short pays the charges on the way up to
//! the zone on top, who is long gets them less:
//!
//! ```text
//! feed_in + charges of a long party <= price <= retail - charges of a short party
//! ```
//!
//! Where charges leave no such price for all, those with the longest way stay out: the nearest of
//! either side take part, and others from near to far while the corridor stays open, all with equal
//! charges or none of them. That is repeated with what remains, so in the end no long and no short
//! party is left whose charges to a common zone fit between feed-in and retail. What is left is
//! then tried again one zone higher.
//!
//! The shorter side cancels in full, the longer one pro rata by largest remainder. Odd watt-hours
//! go by lot, and the lot is known beforehand, because it may not change when a correction settles
//! the period again: it is drawn from the zone and the period. That is harmless: an odd watt-hour
//! is worth at most a thousandth of the corridor, it ties only among equal remainders of figures
//! that all neighbours' meters make together, and the name that draws the lot was given at random
//! when the party was enrolled.

use crate::Overflow;
use crate::clearing::ration::{Claim, ration};
use crate::energy::Energy;
use crate::grid::{Grid, Node, PerZone};
use crate::hash::Digest;
use crate::member::PartyId;
use crate::price::Price;
use crate::settlement::position::Positions;
use crate::settlement::{Facts, Pool, ZonePrices};
use crate::time::DeliveryPeriod;
use crate::zone::ZoneId;

/// Which way an imbalance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Imbalance {
    /// More energy than traded: surplus, or bought and not taken.
    Long,
    /// Less energy than traded: missing, or drawn beyond what was bought.
    Short,
}

/// A party's part in one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShare {
    /// Who.
    pub party: PartyId,
    /// The zone under which it cancelled.
    pub zone: ZoneId,
    /// Long gets `price - charges` per kWh, short pays `price + charges`.
    pub imbalance: Imbalance,
    /// How much; always positive.
    pub energy: Energy,
    /// The price of the pool.
    pub price: Price,
    /// The wheeling charges from the party's zone up to the pool's.
    pub charges: Price,
}

/// A part in one pool, in bare numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    at: u32,
    node: Node,
    pub(super) imbalance: Imbalance,
    /// Wh.
    pub(super) energy: i64,
    /// Micro-units per kWh.
    pub(super) price: i64,
    /// Micro-units per kWh.
    pub(super) charges: i64,
}

impl Share {
    /// Whose it is: the number of its position.
    pub(super) fn at(&self) -> usize {
        usize::try_from(self.at).unwrap_or(usize::MAX)
    }

    pub(super) fn of(&self, party: PartyId, grid: &Grid) -> PoolShare {
        PoolShare {
            party,
            zone: grid.id(self.node),
            imbalance: self.imbalance,
            energy: Energy::from_wh(self.energy),
            price: Price::from_micros_per_kwh(self.price),
            charges: Price::from_micros_per_kwh(self.charges),
        }
    }
}

/// What is still open of one party's imbalance.
#[derive(Debug, Clone, Copy)]
struct Open {
    at: u32,
    /// Wh; above zero.
    energy: i64,
    /// Up to the zone in hand, in micro-units per kWh, less what all of its side have in common.
    charges: i128,
}

/// Everything of one sign that is open under a zone.
#[derive(Debug, Clone, Default)]
struct Side {
    open: Vec<Open>,
    /// What all have in common: so an edge is climbed by all at once.
    climbed: i128,
}

/// Everything that is open under a zone.
#[derive(Debug, Clone, Default)]
struct Sides {
    long: Side,
    short: Side,
}

/// Cancels opposite imbalances and tells each party's part as it happens; nothing under a mechanism
/// that does not pool.
pub(super) fn cancel(
    facts: &Facts<'_>,
    grid: &Grid,
    positions: &Positions,
    mut tell: impl FnMut(Share) -> Result<(), Overflow>,
) -> Result<Vec<Pool>, Overflow> {
    if !facts.mechanism.pools() {
        return Ok(Vec::new());
    }
    let prices = prices(grid, facts.prices);
    let mut open = open(grid, positions)?;
    let mut pools = Vec::new();
    for node in grid.nodes().rev() {
        let mut here = std::mem::take(&mut open[node]);
        for child in grid.children(node) {
            let charge = grid.way(child).map_or(0, |way| way.charge);
            let below = std::mem::take(&mut open[child]);
            here.long.join(below.long, charge);
            here.short.join(below.short, charge);
        }
        let mut zone = Zone {
            node,
            price: prices[node],
            feed_in: facts.rates.feed_in.micros_per_kwh(),
            retail: facts.rates.retail.micros_per_kwh(),
            salt: salt(grid.id(node), facts.period),
            positions,
            tell: &mut tell,
        };
        while let Some((energy, price)) = zone.pool(&mut here)? {
            pools.push(Pool {
                zone: grid.id(node),
                energy: Energy::from_wh(energy),
                price: Price::from_micros_per_kwh(price),
            });
        }
        open[node] = here;
    }
    Ok(pools)
}

/// Each zone's own price, else that of the nearest zone above that has one.
fn prices(grid: &Grid, own: &ZonePrices) -> PerZone<Option<i64>> {
    let mut prices = grid.table(None);
    for node in grid.nodes() {
        let above = grid.way(node).and_then(|way| prices[way.parent]);
        prices[node] = own.price(grid.id(node)).map(Price::micros_per_kwh).or(above);
    }
    prices
}

/// All imbalances at the zones where they arose.
fn open(grid: &Grid, positions: &Positions) -> Result<PerZone<Sides>, Overflow> {
    let mut open = grid.table(Sides::default());
    for ((at, node), (_, party)) in (0_u32..).zip(&positions.nodes).zip(&positions.parties) {
        let sides = &mut open[*node];
        let imbalances = [(&mut sides.long, party.long()?), (&mut sides.short, party.short()?)];
        for (side, energy) in imbalances {
            if energy.is_positive() {
                side.open.push(Open { at, energy: energy.wh(), charges: 0 });
            }
        }
    }
    Ok(open)
}

fn salt(zone: ZoneId, period: DeliveryPeriod) -> Digest {
    let start = period.start().as_millis().to_be_bytes();
    Digest::of(&[b"hidamari/pool/1", &zone.0.to_be_bytes(), &start])
}

impl Side {
    /// Takes in what a zone below leaves, one edge further from home; the longer list stays where
    /// it is.
    fn join(&mut self, mut below: Self, charge: i64) {
        below.climbed = below.climbed.saturating_add(i128::from(charge));
        if self.open.len() < below.open.len() {
            std::mem::swap(self, &mut below);
        }
        let more = below.climbed.saturating_sub(self.climbed);
        for open in &mut below.open {
            open.charges = open.charges.saturating_add(more);
        }
        self.open.append(&mut below.open);
    }

    fn charges(&self, open: &Open) -> i128 {
        open.charges.saturating_add(self.climbed)
    }

    /// The lowest and the highest charges; `None` if nothing is open.
    fn reach(&self) -> Option<(i128, i128)> {
        let charges = || self.open.iter().map(|open| self.charges(open));
        Some((charges().min()?, charges().max()?))
    }

    /// How many are within these charges, once they are sorted from near to far.
    fn within(&self, charges: i128) -> usize {
        self.open.partition_point(|open| self.charges(open) <= charges)
    }

    /// The energy of the first ones.
    fn total(&self, count: usize) -> Result<i64, Overflow> {
        let energies = self.open.iter().take(count).map(|open| open.energy);
        energies.into_iter().try_fold(0_i64, i64::checked_add).ok_or(Overflow::of("a pool"))
    }
}

/// Who takes part on one side: so many, and the highest of their charges.
#[derive(Debug, Clone, Copy)]
struct Near {
    count: usize,
    most: i128,
}

/// A zone in which imbalances meet.
struct Zone<'a, Tell> {
    node: Node,
    price: Option<i64>,
    feed_in: i64,
    retail: i64,
    salt: Digest,
    positions: &'a Positions,
    tell: &'a mut Tell,
}

impl<Tell: FnMut(Share) -> Result<(), Overflow>> Zone<'_, Tell> {
    /// Cancels what fits at one price; returns energy and price, or `None` if nothing is left that
    /// fits.
    fn pool(&mut self, open: &mut Sides) -> Result<Option<(i64, i64)>, Overflow> {
        let Some((long, short)) = self.near(open) else { return Ok(None) };
        let totals = (open.long.total(long.count)?, open.short.total(short.count)?);
        let energy = totals.0.min(totals.1);
        let price = self.price_for(long.most, short.most).ok_or(Overflow::of("a pool's price"))?;
        for (imbalance, side, near, total) in [
            (Imbalance::Long, &mut open.long, long, totals.0),
            (Imbalance::Short, &mut open.short, short, totals.1),
        ] {
            let parts = if total == energy {
                side.open.iter().take(near.count).map(|open| open.energy).collect()
            } else {
                self.ration(side, near.count, energy)?
            };
            self.share(imbalance, side, &parts, price)?;
        }
        Ok(Some((energy, price)))
    }

    /// Who takes part, long and short, in front of their lists; `None` if not even the nearest can.
    fn near(&self, open: &mut Sides) -> Option<(Near, Near)> {
        let Sides { long, short } = open;
        if long.open.is_empty() || short.open.is_empty() {
            return None;
        }
        let ((long_least, long_most), (short_least, short_most)) = (long.reach()?, short.reach()?);
        let near = |count, most| Near { count, most };
        if self.fits(long_most, short_most) {
            return Some((near(long.open.len(), long_most), near(short.open.len(), short_most)));
        }
        if !self.fits(long_least, short_least) {
            return None;
        }
        for side in [&mut *long, &mut *short] {
            side.open.sort_by_key(|open| open.charges);
        }
        let mut found = (
            near(long.within(long_least), long_least),
            near(short.within(short_least), short_least),
        );
        loop {
            // The next circle is that of the nearest who stands outside.
            let next = |side: &Side, near: Near| Some(side.charges(side.open.get(near.count)?));
            let circle = next(long, found.0).into_iter().chain(next(short, found.1)).min()?;
            let wider = |side: &Side, near: Near| match side.within(circle) {
                count if count > near.count => Near { count, most: circle },
                _ => near,
            };
            let wider = (wider(long, found.0), wider(short, found.1));
            if !self.fits(wider.0.most, wider.1.most) {
                return Some(found);
            }
            found = wider;
        }
    }

    /// Whether these charges leave a price between feed-in and retail.
    fn fits(&self, long: i128, short: i128) -> bool {
        let room = i128::from(self.retail).saturating_sub(i128::from(self.feed_in));
        long.saturating_add(short) <= room
    }

    /// The zone's price brought into the corridor that these charges leave; without one, the middle
    /// of the corridor.
    fn price_for(&self, long: i128, short: i128) -> Option<i64> {
        let lowest = i128::from(self.feed_in).checked_add(long)?;
        let highest = i128::from(self.retail).checked_sub(short)?;
        let middle = || Some(lowest.checked_add(highest)?.div_euclid(2));
        let price = match self.price {
            Some(price) => i128::from(price),
            None => middle()?,
        };
        i64::try_from(price.max(lowest).min(highest)).ok()
    }

    /// Gives the first ones of a side their parts.
    fn share(
        &mut self,
        imbalance: Imbalance,
        side: &mut Side,
        parts: &[i64],
        price: i64,
    ) -> Result<(), Overflow> {
        let failed = Overflow::of("wheeling charges");
        for (open, part) in side.open.iter_mut().zip(parts.iter().copied()) {
            open.energy = open.energy.saturating_sub(part);
            if part > 0 {
                let charges = open.charges.saturating_add(side.climbed);
                let charges = i64::try_from(charges).map_err(|_| failed)?;
                let (at, node) = (open.at, self.node);
                (self.tell)(Share { at, node, imbalance, energy: part, price, charges })?;
            }
        }
        side.open.retain(|open| open.energy > 0);
        Ok(())
    }

    fn ration(&self, side: &Side, count: usize, energy: i64) -> Result<Vec<i64>, Overflow> {
        let claim = |open: &Open| Claim { who: open.at, energy: open.energy };
        let claims: Vec<_> = side.open.iter().take(count).map(claim).collect();
        ration(&claims, energy, &self.salt, |at| {
            let at = usize::try_from(*at).unwrap_or(usize::MAX);
            self.positions.parties.get(at).map(|(party, _)| lot(*party)).unwrap_or_default()
        })
    }
}

/// The name under which a party draws its lot.
fn lot(party: PartyId) -> Digest {
    let mut bytes = [0; 32];
    for (byte, of_party) in bytes.iter_mut().zip(party.as_bytes()) {
        *byte = *of_party;
    }
    Digest::from_bytes(bytes)
}
