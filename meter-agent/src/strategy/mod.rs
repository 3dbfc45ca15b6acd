//! Strategies: from what a household expects to have to what it wants for it.
//!
//! | kind | how it prices | for whom |
//! |---|---|---|
//! | `truthful` | what the energy is worth, neither more nor less | everybody; the default |
//! | `concession` | from the first price to the last one towards the last gate | communities with several gates |
//! | `adaptive` | with a margin learnt from public auction results ([`zip`]) | who wants to earn more and risks to trade less |
//!
//! A seller that promises a watt-hour which it has with probability p gives up the feed-in tariff
//! with probability p, and with probability 1 - p must buy the missing watt-hour at the retail
//! tariff. So what a promised watt-hour is worth is
//!
//! ```text
//! offer  feed_in + (1 - p) (retail - feed_in)
//! bid    retail  - (1 - p) (retail - feed_in)
//! ```
//!
//! and the forecast's distribution becomes a price curve: the energy that is almost certain at a
//! limit near the tariff, the doubtful part at a worse one. No strategy asks for less or pays more
//! than that, and the owner's own limits (`sell_floor`, `buy_cap`) bound every curve.
//!
//! All of it is a pure function ([`plan`]) of forecast, tariffs, limits, the time to the gate and
//! what public auctions have taught, so that a simulator can call it.

mod pricing;
pub mod standing;
pub mod zip;

use borsh::{BorshDeserialize, BorshSerialize};
use market::energy::Energy;
use market::order::{Side, Step};
use market::price::{Price, Tick};
use market::tariff::Rates;
use rand::Rng;

use self::pricing::{Pricing, whole};
use self::zip::ZipTrader;
use crate::forecast::NetPosition;

/// How an owner trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrategyKind {
    /// Orders at what the energy is worth to the household.
    #[default]
    Truthful,
    /// From a first price at the first gate to a last price at the last gate, in a straight line
    /// over time: Faratin, Sierra and Jennings 1998, "Negotiation decision functions for autonomous
    /// agents", the linear time-dependent tactic.
    Concession(Concession),
    /// With margins that public auction results raise and lower: [`zip`].
    Adaptive,
}

/// Between which prices a household concedes; what is `None` is left to the tariffs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concession {
    /// Asked for at the first gate; the retail tariff.
    pub sell_first: Option<Price>,
    /// Asked for at the last gate; what the energy is worth.
    pub sell_last: Option<Price>,
    /// Bid at the first gate; the feed-in tariff.
    pub buy_first: Option<Price>,
    /// Bid at the last gate; what the energy is worth.
    pub buy_last: Option<Price>,
}

/// The limits that an owner sets; `None` leaves them to the tariffs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerLimits {
    /// Never sell below this.
    pub sell_floor: Option<Price>,
    /// Never buy above this.
    pub buy_cap: Option<Price>,
}

/// What a strategy has to know of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketView {
    /// What the supplier charges and pays.
    pub rates: Rates,
    /// Limits are multiples of this.
    pub tick: Tick,
    /// No limit lies below this.
    pub price_min: Price,
    /// No limit lies above this.
    pub price_max: Price,
}

/// What earlier gates have traded already for a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traded {
    /// Sold; not negative.
    pub sold: Energy,
    /// Bought; not negative.
    pub bought: Energy,
}

/// How far the gates of a period have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeToGate {
    /// From the gate for which an order counts now to the last gate, in milliseconds of market
    /// time; 0 if it is the last.
    pub remaining_ms: u64,
    /// From the first gate to the last.
    pub whole_ms: u64,
}

/// What a household is and knows when it plans its order for a period.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What it expects to have.
    pub position: &'a NetPosition,
    /// What earlier gates have traded.
    pub traded: Traded,
    /// Tariffs and the rules of limits.
    pub market: MarketView,
    /// How far the gates have come.
    pub time_to_gate: TimeToGate,
    /// What auctions have taught.
    pub margins: &'a Margins,
    /// The most that may be bought and sold in a period, filled and ordered together.
    pub room: (Energy, Energy),
}

