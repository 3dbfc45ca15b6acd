//! Strategies: from what a household expects to have to what it wants for it.
//!
//! `truthful` says what the energy is worth, neither more nor less. A seller that promises a
//! watt-hour which it has with probability p gives up the feed-in tariff with probability p, and
//! with probability 1 - p must buy the missing watt-hour at the retail tariff. So its limit is
//!
//! ```text
//! offer  feed_in + (1 - p) (retail - feed_in)
//! bid    retail  - (1 - p) (retail - feed_in)
//! ```
//!
//! and the forecast's distribution becomes a price curve: the energy that is almost certain at a
//! limit near the tariff, the doubtful part at a worse one. The owner's own limits (`sell_floor`,
//! `buy_cap`) bound the curve.

use market::energy::Energy;
use market::order::{Side, Step};
use market::price::{Price, Tick};
use market::tariff::Rates;

use crate::forecast::NetPosition;

/// How an owner trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrategyKind {
    /// Orders at what the energy is worth to the household.
    #[default]
    Truthful,
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

/// The steps of a curve: the probability that the energy up to there is there, and how many
/// standard deviations it lies below the expectation (quantiles of the normal distribution). They
/// end at the expectation: energy that is rather not there would be a bet, at whatever limit.
const STEPS: [(f64, f64); 4] = [(0.95, 1.6449), (0.8, 0.8416), (0.65, 0.3853), (0.5, 0.0)];

/// What a household should have in the book for a period: a curve on one side, or nothing.
///
/// `import_max` and `export_max` bound what may be filled and ordered together (admission counts
/// both).
pub fn plan(
    kind: StrategyKind,
    position: &NetPosition,
    traded: Traded,
    limits: OwnerLimits,
    market: &MarketView,
    (import_max, export_max): (Energy, Energy),
) -> Option<Curve> {
    let StrategyKind::Truthful = kind;
    let open_wh = position.expected_wh - wh(traded.sold) + wh(traded.bought);
    if open_wh.abs() < wh(ORDER_MIN) {
        return None;
    }
    let (side, room) = if open_wh >= 0.0 {
        (Side::Sell, export_max.excess_over(traded.sold).ok()?)
    } else {
        (Side::Buy, import_max.excess_over(traded.bought).ok()?)
    };
    let pricing = Pricing { side, limits, market };
    let mut steps: Vec<Step> = Vec::new();
    let mut placed_wh = 0_i64;
    for (probability, deviations) in STEPS {
        let up_to_wh = open_wh.abs() - deviations * position.deviation_wh;
        let up_to_wh = whole(up_to_wh).clamp(0, room.wh());
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

struct Pricing<'a> {
    side: Side,
    limits: OwnerLimits,
    market: &'a MarketView,
}

impl Pricing<'_> {
    /// The limit for energy of a probability; `None` where no admissible limit satisfies the owner.
    fn limit(&self, probability: f64) -> Option<Price> {
        let MarketView { rates, price_min, price_max, .. } = *self.market;
        let (feed_in, retail) =
            (rates.feed_in.micros_per_kwh(), rates.avoidable().micros_per_kwh());
        let doubt = whole((1.0 - probability) * (retail.saturating_sub(feed_in)) as f64);
        let price = match self.side {
            Side::Sell => {
                let worth = Price::from_micros_per_kwh(feed_in.saturating_add(doubt));
                let wanted = worth.max(self.limits.sell_floor.unwrap_or(worth)).max(price_min);
                self.on_tick(wanted, true)?
            }
            Side::Buy => {
                let worth = Price::from_micros_per_kwh(retail.saturating_sub(doubt));
                let wanted = worth.min(self.limits.buy_cap.unwrap_or(worth)).min(price_max);
                self.on_tick(wanted, false)?
            }
        };
        (price_min..=price_max).contains(&price).then_some(price)
    }

    /// The nearest multiple of the tick, above or below.
    fn on_tick(&self, price: Price, up: bool) -> Option<Price> {
        let tick = i64::from(self.market.tick.micros_per_kwh());
        let micros = price.micros_per_kwh();
        let below = micros.checked_sub(micros.rem_euclid(tick))?;
        let rounded = if up && below < micros { below.checked_add(tick)? } else { below };
        Some(Price::from_micros_per_kwh(rounded))
    }
}

fn wh(energy: Energy) -> f64 {
    energy.wh() as f64
}

