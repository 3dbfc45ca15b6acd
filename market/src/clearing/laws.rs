//! The laws of a clearing that are cheap enough to be checked in every release build: everything
//! that can be judged from the book and the result without clearing again.

use std::collections::BTreeMap;

use crate::Overflow;
use crate::answer::{Answer, Reason};
use crate::book::{BookedOrder, SealedBook};
use crate::clearing::ClearingResult;
use crate::energy::Energy;
use crate::money::Money;
use crate::order::{OrderId, Side};
use crate::price::Price;
use crate::trade::Trade;

/// A law that a result breaks. It can only come from a defect of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLaw {
    /// The result is of another period or gate than the book.
    #[error("the result is not of the book's period and gate")]
    OtherBook,
    /// Two orders of the book have one name.
    #[error("order {0} stands in the book twice")]
    OrderTwice(OrderId),
    /// A fill of nothing, of an order that does not stand in the book, or its second one.
    #[error("the fill of order {0} is empty, repeated, or not of an order in the book")]
    WrongFill(OrderId),
    /// A price without a trade, or a trade without a price.
    #[error("volume {volume:?} was traded, but the price is {price:?}")]
    PriceWithoutTrade {
        /// The stated price.
        price: Option<Price>,
        /// The stated volume.
        volume: Energy,
    },
    /// Bought and sold differ (A2), or differ from the volume.
    #[error("bought {bought:?}, sold {sold:?}, volume {volume:?}")]
    BoughtNotSold {
        /// By bids.
        bought: Energy,
        /// By offers.
        sold: Energy,
        /// As stated.
        volume: Energy,
    },
    /// An order is filled beyond its energy, or beyond its limit (A1).
    #[error("order {order} is filled {filled:?}, its limits at price {price:?} allow {allowed:?}")]
    BeyondLimit {
        /// The order.
        order: OrderId,
        /// What it was filled.
        filled: Energy,
        /// The clearing price.
        price: Option<Price>,
        /// What its steps allow at that price.
        allowed: Energy,
    },
    /// An order whose limit is better than the price went short.
    #[error(
        "order {order} is filled {filled:?}, but {due:?} of it has a better limit than {price:?}"
    )]
    LeftOut {
        /// The order.
        order: OrderId,
        /// What it was filled.
        filled: Energy,
        /// What its steps with a better limit than the price ask for.
        due: Energy,
        /// The clearing price.
        price: Option<Price>,
    },
    /// A bid and an offer are left over that both would want (A4).
    #[error("a bid at {bid} and an offer at {offer} are both left over")]
    UnmatchedPair {
        /// The best limit left among bids.
        bid: Price,
        /// The best limit left among offers.
        offer: Price,
    },
    /// Among equals at the margin a share is a watt-hour or more off its part (A6).
    #[error("order {order} gets {share:?} at the margin for its {claim:?}: not pro rata")]
    NotProRata {
        /// The order.
        order: OrderId,
        /// What it asks for at exactly the clearing price.
        claim: Energy,
        /// What it was filled of that.
        share: Energy,
    },
    /// A trade that is not between a bid and an offer of the book, of two parties, for some energy,
    /// at the clearing price.
    #[error("the trade of bid {bid} with offer {offer} is not one of this book at this price")]
    WrongTrade {
        /// The bid it names.
        bid: OrderId,
        /// The offer it names.
        offer: OrderId,
    },
    /// The trades of an order do not add up to its fill.
    #[error("the trades of order {order} sum to {traded:?}, it is filled {filled:?}")]
    TradesDifferFromFill {
        /// The order.
        order: OrderId,
        /// By its trades.
        traded: Energy,
        /// By its fill.
        filled: Energy,
    },
    /// A trade's money does not add up (A3).
    #[error("a buyer pays {paid}, the seller gets {received} and the charge is {charge}")]
    MoneyLost {
        /// By the buyer.
        paid: Money,
        /// By the seller.
        received: Money,
        /// The wheeling charge.
        charge: Money,
    },
    /// Not every order is answered exactly once.
    #[error("{orders} orders stand in the book, {answers} are answered")]
    Unanswered {
        /// In the book.
        orders: usize,
        /// Answered.
        answers: usize,
    },
    /// An answer that does not say what happened, or a second one.
    #[error("the answer to order {0} is not what became of it")]
    WrongAnswer(OrderId),
    /// The stated welfare is not that of the fills.
    #[error("the fills are worth {computed}, stated is {stated}")]
    WrongWelfare {
        /// As stated.
        stated: Money,
        /// From the fills.
        computed: Money,
    },
    /// A sum left its range.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// An order of the book, and what the result says about it.
struct Standing<'a> {
    order: &'a BookedOrder,
    side: Side,
    /// Left out because its own party stands on the other side.
    crossed: bool,
    filled: Energy,
    traded: Energy,
    answered: bool,
}

type Standings<'a> = BTreeMap<OrderId, Standing<'a>>;

