//! The crossing of supply and demand in one zone: textbook uniform-price double auction with exact
//! margins (design section 4; the tables of the shared reference `clearing.md` section 5).

use crate::Overflow;
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::ration::{Claim, ration};
use crate::energy::Energy;
use crate::price::{Price, Tick};

/// Where supply meets demand.
pub(super) struct Crossing {
    /// The one price for all.
    pub(super) price: Price,
    /// How much changes hands; always positive.
    pub(super) volume: Energy,
    /// What each bid is filled, in the book's order.
    pub(super) bids: Vec<Energy>,
    /// What each offer is filled, in the book's order.
    pub(super) offers: Vec<Energy>,
}

/// A step of some order, flat for sorting.
#[derive(Clone, Copy)]
struct Level {
    /// The limit; negated for bids, so that better always sorts first.
    rank: i64,
    /// Which order of its side.
    order: u32,
    energy: Energy,
}

/// Finds the crossing; `None` if no bid reaches any offer.
pub(super) fn cross(
    book: &SealedBook,
    k_millionths: u32,
    tick: Tick,
) -> Result<Option<Crossing>, Overflow> {
    let bids = levels(book.bids(), |limit| limit.checked_neg())?;
    let offers = levels(book.offers(), Some)?;
    let Some(margin) = Margin::find(&bids, &offers)? else { return Ok(None) };
    let price = margin.lower.between(margin.upper, k_millionths, tick)?;
    Ok(Some(Crossing {
        price,
        volume: margin.volume,
        bids: fill(book.bids(), &bids, margin.last_bid, margin.volume, book)?,
        offers: fill(book.offers(), &offers, margin.last_offer, margin.volume, book)?,
    }))
}

fn levels(
    orders: &[BookedOrder],
    rank: impl Fn(i64) -> Option<i64>,
) -> Result<Vec<Level>, Overflow> {
    let failed = Overflow::of("the merit order");
    let mut levels = Vec::with_capacity(orders.len());
    for (index, order) in orders.iter().enumerate() {
        let order_index = u32::try_from(index).map_err(|_| failed)?;
        for step in &order.steps {
            let rank = rank(step.limit.micros_per_kwh()).ok_or(failed)?;
            levels.push(Level { rank, order: order_index, energy: step.energy });
        }
    }
    levels.sort_unstable_by_key(|level| (level.rank, level.order));
    Ok(levels)
}

/// The last levels that trade, and the interval of prices that supports it.
struct Margin {
    volume: Energy,
    lower: Price,
    upper: Price,
    last_bid: i64,
    last_offer: i64,
}

impl Margin {
    /// Walks both merit orders from their best level while they overlap.
    ///
    /// The supporting prices are those that nobody filled rejects and nobody left over wants:
    /// `[max(last offer, next bid), min(last bid, next offer)]`, where "next" is the best energy
    /// left over, be it the rest of the marginal step itself.
    fn find(bids: &[Level], offers: &[Level]) -> Result<Option<Self>, Overflow> {
        let failed = Overflow::of("a limit price");
        let (mut buyers, mut sellers) = (bids.iter(), offers.iter());
        let (mut bid, mut offer) = (buyers.next().copied(), sellers.next().copied());
        let mut volume = Energy::ZERO;
        let mut last = None;
        while let (Some(b), Some(o)) = (bid, offer) {
            if b.rank.checked_neg().ok_or(failed)? < o.rank {
                break;
            }
            let traded = b.energy.min(o.energy);
            volume = volume.plus(traded)?;
            last = Some((b.rank, o.rank));
            bid = after(b, traded, &mut buyers)?;
            offer = after(o, traded, &mut sellers)?;
        }
        let Some((last_bid, last_offer)) = last else { return Ok(None) };
        let price = |rank: i64| rank.checked_neg().map(Price::from_micros_per_kwh).ok_or(failed);
        let mut lower = Price::from_micros_per_kwh(last_offer);
        if let Some(next) = bid {
            lower = lower.max(price(next.rank)?);
        }
        let mut upper = price(last_bid)?;
        if let Some(next) = offer {
            upper = upper.min(Price::from_micros_per_kwh(next.rank));
        }
        Ok(Some(Self { volume, lower, upper, last_bid, last_offer }))
    }
}

/// What is left of a level after `traded`, or the level behind it.
fn after<'a>(
    level: Level,
    traded: Energy,
    rest: &mut impl Iterator<Item = &'a Level>,
) -> Result<Option<Level>, Overflow> {
    let energy = level.energy.minus(traded)?;
    if energy.is_positive() {
        return Ok(Some(Level { energy, ..level }));
    }
    Ok(rest.next().copied())
}

/// Shares the volume out on one side: all levels better than the margin in full, the margin pro
/// rata.
fn fill(
    orders: &[BookedOrder],
    levels: &[Level],
    margin_rank: i64,
    volume: Energy,
    book: &SealedBook,
) -> Result<Vec<Energy>, Overflow> {
    let mut fills = vec![Energy::ZERO; orders.len()];
    let mut left = volume;
    let better = levels.partition_point(|level| level.rank < margin_rank);
    let (inside, rest) = levels.split_at_checked(better).unwrap_or((levels, &[]));
    for level in inside {
        add(&mut fills, level.order, level.energy)?;
        left = left.minus(level.energy)?;
    }
    let at_margin = rest.partition_point(|level| level.rank == margin_rank);
    let claims: Vec<Claim> = rest
        .iter()
        .take(at_margin)
        .filter_map(|level| {
            let order = orders.get(usize::try_from(level.order).ok()?)?;
            Some(Claim { index: level.order, id: order.id, energy: level.energy })
        })
        .collect();
    for (order, energy) in ration(&claims, left, book.salt())? {
        add(&mut fills, order, energy)?;
    }
    Ok(fills)
}

fn add(fills: &mut [Energy], order: u32, energy: Energy) -> Result<(), Overflow> {
    let index = usize::try_from(order).unwrap_or(usize::MAX);
    if let Some(fill) = fills.get_mut(index) {
        *fill = fill.plus(energy)?;
    }
    Ok(())
}