/// A price curve that a household wants to stand in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// Bid or offer.
    pub side: Side,
    /// Best limit first; never empty.
    pub steps: Vec<Step>,
}

/// Less than this is not worth an order.
pub const ORDER_MIN: Energy = Energy::from_wh(5);

/// The probabilities of a curve's steps. They end at one half: energy that is rather not there would
/// be a bet, at whatever limit.
const PROBABILITIES: [f64; 4] = [0.95, 0.8, 0.65, 0.5];

/// What a household should have in the book for a period: a curve on one side, or nothing.
pub fn plan(kind: StrategyKind, limits: OwnerLimits, situation: &Situation<'_>) -> Option<Curve> {
    let Situation { position, traded, room: (import_max, export_max), .. } = *situation;
    let committed_wh = wh(traded.sold) - wh(traded.bought);
    let open_wh = position.expected_wh - committed_wh;
    if open_wh.abs() < wh(ORDER_MIN) {
        return None;
    }
    let (side, room) = if open_wh >= 0.0 {
        (Side::Sell, export_max.excess_over(traded.sold).ok()?)
    } else {
        (Side::Buy, import_max.excess_over(traded.bought).ok()?)
    };
    let pricing = Pricing { side, kind, limits, situation };
    let mut steps: Vec<Step> = Vec::new();
    let mut placed_wh = 0_i64;
    for probability in PROBABILITIES {
        let there_wh = match side {
            Side::Sell => position.quantile(1.0 - probability) - committed_wh,
            Side::Buy => committed_wh - position.quantile(probability),
        };
        let up_to_wh = whole(there_wh.min(open_wh.abs())).clamp(0, room.wh());
        let step_wh = up_to_wh.saturating_sub(placed_wh);
        if step_wh <= 0 {
            continue;
        }
        let Some(limit) = pricing.limit(probability) else { continue };
        match steps.last_mut().filter(|last| last.limit == limit) {
            Some(last) => last.energy = last.energy.plus(Energy::from_wh(step_wh)).ok()?,
            None => steps.push(Step { limit, energy: Energy::from_wh(step_wh) }),
        }
        placed_wh = up_to_wh;
    }
    (placed_wh >= ORDER_MIN.wh()).then_some(Curve { side, steps })
}

/// What public auctions have taught a household: one trader for each side. Kept across restarts.
#[derive(Debug, Clone, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Margins {
    seller: ZipTrader,
    buyer: ZipTrader,
}

/// What a gate decided in a household's zone, for all to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuctionResult {
    /// The clearing price; `None` if nothing was traded.
    pub price: Option<Price>,
    /// The tariffs of the period that was traded.
    pub rates: Rates,
}

impl Margins {
    /// Before the first auction: margins drawn as Cliff draws them.
    pub fn draw(rng: &mut impl Rng) -> Self {
        Self { seller: ZipTrader::draw(Side::Sell, rng), buyer: ZipTrader::draw(Side::Buy, rng) }
    }

    /// Learns from an auction. `ordered` tells on which side this household had an order in it: a
    /// side that took part lowers its margin when it did not trade at that price.
    ///
    /// A call auction has one price, and it is an accepted bid and an accepted offer at once. An
    /// auction without a trade has no price to learn from.
    pub fn hear(&mut self, result: &AuctionResult, ordered: Option<Side>, rng: &mut impl Rng) {
        let Some(price) = result.price else { return };
        let Some(scale) = pricing::Scale::of(&result.rates) else { return };
        let price = scale.position(price);
        for (side, trader) in [(Side::Sell, &mut self.seller), (Side::Buy, &mut self.buyer)] {
            let from = match side {
                Side::Sell => Side::Buy,
                Side::Buy => Side::Sell,
            };
            let shout = zip::Shout { from, price, accepted: true };
            trader.hear(shout, scale.tariff(side), ordered == Some(side), rng);
        }
    }

    fn of(&self, side: Side) -> &ZipTrader {
        match side {
            Side::Sell => &self.seller,
            Side::Buy => &self.buyer,
        }
    }
}

fn wh(energy: Energy) -> f64 {
    energy.wh() as f64
}

#[cfg(test)]
mod tests;
