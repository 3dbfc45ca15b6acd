//! Standing curves, for a gate after delivery.
//!
//! There the meter has said how much, so nobody forecasts and nothing is left to concede: what
//! remains is at which limit. Without limits of the owner's that is the tariffs' own, which is what
//! the market takes for a household that says nothing.

use market::energy::Energy;
use market::order::{Side, Step};
use market::price::{Price, Tick};

use crate::strategy::OwnerLimits;
use crate::strategy::pricing::on_tick;

/// Any energy will do: the last step of a standing curve holds for all that is metered.
const STEP: Energy = Energy::from_wh(1_000);

/// The steps of the curve that an owner's limits ask for; none where the default will do.
///
/// A limit beyond what the community admits becomes the furthest that it does: a curve cannot say
/// "not at all".
pub fn steps(
    side: Side,
    limits: OwnerLimits,
    tick: Tick,
    (price_min, price_max): (Price, Price),
) -> Vec<Step> {
    let limit = match side {
        Side::Sell => limits.sell_floor,
        Side::Buy => limits.buy_cap,
    };
    let Some(limit) = limit else { return Vec::new() };
    let within = limit.clamp(price_min, price_max);
    let rounded = on_tick(within, tick, side == Side::Sell).unwrap_or(within);
    let inward = match side {
        _ if (price_min..=price_max).contains(&rounded) => Some(rounded),
        Side::Sell => on_tick(price_max, tick, false),
        Side::Buy => on_tick(price_min, tick, true),
    };
    inward.map(|limit| vec![Step { limit, energy: STEP }]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn only_an_owners_limit_makes_a_curve() {
        let tick = Tick::from_micros_per_kwh(1_000).unwrap();
        let of = |side, limits| -> Option<Price> {
            let steps = steps(side, limits, tick, (price("0"), price("1")));
            assert!(steps.len() <= 1);
            steps.first().map(|step| step.limit)
        };
        let none = OwnerLimits::default();
        assert_eq!((of(Side::Buy, none), of(Side::Sell, none)), (None, None));
        let limits =
            OwnerLimits { sell_floor: Some(price("0.1005")), buy_cap: Some(price("0.2505")) };
        assert_eq!(of(Side::Sell, limits), Some(price("0.101")), "up to the tick");
        assert_eq!(of(Side::Buy, limits), Some(price("0.25")), "down to the tick");
        let far = OwnerLimits { sell_floor: Some(price("7")), buy_cap: Some(price("-3")) };
        assert_eq!(of(Side::Sell, far), Some(price("1")));
        assert_eq!(of(Side::Buy, far), Some(price("0")));
    }
}
