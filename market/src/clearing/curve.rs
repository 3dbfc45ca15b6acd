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
use crate::order::Side;
use crate::price::Price;

/// Where a step stands in the merit order: twice its price in micro-units per kWh, and one more if
/// it is a bid that stands back.
///
/// At one price offers come first: that they sell, and the bids stay, trades more, and is worth the
/// same. So the optimum by rank is an optimum by price, and among those the one of largest volume,
/// in whichever zones the orders stand; the price of a supporting rank supports it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rank(i64);

impl Rank {
    /// The rank of an order's step.
    ///
    /// # Errors
    /// [`Overflow`] if twice the limit leaves the range.
    pub(super) fn of(side: Side, limit: Price) -> Result<Self, Overflow> {
        let first = Self::first_at(limit.micros_per_kwh())?;
        Ok(Self(first.0 | i64::from(side == Side::Buy)))
    }

    /// The rank of offers at a price in micro-units per kWh.
    ///
    /// # Errors
    /// [`Overflow`] if twice the price leaves the range.
    pub(super) fn first_at(price: i64) -> Result<Self, Overflow> {
        price.checked_mul(2).map(Self).ok_or(Overflow::of("twice a price"))
    }

    /// The price, in micro-units per kWh.
    pub(super) fn price(self) -> i64 {
        self.0.div_euclid(2)
    }

    /// The side of the orders of this rank.
    pub(super) fn side(self) -> Side {
        if self.0 & 1 == 1 { Side::Buy } else { Side::Sell }
    }

    /// The same side at a price that is higher by `charge`, lower if that is negative.
    ///
    /// # Errors
    /// [`Overflow`] if the price leaves the range.
    pub(super) fn plus(self, charge: i64) -> Result<Self, Overflow> {
        let failed = Overflow::of("a price and a wheeling charge");
        charge.checked_mul(2).and_then(|twice| self.0.checked_add(twice)).map(Self).ok_or(failed)
    }
}

/// So much net export more when the price passes `rank`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Increment {
    pub(super) rank: Rank,
    /// Wh; above zero.
    pub(super) energy: i64,
}

/// A net-export curve: nowhere falling, from minus all demand to all supply.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// Net export below all prices, in Wh: never above zero.
    start: i64,
    /// By rising rank: the net export once this rank is passed, in `energy`.
    levels: Vec<Increment>,
}

