//! Laws of trades: between whom, at which prices, over which way, and for which money.

use crate::clearing::laws::BrokenLaw;
use crate::clearing::laws::grid::GridView;
use crate::clearing::laws::standing::{Standing, Standings};
use crate::clearing::{ClearingResult, EdgeResult};
use crate::energy::Energy;
use crate::grid::{Grid, Node, PerZone};
use crate::money::Money;
use crate::order::Side;
use crate::price::Price;
use crate::trade::{Path, Trade};

/// Whether a trade between this bid and this offer may have these prices.
pub(super) type Priced<'a> = &'a dyn Fn(&Trade, &Standing<'_>, &Standing<'_>) -> bool;

/// Checks every trade, and that together they are the fills and the flows. Returns their money.
pub(super) fn check(
    grid: &Grid,
    view: &GridView,
    result: &ClearingResult,
    standings: &mut Standings<'_>,
    priced: Priced<'_>,
) -> Result<Sums, BrokenLaw> {
    let mut flows = grid.table(Energy::ZERO);
    let mut sums = Sums::default();
    for trade in &result.trades {
        check_one(grid, trade, result, standings, priced)?;
        Sums::of(trade).check()?;
        sums = sums.plus(&Sums::of(trade))?;
        convey(grid, trade, &mut flows)?;
        for order in [trade.bid, trade.offer] {
            if let Some(standing) = standings.get_mut(&order) {
                standing.traded = standing.traded.plus(trade.energy)?;
            }
        }
    }
    for Standing { order, filled, traded, .. } in standings.values() {
        if traded != filled {
            let (order, traded, filled) = (order.id, *traded, *filled);
            return Err(BrokenLaw::TradesDifferFromFill { order, traded, filled });
        }
    }
    for node in grid.nodes() {
        if let Some(edge) = view.edges[node].filter(|edge| edge.flow != flows[node]) {
            let (zone, traded, flow) = (edge.zone, flows[node], edge.flow);
            return Err(BrokenLaw::TradesDifferFromFlow { zone, traded, flow });
        }
    }
    Ok(sums)
}

/// What trades and edges state as charge and rent. At each edge on its way the energy changes hands
/// at the price of the one zone and again at that of the other: of what stays, as much as the
/// wheeling charge comes to is charge, and the rest is rent. Where prices differ by the charge
/// exactly, all of it is charge, however the amounts round.
pub(super) fn check_tolls(
    grid: &Grid,
    view: &GridView,
    result: &ClearingResult,
) -> Result<(), BrokenLaw> {
    let node = |zone| grid.node(zone).ok_or(BrokenLaw::OtherGrid);
    let mut earned = grid.table((Money::ZERO, Money::ZERO));
    for trade in &result.trades {
        let mut charged = Money::ZERO;
        let over = node(trade.path.over)?;
        for (end, sells) in [(trade.path.from, true), (trade.path.to, false)] {
            for (below, way) in grid.climb(node(end)?, over) {
                let (here, above) = (price(view, below), price(view, way.parent));
                let (from, to) = if sells { (here, above) } else { (above, here) };
                let stays = to.amount_for(trade.energy)?.minus(from.amount_for(trade.energy)?)?;
                let wheeling = Price::from_micros_per_kwh(way.charge);
                let exact = from.micros_per_kwh().checked_add(way.charge);
                let charge = if exact == Some(to.micros_per_kwh()) {
                    stays
                } else {
                    wheeling.amount_for(trade.energy)?.min(stays)
                };
                charged = charged.plus(charge)?;
                let (charges, rents) = &mut earned[below];
                *charges = charges.plus(charge)?;
                *rents = rents.plus(stays.minus(charge)?)?;
            }
        }
        if trade.charge != charged {
            let Sums { paid, received, charge, rent } = Sums::of(trade);
            return Err(BrokenLaw::MoneyLost { paid, received, charge, rent });
        }
    }
    for node in grid.nodes() {
        if let Some(EdgeResult { zone, charge, rent, .. }) =
            view.edges[node].filter(|edge| (edge.charge, edge.rent) != earned[node])
        {
            return Err(BrokenLaw::WrongToll { zone, charge, rent });
        }
    }
    Ok(())
}

