//! Prices on matches: deals, and what each zone and edge sees of them.

use rayon::prelude::*;

use crate::Overflow;
use crate::clearing::allocation::Match;
use crate::clearing::places::{Place, Places, index};
use crate::clearing::zonal::Solution;
use crate::clearing::{ClearingError, Deal, EdgeResult, PARALLEL_FROM, ZoneResult};
use crate::energy::Energy;
use crate::grid::{Grid, Node, PerZone};
use crate::money::Money;
use crate::price::Price;

/// How many matches one task turns into deals; each task has a table of all edges.
const CHUNK: usize = 16_384;

/// Turns matches into deals, in the same order, and sums up the money that stays on each edge.
pub(super) fn trade(
    places: &Places<'_>,
    grid: &Grid,
    solution: &Solution,
    matches: &[Match],
) -> Result<(Vec<Deal>, Vec<EdgeResult>), ClearingError> {
    let desk = Desk { places, grid, solution };
    let blank = Deal {
        offer: 0,
        bid: 0,
        energy: Energy::ZERO,
        seller_price: Price::ZERO,
        buyer_price: Price::ZERO,
        charge: Money::ZERO,
        over: grid.id(grid.root()),
    };
    let mut deals = vec![blank; matches.len()];
    let write = |(deals, matches): (&mut [Deal], &[Match])| {
        let mut tolls = grid.table(Toll::default());
        for (deal, found) in deals.iter_mut().zip(matches) {
            *deal = desk.deal(found, &mut tolls)?;
        }
        Ok::<_, Overflow>(tolls)
    };
    let sum = |mut one: PerZone<Toll>, other: PerZone<Toll>| {
        for node in grid.nodes() {
            one[node].add(&other[node])?;
        }
        Ok(one)
    };
    let tolls = if matches.len() < PARALLEL_FROM {
        write((&mut deals, matches))?
    } else {
        let chunks = deals.par_chunks_mut(CHUNK).zip(matches.par_chunks(CHUNK));
        chunks.map(write).try_reduce(|| grid.table(Toll::default()), sum)?
    };
    let edge = |node: Node| {
        grid.way(node)?;
        let Toll { charge, rent } = tolls[node];
        let flow = Energy::from_wh(solution.flows[node]);
        Some(EdgeResult { zone: grid.id(node), flow, charge, rent })
    };
    let mut edges: Vec<_> = grid.nodes().filter_map(edge).collect();
    edges.sort_unstable_by_key(|edge| edge.zone);
    Ok((deals, edges))
}

/// What each zone bought, sold, and at which price.
pub(super) fn zones(
    places: &Places<'_>,
    grid: &Grid,
    solution: &Solution,
) -> Result<PerZone<ZoneResult>, Overflow> {
    let filled = |range: &std::ops::Range<Place>| {
        let fills = solution.fills.get(index(range.start)..index(range.end)).unwrap_or_default();
        Energy::sum(fills.iter().map(|fill| Energy::from_wh(fill.energy)))
    };
    let mut conveys = grid.table(false);
    for node in grid.nodes() {
        if let Some(way) = grid.way(node).filter(|_| solution.flows[node] != 0) {
            conveys[node] = true;
            conveys[way.parent] = true;
        }
    }
    let zone = |node: Node| {
        let own = places.zone(node);
        let (bought, sold) = (filled(&own.bids)?, filled(&own.offers)?);
        let active = conveys[node] || bought.is_positive() || sold.is_positive();
        let price = Price::from_micros_per_kwh(solution.prices[node]);
        Ok(ZoneResult { zone: grid.id(node), price: active.then_some(price), bought, sold })
    };
    grid.nodes().map(zone).collect()
}

/// The money that trades leave on an edge.
#[derive(Debug, Clone, Copy, Default)]
struct Toll {
    charge: Money,
    rent: Money,
}

impl Toll {
    fn add(&mut self, other: &Self) -> Result<(), Overflow> {
        self.charge = self.charge.plus(other.charge)?;
        self.rent = self.rent.plus(other.rent)?;
        Ok(())
    }
}

struct Desk<'a> {
    places: &'a Places<'a>,
    grid: &'a Grid,
    solution: &'a Solution,
}

impl Desk<'_> {
    fn deal(&self, found: &Match, tolls: &mut PerZone<Toll>) -> Result<Deal, Overflow> {
        let energy = Energy::from_wh(found.energy);
        let (offer, bid) = (self.places.number(found.offer), self.places.number(found.bid));
        let (seller, buyer) = (self.places.node_at(found.offer), self.places.node_at(found.bid));
        let mut charge = Money::ZERO;
        for (at, below) in [(seller, Below::Sells), (buyer, Below::Buys)] {
            for (node, way) in self.grid.climb(at, found.meeting) {
                let part = self.toll(node, way.parent, way.charge, energy, below)?;
                tolls[node].add(&part)?;
                charge = charge.plus(part.charge)?;
            }
        }
        Ok(Deal {
            offer: offer.saturating_sub(self.places.bid_count()),
            bid,
            energy,
            seller_price: self.price(seller),
            buyer_price: self.price(buyer),
            charge,
            over: self.grid.id(found.meeting),
        })
    }

    /// What a trade leaves on the edge above `node`: the energy changes hands at the price of the
    /// one zone and again at the price of the other, and the difference stays. So the amounts of
    /// all edges and both ends add up without any residue, however prices round. It is the
    /// wheeling charge, and where prices differ by more than that, the rest is congestion rent.
    fn toll(
        &self,
        node: Node,
        parent: Node,
        charge: i64,
        energy: Energy,
        below: Below,
    ) -> Result<Toll, Overflow> {
        let (here, above) = (self.price(node), self.price(parent));
        let (from, to) = match below {
            Below::Sells => (here, above),
            Below::Buys => (above, here),
        };
        let difference = to.amount_for(energy)?.minus(from.amount_for(energy)?)?;
        let gap = to.micros_per_kwh().checked_sub(from.micros_per_kwh());
        if gap == Some(charge) {
            return Ok(Toll { charge: difference, rent: Money::ZERO });
        }
        let charge = Price::from_micros_per_kwh(charge).amount_for(energy)?.min(difference);
        Ok(Toll { charge, rent: difference.minus(charge)? })
    }

    fn price(&self, node: Node) -> Price {
        Price::from_micros_per_kwh(self.solution.prices[node])
    }
}

/// Which end of a trade lies below an edge.
#[derive(Clone, Copy)]
enum Below {
    Sells,
    Buys,
}
