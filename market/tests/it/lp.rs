//! The auction as a linear programme, for an independent solver: one variable for each step of each
//! order and for each direction of each edge, one balance for each zone.

use std::collections::BTreeMap;

use market::book::{BookedOrder, SealedBook};
use market::zone::{ZoneId, ZoneTree};
use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

/// The largest welfare there is, in thousandths of a micro-unit.
pub(crate) fn largest_welfare(book: &SealedBook, zones: &ZoneTree) -> f64 {
    solve(book, zones, 1, 0)
}

/// The largest `welfare x weight + volume` there is. Where the weight exceeds every volume, that is
/// the largest volume (Wh) among the optima.
pub(crate) fn largest_welfare_then_volume(book: &SealedBook, zones: &ZoneTree, weight: i64) -> f64 {
    solve(book, zones, weight, 1)
}

fn solve(book: &SealedBook, zones: &ZoneTree, weight: i64, per_wh_bought: i64) -> f64 {
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let mut balances: BTreeMap<ZoneId, Vec<(Variable, f64)>> = BTreeMap::new();
    let mut total = 0;
    let mut add = |order: &BookedOrder, buys: bool| {
        for step in &order.steps {
            let (limit, wh) = (step.limit.micros_per_kwh(), step.energy.wh());
            total += wh;
            let worth = if buys { limit * weight + per_wh_bought } else { -limit * weight };
            let filled = problem.add_var(worth as f64, (0.0, wh as f64));
            let sign = if buys { -1.0 } else { 1.0 };
            balances.entry(order.zone).or_default().push((filled, sign));
        }
    };
    book.bids().iter().for_each(|bid| add(bid, true));
    book.offers().iter().for_each(|offer| add(offer, false));
    for (zone, edge) in zones.iter().filter_map(|(id, zone)| Some((id, zone.edge?))) {
        let cost = -(edge.charge.micros_per_kwh() * weight) as f64;
        for (capacity, out_of, into) in
            [(edge.capacity_up, zone, edge.parent), (edge.capacity_down, edge.parent, zone)]
        {
            // More than there is cannot flow.
            let most = capacity.map_or(total, |energy| energy.wh().min(total));
            let flow = problem.add_var(cost, (0.0, most as f64));
            balances.entry(out_of).or_default().push((flow, -1.0));
            balances.entry(into).or_default().push((flow, 1.0));
        }
    }
    for balance in balances.into_values() {
        problem.add_constraint(balance, ComparisonOp::Eq, 0.0);
    }
    problem.solve().expect("doing nothing is feasible, and all is bounded").objective()
}
