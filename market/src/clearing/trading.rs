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

/// How many matches one task turns into deals.
const CHUNK: usize = 4_096;

/// Turns matches into deals, in the same order, and sums up the money that stays on each edge.
pub(super) fn trade(
    places: &Places<'_>,
    grid: &Grid,
    solution: &Solution,
    matches: &[Match],
) -> Result<(Vec<Deal>, Vec<EdgeResult>), ClearingError> {
    let desk = Desk { places, grid, solution };
    let mut tolls = grid.table(Toll::default());
    let mut deals = Vec::with_capacity(matches.len());
    if matches.len() < PARALLEL_FROM {
        for found in matches {
            deals.push(desk.deal(found, &mut tolls)?);
        }
    } else {
        let chunks = matches.par_chunks(CHUNK).map(|chunk| {
            let mut tolls = grid.table(Toll::default());
            let deals = chunk.iter().map(|found| desk.deal(found, &mut tolls));
            deals.collect::<Result<Vec<_>, _>>().map(|deals| (deals, tolls))
        });
        for (mut part, part_tolls) in chunks.collect::<Result<Vec<_>, Overflow>>()? {
            deals.append(&mut part);
            for node in grid.nodes() {
                tolls[node].add(&part_tolls[node])?;
            }
        }
    }
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
        Energy::sum(fills.iter().map(|fill| Energy::from_wh(*fill)))
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
        let (seller, buyer) = (self.places.node(offer), self.places.node(bid));
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