impl Curve {
    /// From the demand in Wh and all increments, in any order.
    pub(super) fn new(demand: i64, mut increments: Vec<Increment>) -> Result<Self, Overflow> {
        let failed = Overflow::of("the energy of a zone");
        if increments.len() >= PARALLEL_FROM {
            increments.par_sort_unstable_by_key(|increment| increment.rank);
        } else {
            // A stable sort finds and merges the sorted runs that the zones below deliver.
            increments.sort_by_key(|increment| increment.rank);
        }
        let start = demand.checked_neg().ok_or(failed)?;
        let mut total = start;
        for increment in &mut increments {
            total = total.checked_add(increment.energy).ok_or(failed)?;
            increment.energy = total;
        }
        // Of equal ranks the last total counts: keep each rank once, with it.
        increments.dedup_by(|next, kept| {
            let equal = next.rank == kept.rank;
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

    /// Net export with everything before `rank`.
    pub(super) fn below(&self, rank: Rank) -> i64 {
        self.after(self.levels.partition_point(|level| level.rank < rank))
    }

    /// Net export with everything up to `rank`.
    pub(super) fn through(&self, rank: Rank) -> i64 {
        self.after(self.levels.partition_point(|level| level.rank <= rank))
    }

    /// The ranks that support the net export `energy`: the last increment used, and the first not
    /// used. A missing end is open: nothing is used, or nothing is left.
    pub(super) fn interval(&self, energy: i64) -> (Option<Rank>, Option<Rank>) {
        let rank = |at: usize| self.levels.get(at).map(|level| level.rank);
        let last = self.levels.partition_point(|level| level.energy < energy);
        let next = self.levels.partition_point(|level| level.energy <= energy);
        let used = if energy > self.start { rank(last) } else { None };
        (used, rank(next))
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
                let rank = level.rank.plus(way.charge.saturating_neg())?;
                onto.push(Increment { rank, energy: imports });
            }
            let exports = section(before, level.energy, 0, way.up);
            if exports > 0 {
                let rank = level.rank.plus(way.charge)?;
                onto.push(Increment { rank, energy: exports });
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

/// What the zone above sees of a net export before or up to its own rank `rank`: what an importing
/// zone still draws, or an exporting one sends, across `way`.
pub(super) fn flow_at(
    way: &Way,
    rank: Rank,
    net_export: impl Fn(Rank) -> i64,
) -> Result<i64, Overflow> {
    let exported = net_export(rank.plus(way.charge.saturating_neg())?);
    if exported > 0 {
        return Ok(exported.min(way.up));
    }
    let imported = net_export(rank.plus(way.charge)?);
    Ok(imported.min(0).max(way.down.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::zone::ZoneTree;

    fn curve(demand: i64, steps: &[(i64, i64)]) -> Curve {
        let increments =
            steps.iter().map(|(rank, energy)| Increment { rank: Rank(*rank), energy: *energy });
        Curve::new(demand, increments.collect()).unwrap()
    }

    fn way(charge: i64, up: i64, down: i64) -> Way {
        let parent = Grid::of(&ZoneTree::one("all")).root();
        Way { parent, charge, up, down }
    }

    fn rank(side: Side, price: i64) -> Rank {
        Rank::of(side, Price::from_micros_per_kwh(price)).unwrap()
    }

    #[test]
    fn at_one_price_offers_rank_before_bids_also_below_zero() {
        let (offer, bid, next) = (rank(Side::Sell, -3), rank(Side::Buy, -3), rank(Side::Sell, -2));
        assert!(offer < bid && bid < next);
        assert_eq!([offer, bid, next].map(Rank::price), [-3, -3, -2]);
        assert_eq!([offer, bid].map(Rank::side), [Side::Sell, Side::Buy]);
        assert_eq!(bid.plus(-4), Ok(rank(Side::Buy, -7)));
    }

    #[test]
    fn a_rank_beyond_the_range_is_an_error() {
        let price = Price::from_micros_per_kwh;
        for side in [Side::Buy, Side::Sell] {
            assert!(Rank::of(side, price(i64::MAX / 2)).is_ok());
            assert!(Rank::of(side, price(i64::MIN / 2)).is_ok());
            assert!(Rank::of(side, price(i64::MAX / 2 + 1)).is_err());
            assert!(Rank::of(side, price(i64::MIN / 2 - 1)).is_err());
            assert!(rank(side, i64::MAX / 2).plus(1).is_err());
            assert!(rank(side, 0).plus(i64::MIN).is_err());
        }
    }

    #[test]
    fn equal_prices_are_one_level() {
        let curve = curve(5, &[(10, 2), (7, 3), (10, 4)]);
        assert_eq!((curve.below(Rank(7)), curve.through(Rank(7))), (-5, -2));
        assert_eq!((curve.below(Rank(10)), curve.through(Rank(10))), (-2, 4));
        assert_eq!(curve.levels.len(), 2);
    }

    #[test]
    fn the_interval_is_open_where_nothing_is_used_or_left() {
        let curve = curve(5, &[(7, 5), (10, 4)]);
        assert_eq!(curve.interval(-5), (None, Some(Rank(7))));
        assert_eq!(curve.interval(-1), (Some(Rank(7)), Some(Rank(7))));
        assert_eq!(curve.interval(0), (Some(Rank(7)), Some(Rank(10))));
        assert_eq!(curve.interval(4), (Some(Rank(10)), None));
    }

    #[test]
    fn an_edge_widens_the_gap_and_cuts_both_ends() {
        let curve = curve(5, &[(7, 6), (10, 4)]);
        let mut lifted = Vec::new();
        assert_eq!(curve.lift(&way(2, 3, 4), &mut lifted), Ok(4));
        let seen: Vec<_> = lifted.iter().map(|step| (step.rank, step.energy)).collect();
        assert_eq!(seen, [(Rank(3), 4), (Rank(11), 1), (Rank(14), 2)]);
    }

    #[test]
    fn a_trimmed_curve_sends_and_draws_the_same_and_keeps_the_ends_of_a_full_edge() {
        let steps = [(1, 2), (3, 2), (5, 2), (7, 3), (9, 1), (11, 4), (13, 2)];
        for (up, down) in [(0, 0), (1, 1), (3, 2), (4, 6), (7, 5), (100, 100), (0, 3), (5, 0)] {
            let (whole, way) = (curve(7, &steps), way(1, up, down));
            let mut trimmed = curve(7, &steps);
            trimmed.trim(&way);
            let lifted = |curve: &Curve| {
                let mut onto = Vec::new();
                let demand = curve.lift(&way, &mut onto).unwrap();
                let steps: Vec<_> = onto.iter().map(|step| (step.rank, step.energy)).collect();
                (demand, steps)
            };
            assert_eq!(lifted(&trimmed), lifted(&whole), "up {up}, down {down}");
            for flow in -down.min(7)..=up.min(9) {
                assert_eq!(trimmed.interval(flow), whole.interval(flow), "{flow} of {up}, {down}");
            }
            for at in 0..16 {
                let sent = |curve: &Curve, rank: Rank| {
                    let below = flow_at(&way, rank, |rank| curve.below(rank));
                    (below, flow_at(&way, rank, |rank| curve.through(rank)))
                };
                assert_eq!(sent(&trimmed, Rank(at)), sent(&whole, Rank(at)), "at {at}");
            }
        }
    }

    #[test]
    fn a_wheeling_charge_opens_a_gap_in_which_nothing_flows() {
        let (curve, way) = (curve(5, &[(6, 5), (20, 4)]), way(3, 100, 2));
        let flow = |rank| flow_at(&way, Rank(rank), |rank| curve.through(rank)).unwrap();
        // Importing up to a rank of 0 = 6 - 2 x 3, exporting from 26 on.
        assert_eq!([-1, 0, 25, 26].map(flow), [-2, 0, 0, 4]);
    }
}