/// Checks a result against its book: every law named in [`BrokenLaw`].
///
/// # Errors
/// [`BrokenLaw`] names the first one that does not hold.
pub fn check(book: &SealedBook, result: &ClearingResult) -> Result<(), BrokenLaw> {
    if result.period != book.period() || result.gate != book.gate() {
        return Err(BrokenLaw::OtherBook);
    }
    if result.price.is_some() != result.volume.is_positive() {
        return Err(BrokenLaw::PriceWithoutTrade { price: result.price, volume: result.volume });
    }
    let mut standings = standings(book)?;
    read_fills(result, &mut standings)?;
    check_volume(result)?;
    for standing in standings.values() {
        check_limits(standing, result.price)?;
    }
    check_no_pair_left(&standings)?;
    if let Some(price) = result.price {
        check_margin(&standings, Side::Buy, price)?;
        check_margin(&standings, Side::Sell, price)?;
    }
    check_trades(result, &mut standings)?;
    check_answers(result, &mut standings)?;
    check_welfare(result, &standings)
}

fn standings(book: &SealedBook) -> Result<Standings<'_>, BrokenLaw> {
    let mut standings = Standings::new();
    let bids = book.bids().iter().map(|order| (Side::Buy, order, false));
    let offers = book.offers().iter().map(|order| (Side::Sell, order, false));
    let crossed = book.crossed().iter().map(|(side, order)| (*side, order, true));
    for (side, order, crossed) in bids.chain(offers).chain(crossed) {
        let (filled, traded) = (Energy::ZERO, Energy::ZERO);
        let standing = Standing { order, side, crossed, filled, traded, answered: false };
        if standings.insert(order.id, standing).is_some() {
            return Err(BrokenLaw::OrderTwice(order.id));
        }
    }
    Ok(standings)
}

fn read_fills(result: &ClearingResult, standings: &mut Standings<'_>) -> Result<(), BrokenLaw> {
    for fill in &result.fills {
        let wrong = BrokenLaw::WrongFill(fill.order);
        let standing = standings.get_mut(&fill.order).ok_or(wrong.clone())?;
        let owned = fill.side == standing.side && fill.party == standing.order.party;
        let first = standing.filled.is_zero() && !standing.crossed;
        if !owned || !first || !fill.energy.is_positive() {
            return Err(wrong);
        }
        standing.filled = fill.energy;
    }
    Ok(())
}

fn check_volume(result: &ClearingResult) -> Result<(), BrokenLaw> {
    let of_side = |side| {
        let fills = result.fills.iter().filter(move |fill| fill.side == side);
        Energy::sum(fills.map(|fill| fill.energy))
    };
    let (bought, sold, volume) = (of_side(Side::Buy)?, of_side(Side::Sell)?, result.volume);
    if bought == sold && sold == volume {
        Ok(())
    } else {
        Err(BrokenLaw::BoughtNotSold { bought, sold, volume })
    }
}

impl Standing<'_> {
    /// How much of the order has a limit that is better than the price.
    fn better_than(&self, price: Price) -> Result<Energy, Overflow> {
        let better = self.order.steps.iter().filter(|step| match self.side {
            Side::Buy => step.limit > price,
            Side::Sell => step.limit < price,
        });
        Energy::sum(better.map(|step| step.energy))
    }

    /// How much of the order has exactly the price as its limit.
    fn at(&self, price: Price) -> Result<Energy, Overflow> {
        let equal = self.order.steps.iter().filter(|step| step.limit == price);
        Energy::sum(equal.map(|step| step.energy))
    }

    /// The best limit that was not filled to the end; nothing of a crossed order is left over.
    fn best_left(&self) -> Result<Option<Price>, Overflow> {
        let mut filled = self.filled;
        for step in &self.order.steps {
            if filled < step.energy && !self.crossed {
                return Ok(Some(step.limit));
            }
            filled = filled.minus(step.energy)?;
        }
        Ok(None)
    }
}

fn check_limits(standing: &Standing<'_>, price: Option<Price>) -> Result<(), BrokenLaw> {
    let (order, filled) = (standing.order.id, standing.filled);
    let (due, at_margin) = match price {
        Some(price) => (standing.better_than(price)?, standing.at(price)?),
        None => (Energy::ZERO, Energy::ZERO),
    };
    let allowed = due.plus(at_margin)?;
    if filled > allowed {
        return Err(BrokenLaw::BeyondLimit { order, filled, price, allowed });
    }
    if filled < due && !standing.crossed {
        return Err(BrokenLaw::LeftOut { order, filled, due, price });
    }
    Ok(())
}

fn check_no_pair_left(standings: &Standings<'_>) -> Result<(), BrokenLaw> {
    let (mut best_bid, mut best_offer) = (None, None);
    for standing in standings.values() {
        let Some(limit) = standing.best_left()? else { continue };
        match standing.side {
            Side::Buy => best_bid = best_bid.max(Some(limit)),
            Side::Sell => {
                best_offer = Some(best_offer.map_or(limit, |best: Price| best.min(limit)));
            }
        }
    }
    match (best_bid, best_offer) {
        (Some(bid), Some(offer)) if bid >= offer => Err(BrokenLaw::UnmatchedPair { bid, offer }),
        _ => Ok(()),
    }
}