/// The price of a zone on the way of a trade, which has one.
fn price(view: &GridView, node: Node) -> Price {
    view.zones[node].price.unwrap_or_default()
}

/// Nothing is charged, and no edge earns anything.
pub(super) fn check_no_tolls(sums: &Sums, result: &ClearingResult) -> Result<(), BrokenLaw> {
    let free = |edge: &EdgeResult| edge.charge.is_zero() && edge.rent.is_zero();
    if sums.charge.is_zero() && result.edges.iter().all(free) {
        return Ok(());
    }
    let Sums { paid, received, charge, rent } = *sums;
    Err(BrokenLaw::MoneyLost { paid, received, charge, rent })
}

/// The money of one trade or of many.
#[derive(Default)]
pub(super) struct Sums {
    paid: Money,
    received: Money,
    charge: Money,
    rent: Money,
}

impl Sums {
    fn of(trade: &Trade) -> Self {
        Self {
            paid: trade.buyer_amount,
            received: trade.seller_amount,
            charge: trade.charge,
            rent: trade.rent,
        }
    }

    fn plus(&self, other: &Self) -> Result<Self, BrokenLaw> {
        Ok(Self {
            paid: self.paid.plus(other.paid)?,
            received: self.received.plus(other.received)?,
            charge: self.charge.plus(other.charge)?,
            rent: self.rent.plus(other.rent)?,
        })
    }

    fn check(&self) -> Result<(), BrokenLaw> {
        let Self { paid, received, charge, rent } = *self;
        let adds_up = received.plus(charge)?.plus(rent)? == paid;
        if adds_up && !charge.is_negative() && !rent.is_negative() {
            Ok(())
        } else {
            Err(BrokenLaw::MoneyLost { paid, received, charge, rent })
        }
    }
}

/// Whether a trade is between a bid and an offer of the book, at prices that these may have, over
/// the zone where their ways up meet.
fn check_one(
    grid: &Grid,
    trade: &Trade,
    result: &ClearingResult,
    standings: &Standings<'_>,
    priced: Priced<'_>,
) -> Result<(), BrokenLaw> {
    let wrong = BrokenLaw::WrongTrade { bid: trade.bid, offer: trade.offer };
    let (Some(bid), Some(offer)) = (standings.get(&trade.bid), standings.get(&trade.offer)) else {
        return Err(wrong);
    };
    let place = trade.period == result.period && trade.gate == result.gate;
    let sides = bid.side == Side::Buy && offer.side == Side::Sell;
    let parties = bid.order.party == trade.buyer
        && offer.order.party == trade.seller
        && trade.buyer != trade.seller;
    let prices = priced(trade, bid, offer);
    let money = trade.buyer_amount == trade.buyer_price.amount_for(trade.energy)?
        && trade.seller_amount == trade.seller_price.amount_for(trade.energy)?;
    let path = trade.path
        == Path {
            from: offer.order.zone,
            over: grid.id(grid.meeting(offer.node, bid.node)),
            to: bid.order.zone,
        };
    let origin = trade.origin == offer.order.preferences.origin;
    let some = trade.energy.is_positive();
    if place && sides && parties && prices && money && path && origin && some {
        Ok(())
    } else {
        Err(wrong)
    }
}

/// Adds a trade to the flows of the edges on its way.
fn convey(grid: &Grid, trade: &Trade, flows: &mut PerZone<Energy>) -> Result<(), BrokenLaw> {
    let node = |zone| grid.node(zone).ok_or(BrokenLaw::OtherGrid);
    let (from, over, to) = (node(trade.path.from)?, node(trade.path.over)?, node(trade.path.to)?);
    for (node, _) in grid.climb(from, over) {
        flows[node] = flows[node].plus(trade.energy)?;
    }
    for (node, _) in grid.climb(to, over) {
        flows[node] = flows[node].minus(trade.energy)?;
    }
    Ok(())
}
