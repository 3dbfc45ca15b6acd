//! The limit of one step of a curve.

use market::order::Side;
use market::price::{Price, Tick};
use market::tariff::Rates;

use crate::strategy::{Concession, OwnerLimits, Situation, StrategyKind};

pub(super) struct Pricing<'a> {
    pub(super) side: Side,
    pub(super) kind: StrategyKind,
    pub(super) limits: OwnerLimits,
    pub(super) situation: &'a Situation<'a>,
}

impl Pricing<'_> {
    /// The limit for energy of a probability; `None` where no admissible limit satisfies the owner.
    pub(super) fn limit(&self, probability: f64) -> Option<Price> {
        let market = &self.situation.market;
        let worth = self.worth(probability);
        let wanted = match self.kind {
            StrategyKind::Truthful => worth,
            StrategyKind::Concession(concession) => self.concede(concession, worth),
            StrategyKind::Adaptive => self.with_margin(worth),
        };
        let price = match self.side {
            Side::Sell => {
                let floor = self.limits.sell_floor.unwrap_or(worth).max(worth);
                on_tick(wanted.max(floor).max(market.price_min), market.tick, true)?
            }
            Side::Buy => {
                let cap = self.limits.buy_cap.unwrap_or(worth).min(worth);
                on_tick(wanted.min(cap).min(market.price_max), market.tick, false)?
            }
        };
        (market.price_min..=market.price_max).contains(&price).then_some(price)
    }

    /// What a promised kWh of this probability is worth; the strategies' common bound.
    fn worth(&self, probability: f64) -> Price {
        let (feed_in, retail) = corridor(&self.situation.market.rates);
        let doubt = whole((1.0 - probability) * (retail.saturating_sub(feed_in)) as f64);
        Price::from_micros_per_kwh(match self.side {
            Side::Sell => feed_in.saturating_add(doubt),
            Side::Buy => retail.saturating_sub(doubt),
        })
    }

    fn concede(&self, concession: Concession, worth: Price) -> Price {
        let rates = &self.situation.market.rates;
        let (first, last) = match self.side {
            Side::Sell => (
                concession.sell_first.unwrap_or(rates.avoidable()),
                concession.sell_last.unwrap_or(worth).max(worth),
            ),
            Side::Buy => (
                concession.buy_first.unwrap_or(rates.feed_in),
                concession.buy_last.unwrap_or(worth).min(worth),
            ),
        };
        let time = self.situation.time_to_gate;
        let left = match time.whole_ms {
            0 => 0.0,
            whole_ms => (time.remaining_ms as f64 / whole_ms as f64).clamp(0.0, 1.0),
        };
        let (from, to) = (first.micros_per_kwh(), last.micros_per_kwh());
        let above = whole(left * from.saturating_sub(to) as f64);
        Price::from_micros_per_kwh(to.saturating_add(above))
    }

    fn with_margin(&self, worth: Price) -> Price {
        let Some(scale) = Scale::of(&self.situation.market.rates) else { return worth };
        let trader = self.situation.margins.of(self.side);
        // Nobody sane pays more than the supplier takes, or sells for less than it gives.
        scale.price(trader.price(scale.position(worth)).clamp(FEED_IN, RETAIL))
    }
}

/// The nearest multiple of the tick, above or below.
pub(super) fn on_tick(price: Price, tick: Tick, up: bool) -> Option<Price> {
    let tick = i64::from(tick.micros_per_kwh());
    let micros = price.micros_per_kwh();
    let below = micros.checked_sub(micros.rem_euclid(tick))?;
    let rounded = if up && below < micros { below.checked_add(tick)? } else { below };
    Some(Price::from_micros_per_kwh(rounded))
}

/// The feed-in tariff on [`Scale`].
const FEED_IN: f64 = 1.0;
/// The retail tariff on [`Scale`].
const RETAIL: f64 = 2.0;

/// Prices between the tariffs as numbers from 1 (feed-in) to 2 (retail): of the size of those in
/// Cliff's experiments, whatever the currency, and above zero also where the feed-in tariff is not.
pub(super) struct Scale {
    feed_in: i64,
    width: i64,
}

impl Scale {
    /// `None` where the tariffs leave nothing to trade for.
    pub(super) fn of(rates: &Rates) -> Option<Self> {
        let (feed_in, retail) = corridor(rates);
        let width = retail.saturating_sub(feed_in);
        (width > 0).then_some(Self { feed_in, width })
    }

    pub(super) fn position(&self, price: Price) -> f64 {
        let above = price.micros_per_kwh().saturating_sub(self.feed_in);
        FEED_IN + above as f64 / self.width as f64
    }

    fn price(&self, position: f64) -> Price {
        let above = whole((position - FEED_IN) * self.width as f64);
        Price::from_micros_per_kwh(self.feed_in.saturating_add(above))
    }

    /// What certain energy is worth.
    pub(super) fn tariff(&self, side: Side) -> f64 {
        match side {
            Side::Sell => FEED_IN,
            Side::Buy => RETAIL,
        }
    }
}

/// What the supplier gives, and what buying from a neighbour saves, per kWh.
fn corridor(rates: &Rates) -> (i64, i64) {
    (rates.feed_in.micros_per_kwh(), rates.avoidable().micros_per_kwh())
}

/// Rounded down to a whole number; beyond the exact range of floats, its end.
pub(super) fn whole(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the exact range")]
    {
        value.clamp(-9e15, 9e15).floor() as i64
    }
}
