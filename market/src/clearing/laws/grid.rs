//! Laws of zones and edges: balance, capacity, price differences, and no pair left.

use crate::Overflow;
use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::standing::Standings;
use crate::clearing::{ClearingResult, EdgeResult, ZoneResult};
use crate::energy::Energy;
use crate::grid::{Grid, Node, PerZone, Way};
use crate::order::Side;
use crate::price::Price;
use crate::zone::ZoneId;

/// What a result says about each zone and edge.
pub(super) struct GridView {
    pub(super) zones: PerZone<ZoneResult>,
    pub(super) edges: PerZone<Option<EdgeResult>>,
    full: Vec<ZoneId>,
}

impl GridView {
    /// Whether as much flows over the edge above a zone as it can carry.
    pub(super) fn is_full(&self, zone: ZoneId) -> bool {
        self.full.binary_search(&zone).is_ok()
    }
}

/// Reads the result's zones and edges by node.
pub(super) fn read(grid: &Grid, result: &ClearingResult) -> Result<GridView, BrokenLaw> {
    let in_order =
        result.zones.iter().zip(result.zones.iter().skip(1)).all(|(a, b)| a.zone < b.zone)
            && result.edges.iter().zip(result.edges.iter().skip(1)).all(|(a, b)| a.zone < b.zone);
    let counted =
        result.zones.len() == grid.len() && result.edges.len().saturating_add(1) == grid.len();
    if !in_order || !counted {
        return Err(BrokenLaw::OtherGrid);
    }
    let find = |node: Node| {
        let at = result.zones.binary_search_by_key(&grid.id(node), |zone| zone.zone);
        at.ok().and_then(|at| result.zones.get(at)).copied().ok_or(BrokenLaw::OtherGrid)
    };
    let zones = grid.nodes().map(find).collect::<Result<PerZone<_>, _>>()?;
    let mut edges = grid.table(None);
    for edge in &result.edges {
        let node = grid.node(edge.zone).filter(|node| grid.way(*node).is_some());
        edges[node.ok_or(BrokenLaw::OtherGrid)?] = Some(*edge);
    }
    let full = |node: &Node| {
        let (edge, way) = (edges[*node], grid.way(*node));
        edge.zip(way).is_some_and(|(edge, way)| {
            edge.flow.wh() >= way.up || edge.flow.wh() <= way.down.saturating_neg()
        })
    };
    let mut full: Vec<_> = grid.nodes().filter(full).map(|node| grid.id(node)).collect();
    full.sort_unstable();
    Ok(GridView { zones, edges, full })
}

/// In each zone: sold = bought + what flows out; a price exactly where something is traded or
/// conveyed; and the stated sums are those of the orders.
pub(super) fn check_balances(
    grid: &Grid,
    view: &GridView,
    standings: &Standings<'_>,
) -> Result<(), BrokenLaw> {
    let mut traded = grid.table((Energy::ZERO, Energy::ZERO));
    for standing in standings.values() {
        let (bought, sold) = &mut traded[standing.node];
        let sum = if standing.side == Side::Buy { bought } else { sold };
        *sum = sum.plus(standing.filled)?;
    }
    let mut exported = grid.table(Energy::ZERO);
    let mut conveys = grid.table(false);
    for node in grid.nodes() {
        if let (Some(way), Some(edge)) = (grid.way(node), view.edges[node]) {
            exported[node] = exported[node].plus(edge.flow)?;
            exported[way.parent] = exported[way.parent].minus(edge.flow)?;
            for end in [node, way.parent] {
                conveys[end] |= !edge.flow.is_zero();
            }
        }
    }
    for node in grid.nodes() {
        let (ZoneResult { zone, price, bought, sold }, exported) =
            (view.zones[node], exported[node]);
        if (bought, sold) != traded[node] || sold.minus(bought)? != exported {
            return Err(BrokenLaw::Unbalanced { zone, sold, bought, exported });
        }
        let active = conveys[node] || bought.is_positive() || sold.is_positive();
        if price.is_some() != active {
            return Err(BrokenLaw::PriceWithoutTrade { zone, price });
        }
    }
    Ok(())
}

