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

use borsh::{BorshDeserialize, BorshSerialize};

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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
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
    /// Up to the zone in hand, in micro-units per kWh.
    charges: i64,
}

/// Everything that is open under a zone.
#[derive(Debug, Clone, Default)]
struct Sides {
    long: Vec<Open>,
    short: Vec<Open>,
}

/// Cancels opposite imbalances and tells each party's part as it happens.
pub(super) fn cancel(
    facts: &Facts<'_>,
    grid: &Grid,
    positions: &Positions,
    mut tell: impl FnMut(Share) -> Result<(), Overflow>,
) -> Result<Vec<Pool>, Overflow> {
    let prices = prices(grid, facts.prices);
    let mut open = open(grid, positions)?;
    let mut pools = Vec::new();
    for node in grid.nodes().rev() {
        let mut here = std::mem::take(&mut open[node]);
        for child in grid.children(node) {
            let charge = grid.way(child).map_or(0, |way| way.charge);
            here.join(std::mem::take(&mut open[child]), charge);
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
                side.push(Open { at, energy: energy.wh(), charges: 0 });
            }
        }
    }
    Ok(open)
}

fn salt(zone: ZoneId, period: DeliveryPeriod) -> Digest {
    let start = period.start().as_millis().to_be_bytes();
    Digest::of(&[b"hidamari/pool/1", &zone.0.to_be_bytes(), &start])
}

impl Sides {
    /// Takes in what a zone below leaves, one edge further from home.
    fn join(&mut self, below: Self, charge: i64) {
        for (side, mut below) in [(&mut self.long, below.long), (&mut self.short, below.short)] {
            for open in &mut below {
                open.charges = open.charges.saturating_add(charge);
            }
            side.append(&mut below);
        }
    }
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
        let Some((long_most, short_most)) = self.farthest(open) else { return Ok(None) };
        let total = |side: &[Open], most: i64| {
            let near = side.iter().filter(|open| open.charges <= most);
            let sum = near.map(|open| open.energy).try_fold(0_i64, i64::checked_add);
            sum.ok_or(Overflow::of("a pool"))
        };
        let (long, short) = (total(&open.long, long_most)?, total(&open.short, short_most)?);
        let energy = long.min(short);
        let price = self.price_between(
            self.feed_in.saturating_add(long_most),
            self.retail.saturating_sub(short_most),
        );
        self.share(Imbalance::Long, &mut open.long, long_most, (long, energy), price)?;
        self.share(Imbalance::Short, &mut open.short, short_most, (short, energy), price)?;
        Ok(Some((energy, price)))
    }

    /// The highest charges with which a long, and a short, party takes part; `None` if not even the
    /// nearest can.
    fn farthest(&self, open: &Sides) -> Option<(i64, i64)> {
        let long = Reach::of(&open.long)?;
        let short = Reach::of(&open.short)?;
        let room = i128::from(self.retail).checked_sub(i128::from(self.feed_in))?;
        let fits = |long: i64, short: i64| {
            i128::from(long).checked_add(i128::from(short)).is_some_and(|sum| sum <= room)
        };
        if fits(long.most, short.most) {
            return Some((long.most, short.most));
        }
        let mut found = fits(long.least, short.least).then_some((long.least, short.least))?;
        let mut charges: Vec<i64> =
            open.long.iter().chain(&open.short).map(|open| open.charges).collect();
        charges.sort_unstable();
        charges.dedup();
        for within in charges {
            let next = (reached(&open.long, within, long), reached(&open.short, within, short));
            if !fits(next.0, next.1) {
                break;
            }
            found = next;
        }
        Some(found)
    }

    /// The zone's price brought into the corridor; without one, the middle of the corridor.
    fn price_between(&self, lowest: i64, highest: i64) -> i64 {
        let middle = || {
            let span = highest.saturating_sub(lowest);
            lowest.saturating_add(span.div_euclid(2))
        };
        self.price.unwrap_or_else(middle).clamp(lowest, highest.max(lowest))
    }

    /// Gives those of a side who take part their parts of `energy`, pro rata of their `total`.
    fn share(
        &mut self,
        imbalance: Imbalance,
        side: &mut Vec<Open>,
        most: i64,
        (total, energy): (i64, i64),
        price: i64,
    ) -> Result<(), Overflow> {
        let parts = if total == energy { None } else { Some(self.ration(side, most, energy)?) };
        let mut parts = parts.map(Vec::into_iter);
        for open in side.iter_mut().filter(|open| open.charges <= most) {
            let part = match &mut parts {
                Some(parts) => parts.next().unwrap_or_default(),
                None => open.energy,
            };
            let Open { at, charges, .. } = *open;
            open.energy = open.energy.saturating_sub(part);
            if part > 0 {
                let node = self.node;
                (self.tell)(Share { at, node, imbalance, energy: part, price, charges })?;
            }
        }
        side.retain(|open| open.energy > 0);
        Ok(())
    }

    fn ration(&self, side: &[Open], most: i64, energy: i64) -> Result<Vec<i64>, Overflow> {
        let near = side.iter().filter(|open| open.charges <= most);
        let claim = |open: &Open| Claim { who: open.at, energy: open.energy };
        let claims: Vec<_> = near.map(claim).collect();
        ration(&claims, energy, &self.salt, |at| {
            let at = usize::try_from(*at).unwrap_or(usize::MAX);
            self.positions.parties.get(at).map(|(party, _)| lot(*party)).unwrap_or_default()
        })
    }
}

/// The lowest and the highest charges on one side.
#[derive(Debug, Clone, Copy)]
struct Reach {
    least: i64,
    most: i64,
}

impl Reach {
    fn of(side: &[Open]) -> Option<Self> {
        let charges = || side.iter().map(|open| open.charges);
        Some(Self { least: charges().min()?, most: charges().max()? })
    }
}

/// The highest charges of a side that are not above `within`, or its lowest.
fn reached(side: &[Open], within: i64, reach: Reach) -> i64 {
    let near = side.iter().map(|open| open.charges).filter(|charges| *charges <= within);
    near.max().unwrap_or(reach.least)
}

/// The name under which a party draws its lot.
fn lot(party: PartyId) -> Digest {
    let mut bytes = [0; 32];
    for (byte, of_party) in bytes.iter_mut().zip(party.as_bytes()) {
        *byte = *of_party;
    }
    Digest::from_bytes(bytes)
}
