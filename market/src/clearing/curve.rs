//! Net-export curves: what a zone and everything below it would send up, as the price rises.
//!
//! At a price below all limits a zone draws its whole demand. Every offer that the rising price
//! reaches, and every bid that it overtakes, adds its energy to the net export: both are the same
//! kind of step, an [`Increment`]. So one sorted list holds a whole market, markets are joined by
//! merging their lists, and an edge shifts and cuts them (design section 4).

use rayon::slice::ParallelSliceMut;

use crate::Overflow;
use crate::clearing::PARALLEL_FROM;
use crate::grid::Way;

/// So much net export more when the price passes `price`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Increment {
    /// Micro-units per kWh.
    pub(super) price: i64,
    /// Wh; above zero.
    pub(super) energy: i64,
}

/// A net-export curve: nowhere falling, from minus all demand to all supply.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// Net export below all prices, in Wh: never above zero.
    start: i64,
    /// By rising price: the net export once this price is passed, in `energy`.
    levels: Vec<Increment>,
}

impl Curve {
    /// From the demand in Wh and all increments, in any order.
    pub(super) fn new(demand: i64, mut increments: Vec<Increment>) -> Result<Self, Overflow> {
        let failed = Overflow::of("the energy of a zone");
        if increments.len() >= PARALLEL_FROM {
            increments.par_sort_unstable_by_key(|increment| increment.price);
        } else {
            // A stable sort finds and merges the sorted runs that the zones below deliver.
            increments.sort_by_key(|increment| increment.price);
        }
        let start = demand.checked_neg().ok_or(failed)?;
        let mut total = start;
        for increment in &mut increments {
            total = total.checked_add(increment.energy).ok_or(failed)?;
            increment.energy = total;
        }
        // Of equal prices the last total counts: keep each price once, with it.
        increments.dedup_by(|next, kept| {
            let equal = next.price == kept.price;
            if equal {
                kept.energy = next.energy;
            }
            equal
        });
        Ok(Self { start, levels: increments })
    }

    /// Forgets what lies beyond the edge above: nothing of it can ever be sent up or drawn. One level
    /// on either side stays, because its price bounds that of a full edge.
    pub(super) fn trim(&mut self, way: &Way) {
        let lowest = way.down.saturating_neg();
        let last = self.levels.partition_point(|level| level.energy <= way.up);
        self.levels.truncate(last.saturating_add(1));
        let first = self.levels.partition_point(|level| level.energy < lowest);
        self.start = self.after(first);
        self.levels.drain(..first);
        self.levels.shrink_to_fit();
    }

    /// Net export where the price is just below `price`.
    pub(super) fn below(&self, price: i64) -> i64 {
        self.after(self.levels.partition_point(|level| level.price < price))
    }

    /// Net export with everything that the price `price` reaches.
    pub(super) fn through(&self, price: i64) -> i64 {
        self.after(self.levels.partition_point(|level| level.price <= price))
    }

    /// The prices that support the net export `energy`: the last increment used, and the first not
    /// used. A missing end is open: nothing is used, or nothing is left.
    pub(super) fn interval(&self, energy: i64) -> (Option<i64>, Option<i64>) {
        let price = |at: usize| self.levels.get(at).map(|level| level.price);
        let last = self.levels.partition_point(|level| level.energy < energy);
        let next = self.levels.partition_point(|level| level.energy <= energy);
        let used = if energy > self.start { price(last) } else { None };
        (used, price(next))
    }

    /// Appends what the zone above sees of this curve across `way`, and returns the demand that it
    /// sees: imports at prices lower by the charge, exports at prices higher by it, both cut where
    /// the edge is full.
    pub(super) fn lift(&self, way: &Way, onto: &mut Vec<Increment>) -> Result<i64, Overflow> {
        let failed = Overflow::of("a price and a wheeling charge");
        let lowest = way.down.checked_neg().ok_or(failed)?;
        let mut before = self.start;
        for level in &self.levels {
            let imports = section(before, level.energy, lowest, 0);
            if imports > 0 {
                let price = level.price.checked_sub(way.charge).ok_or(failed)?;
                onto.push(Increment { price, energy: imports });
            }
            let exports = section(before, level.energy, 0, way.up);
            if exports > 0 {
                let price = level.price.checked_add(way.charge).ok_or(failed)?;
                onto.push(Increment { price, energy: exports });
            }
            before = level.energy;
        }
        Ok(self.start.max(lowest).saturating_neg())
    }

    fn after(&self, count: usize) -> i64 {
        let last = count.checked_sub(1).and_then(|last| self.levels.get(last));
        last.map_or(self.start, |level| level.energy)
    }
}

/// How much of `[from, to]` lies within `[low, high]`.
fn section(from: i64, to: i64, low: i64, high: i64) -> i64 {
    to.min(high).saturating_sub(from.max(low))
}

/// What the zone above sees of a net export at the prices just below or at its own price `price`:
/// what an importing zone still draws, or an exporting one sends, across `way`.
pub(super) fn flow_at(
    way: &Way,
    price: i64,
    net_export: impl Fn(i64) -> i64,
) -> Result<i64, Overflow> {
    let failed = Overflow::of("a price and a wheeling charge");
    let exported = net_export(price.checked_sub(way.charge).ok_or(failed)?);
    if exported > 0 {
        return Ok(exported.min(way.up));
    }
    let imported = net_export(price.checked_add(way.charge).ok_or(failed)?);
    Ok(imported.min(0).max(way.down.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::zone::ZoneTree;

    fn curve(demand: i64, steps: &[(i64, i64)]) -> Curve {
        let increments =
            steps.iter().map(|(price, energy)| Increment { price: *price, energy: *energy });
        Curve::new(demand, increments.collect()).unwrap()
    }

    #[test]
    fn equal_prices_are_one_level() {
        let curve = curve(5, &[(10, 2), (7, 3), (10, 4)]);
        assert_eq!((curve.below(7), curve.through(7)), (-5, -2));
        assert_eq!((curve.below(10), curve.through(10)), (-2, 4));
        assert_eq!(curve.levels.len(), 2);
    }

    #[test]
    fn the_interval_is_open_where_nothing_is_used_or_left() {
        let curve = curve(5, &[(7, 5), (10, 4)]);
        assert_eq!(curve.interval(-5), (None, Some(7)));
        assert_eq!(curve.interval(-1), (Some(7), Some(7)));
        assert_eq!(curve.interval(0), (Some(7), Some(10)));
        assert_eq!(curve.interval(4), (Some(10), None));
    }

    #[test]
    fn an_edge_widens_the_gap_and_cuts_both_ends() {
        let curve = curve(5, &[(7, 6), (10, 4)]);
        let root = Grid::of(&ZoneTree::one("all")).nodes().next().unwrap();
        let way = Way { parent: root, charge: 2, up: 3, down: 4 };
        let mut lifted = Vec::new();
        assert_eq!(curve.lift(&way, &mut lifted), Ok(4));
        let seen: Vec<_> = lifted.iter().map(|step| (step.price, step.energy)).collect();
        assert_eq!(seen, [(5, 4), (9, 1), (12, 2)]);
    }
}