/// No edge carries more than it can, and prices across it differ by its charge: at most by it while
/// there is room, at least by it while something flows.
pub(super) fn check_edges(grid: &Grid, view: &GridView) -> Result<(), BrokenLaw> {
    for node in grid.nodes() {
        let (Some(way), Some(EdgeResult { zone, flow, .. })) = (grid.way(node), view.edges[node])
        else {
            continue;
        };
        if flow.wh() > way.up || flow.wh() < way.down.saturating_neg() {
            return Err(BrokenLaw::OverCapacity { zone, flow });
        }
        let (Some(below), Some(above)) = (view.zones[node].price, view.zones[way.parent].price)
        else {
            continue;
        };
        let failed = Overflow::of("a price difference");
        let rise = above.micros_per_kwh().checked_sub(below.micros_per_kwh()).ok_or(failed)?;
        let fall = rise.checked_neg().ok_or(failed)?;
        let fits = (rise <= way.charge || flow.wh() == way.up)
            && (fall <= way.charge || flow.wh() == way.down.saturating_neg())
            && (rise >= way.charge || !flow.is_positive())
            && (fall >= way.charge || !flow.is_negative());
        if !fits {
            return Err(BrokenLaw::WrongPriceDifference { zone, below, above });
        }
    }
    Ok(())
}

/// Nowhere does a bid that is left over reach an offer that is left over, at what it would cost to
/// bring the energy there over edges that have room. Turning back a flow saves its charge.
pub(super) fn check_no_pair_left(
    grid: &Grid,
    view: &GridView,
    standings: &Standings<'_>,
) -> Result<(), BrokenLaw> {
    let mut best_bid: PerZone<Option<i64>> = grid.table(None);
    let mut reach: PerZone<Option<i64>> = grid.table(None);
    for standing in standings.values() {
        let Some(limit) = standing.best_left()?.map(Price::micros_per_kwh) else { continue };
        match standing.side {
            Side::Buy => best_bid[standing.node] = best_bid[standing.node].max(Some(limit)),
            Side::Sell => keep_lower(&mut reach[standing.node], Some(limit)),
        }
    }
    let cost = |way: &Way, flow: i64, up: bool| {
        let (room, along) = if up {
            (flow < way.up, flow >= 0)
        } else {
            (flow > way.down.saturating_neg(), flow <= 0)
        };
        room.then_some(if along { way.charge } else { way.charge.saturating_neg() })
    };
    let carried = |from: Option<i64>, cost: Option<i64>| Some(from?.saturating_add(cost?));
    let edge = |node: Node| Some((grid.way(node)?, view.edges[node]?.flow.wh()));
    for node in grid.nodes().rev() {
        if let Some((way, flow)) = edge(node) {
            let seen = carried(reach[node], cost(&way, flow, true));
            keep_lower(&mut reach[way.parent], seen);
        }
    }
    for node in grid.nodes() {
        if let Some((way, flow)) = edge(node) {
            let seen = carried(reach[way.parent], cost(&way, flow, false));
            keep_lower(&mut reach[node], seen);
        }
        if let (Some(bid), Some(offer)) = (best_bid[node], reach[node])
            && bid >= offer
        {
            let price = Price::from_micros_per_kwh;
            let (bid, offer) = (price(bid), price(offer));
            return Err(BrokenLaw::UnmatchedPair { zone: grid.id(node), bid, offer });
        }
    }
    Ok(())
}

fn keep_lower(best: &mut Option<i64>, new: Option<i64>) {
    *best = match (*best, new) {
        (Some(old), Some(new)) => Some(old.min(new)),
        (old, new) => old.or(new),
    };
}