/// Rounded down to a whole number; beyond the exact range of floats, its end.
fn whole(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the exact range")]
    {
        value.clamp(-9e15, 9e15).floor() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::keys::ChainId;
    use market::member::{MeteringPointId, PartyId};
    use market::order::{Order, Preferences};
    use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn view() -> MarketView {
        MarketView {
            rates: Rates::flat(price("0.32"), price("0.08")),
            tick: Tick::from_micros_per_kwh(1_000).unwrap(),
            price_min: price("0"),
            price_max: price("1"),
        }
    }

    fn position(expected_wh: f64, deviation_wh: f64) -> NetPosition {
        let start = Timestamp::from_millis(0);
        let period = DeliveryPeriod::starting_at(start, PeriodLength::Minutes15).unwrap();
        NetPosition { period, expected_wh, deviation_wh }
    }

    const ROOM: (Energy, Energy) = (Energy::from_wh(5_000), Energy::from_wh(2_000));

    fn plan_for(position: NetPosition, traded: Traded, limits: OwnerLimits) -> Option<Curve> {
        plan(StrategyKind::Truthful, &position, traded, limits, &view(), ROOM)
    }

    #[test]
    fn a_surplus_is_offered_the_more_doubtful_the_dearer() {
        let curve =
            plan_for(position(500.0, 100.0), Traded::default(), OwnerLimits::default()).unwrap();
        assert_eq!(curve.side, Side::Sell);
        let steps: Vec<_> = curve.steps.iter().map(|s| (s.limit, s.energy.wh())).collect();
        assert_eq!(steps[0], (price("0.092"), 335));
        assert_eq!(steps[3], (price("0.2"), 39));
        assert_eq!(steps.iter().map(|(_, wh)| wh).sum::<i64>(), 500);
        assert!(steps.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_deficit_is_bid_for_and_the_owner_has_the_last_word() {
        let limits = OwnerLimits { buy_cap: Some(price("0.2505")), ..OwnerLimits::default() };
        let curve = plan_for(position(-500.0, 50.0), Traded::default(), limits).unwrap();
        assert_eq!(curve.side, Side::Buy);
        assert_eq!(curve.steps[0].limit, price("0.25"), "down to the tick");
        let limits = OwnerLimits { sell_floor: Some(price("0.2505")), ..OwnerLimits::default() };
        let curve = plan_for(position(500.0, 50.0), Traded::default(), limits).unwrap();
        assert_eq!(curve.steps[0].limit, price("0.251"), "up to the tick");
        let beyond = OwnerLimits { sell_floor: Some(price("1.5")), ..OwnerLimits::default() };
        assert_eq!(plan_for(position(500.0, 50.0), Traded::default(), beyond), None);
    }

    #[test]
    fn what_is_traded_already_is_not_ordered_again() {
        let traded = Traded { sold: Energy::from_wh(480), ..Traded::default() };
        let curve = plan_for(position(500.0, 6.0), traded, OwnerLimits::default()).unwrap();
        let total = Energy::sum(curve.steps.iter().map(|step| step.energy)).unwrap();
        assert!(total.wh() <= 20);
        let curve = plan_for(position(-100.0, 6.0), traded, OwnerLimits::default()).unwrap();
        assert_eq!(curve.side, Side::Buy, "what was sold and will be missing is bought back");
    }

    proptest! {
        #[test]
        fn every_order_is_admissible_and_within_the_owners_limits(
            expected_wh in -10_000.0_f64..10_000.0,
            deviation_wh in 0.1_f64..5_000.0,
            sold in 0_i64..3_000,
            bought in 0_i64..6_000,
            sell_floor in prop::option::of(-200_000_i64..1_200_000),
            buy_cap in prop::option::of(-200_000_i64..1_200_000),
        ) {
            let traded = Traded { sold: Energy::from_wh(sold), bought: Energy::from_wh(bought) };
            let limits = OwnerLimits {
                sell_floor: sell_floor.map(Price::from_micros_per_kwh),
                buy_cap: buy_cap.map(Price::from_micros_per_kwh),
            };
            let position = position(expected_wh, deviation_wh);
            let Some(curve) = plan_for(position, traded, limits) else { return Ok(()) };
            let order = Order {
                community: ChainId::from_bytes([0; 32]),
                party: PartyId::from_bytes([0; 16]),
                metering_point: MeteringPointId::from_bytes([0; 16]),
                period: position.period,
                side: curve.side,
                steps: curve.steps.clone(),
                sequence: 1,
                preferences: Preferences::default(),
            };
            prop_assert_eq!(order.check_form(), Ok(()));
            let market = view();
            for step in &curve.steps {
                prop_assert!(market.tick.divides(step.limit));
                prop_assert!((market.price_min..=market.price_max).contains(&step.limit));
                match curve.side {
                    Side::Sell => prop_assert!(limits.sell_floor.is_none_or(|f| step.limit >= f)),
                    Side::Buy => prop_assert!(limits.buy_cap.is_none_or(|cap| step.limit <= cap)),
                }
            }
            let total = order.energy().unwrap().wh();
            let (filled, max) = match curve.side {
                Side::Sell => (sold, ROOM.1.wh()),
                Side::Buy => (bought, ROOM.0.wh()),
            };
            prop_assert!(total + filled <= max);
        }
    }
}