/// Each share at the margin lies less than one watt-hour off its exact part: `|share x all claims -
/// claim x all shares| < all claims`.
fn check_margin(standings: &Standings<'_>, side: Side, price: Price) -> Result<(), BrokenLaw> {
    let mut margin = Vec::new();
    for standing in standings.values().filter(|s| s.side == side && !s.crossed) {
        let (claim, better) = (standing.at(price)?, standing.better_than(price)?);
        if claim.is_positive() {
            margin.push((standing.order.id, claim, standing.filled.minus(better)?));
        }
    }
    let claims = Energy::sum(margin.iter().map(|(_, claim, _)| *claim))?;
    let shares = Energy::sum(margin.iter().map(|(_, _, share)| *share))?;
    let times = |a: Energy, b: Energy| i128::from(a.wh()).saturating_mul(i128::from(b.wh()));
    for (order, claim, share) in margin {
        let off = times(share, claims).saturating_sub(times(claim, shares));
        if off.saturating_abs() >= i128::from(claims.wh()) {
            return Err(BrokenLaw::NotProRata { order, claim, share });
        }
    }
    Ok(())
}

fn check_trades(result: &ClearingResult, standings: &mut Standings<'_>) -> Result<(), BrokenLaw> {
    for trade in &result.trades {
        let (paid, received, charge) = (trade.buyer_amount, trade.seller_amount, trade.charge);
        if received.plus(charge)? != paid {
            return Err(BrokenLaw::MoneyLost { paid, received, charge });
        }
        if !belongs(trade, result, standings)? {
            return Err(BrokenLaw::WrongTrade { bid: trade.bid, offer: trade.offer });
        }
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
    Ok(())
}

/// Whether a trade is between a bid and an offer of the book, at the one price of its one zone.
fn belongs(
    trade: &Trade,
    result: &ClearingResult,
    standings: &Standings<'_>,
) -> Result<bool, Overflow> {
    let (Some(bid), Some(offer), Some(price)) =
        (standings.get(&trade.bid), standings.get(&trade.offer), result.price)
    else {
        return Ok(false);
    };
    let place = trade.period == result.period && trade.gate == result.gate;
    let sides = bid.side == Side::Buy && offer.side == Side::Sell;
    let parties = bid.order.party == trade.buyer
        && offer.order.party == trade.seller
        && trade.buyer != trade.seller;
    let amount = price.amount_for(trade.energy)?;
    let money = trade.buyer_price == price
        && trade.seller_price == price
        && trade.buyer_amount == amount
        && trade.seller_amount == amount;
    let origin = trade.origin == offer.order.preferences.origin;
    Ok(place && sides && parties && money && origin && trade.energy.is_positive())
}

fn check_answers(result: &ClearingResult, standings: &mut Standings<'_>) -> Result<(), BrokenLaw> {
    if standings.len() != result.answers.len() {
        let (orders, answers) = (standings.len(), result.answers.len());
        return Err(BrokenLaw::Unanswered { orders, answers });
    }
    for answer in &result.answers {
        let wrong = BrokenLaw::WrongAnswer(answer.order);
        let standing = standings.get_mut(&answer.order).ok_or(wrong.clone())?;
        if standing.answered || *answer != true_answer(standing, result)? {
            return Err(wrong);
        }
        standing.answered = true;
    }
    Ok(())
}

fn true_answer(standing: &Standing<'_>, result: &ClearingResult) -> Result<Answer, Overflow> {
    let reason = match (standing.crossed, standing.best_left()?, result.price) {
        (true, ..) => Reason::OwnOrderOpposite,
        (false, None, _) => Reason::Filled,
        (false, Some(_), None) => Reason::NoTrade,
        (false, Some(limit), Some(price)) if limit == price => Reason::SharedAtMargin,
        (false, Some(limit), Some(_)) => Reason::LimitNotReached { limit },
    };
    Ok(Answer {
        order: standing.order.id,
        party: standing.order.party,
        side: standing.side,
        period: result.period,
        gate: result.gate,
        ordered: Energy::sum(standing.order.steps.iter().map(|step| step.energy))?,
        filled: standing.filled,
        price: result.price,
        reason,
    })
}

fn check_welfare(result: &ClearingResult, standings: &Standings<'_>) -> Result<(), BrokenLaw> {
    let mut computed = Money::ZERO;
    for Standing { order, side, filled, .. } in standings.values() {
        let mut left = *filled;
        for step in &order.steps {
            let taken = left.min(step.energy);
            left = left.minus(taken)?;
            let worth = step.limit.amount_for(taken)?;
            computed = match side {
                Side::Buy => computed.plus(worth)?,
                Side::Sell => computed.minus(worth)?,
            };
        }
    }
    let stated = result.welfare;
    if stated == computed { Ok(()) } else { Err(BrokenLaw::WrongWelfare { stated, computed }) }
}
