//! Prices in micro-units of the currency per kilowatt-hour.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use crate::Overflow;
use crate::decimal::{Fixed, NotADecimal, parse_millionths};
use crate::energy::Energy;
use crate::money::Money;

/// A price of energy.
///
/// - **Representation**: a signed 64-bit count of micro-units of the currency per kWh;
///   0.32 EUR/kWh is 320,000.
/// - **Sign**: negative prices are legal: a seller may pay to be rid of energy.
/// - **Rounding**: a price has none; [`Price::amount_for`] rounds once, half to even.
/// - **Overflow**: [`Overflow`], never a wrap.
///
/// ```
/// use market::{energy::Energy, price::Price};
/// let price: Price = "0.325".parse().unwrap();
/// assert_eq!(price.micros_per_kwh(), 325_000);
/// // 3 Wh at 0.3255 per kWh are 976.5 micro-units: half goes to the even neighbour.
/// let odd = Price::from_micros_per_kwh(325_500);
/// assert_eq!(odd.amount_for(Energy::from_wh(3)).unwrap().micros(), 976);
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Price(i64);

impl Price {
    /// A price of nothing.
    pub const ZERO: Self = Self(0);

    /// From micro-units of the currency per kWh.
    pub const fn from_micros_per_kwh(micros: i64) -> Self {
        Self(micros)
    }

    /// In micro-units of the currency per kWh.
    pub const fn micros_per_kwh(self) -> i64 {
        self.0
    }

    /// What `energy` costs at this price: Wh x price / 1000, rounded half to even in 128 bits.
    ///
    /// This is the one place where price and energy meet (design section 2); it is done once per
    /// trade, and the same amount is posted to both sides.
    ///
    /// # Errors
    /// [`Overflow`] if the amount leaves the range.
    pub fn amount_for(self, energy: Energy) -> Result<Money, Overflow> {
        let failed = Overflow::of("price x energy");
        let (price, wh) = (self.0, energy.wh());
        // Nearly every product fits into 64 bits, where the division costs a fraction.
        if let Some(product) = price.checked_mul(wh) {
            let (floor, rest) = (product.div_euclid(1000), product.rem_euclid(1000));
            let up = rounds_up(rest, floor.rem_euclid(2) == 1);
            return floor.checked_add(i64::from(up)).map(Money::from_micros).ok_or(failed);
        }
        let product = i128::from(price).checked_mul(i128::from(wh)).ok_or(failed)?;
        Money::from_thousandths(product)
    }

    /// The mean of prices, weighted by energy and rounded half to even; `None` without any energy.
    ///
    /// # Errors
    /// [`Overflow`] if a sum leaves its range.
    pub fn mean(
        priced: impl IntoIterator<Item = (Self, Energy)>,
    ) -> Result<Option<Self>, Overflow> {
        let failed = Overflow::of("a mean price");
        let (mut amount, mut weight) = (0_i128, 0_i128);
        for (price, energy) in priced {
            let part = i128::from(price.0).checked_mul(i128::from(energy.wh()));
            amount = amount.checked_add(part.ok_or(failed)?).ok_or(failed)?;
            weight = weight.checked_add(i128::from(energy.wh())).ok_or(failed)?;
        }
        Self::per(amount, weight)
    }

    /// An amount in thousandths of a micro-unit by so many watt-hours, rounded half to even; `None`
    /// without any.
    pub(crate) fn per(amount: i128, weight: i128) -> Result<Option<Self>, Overflow> {
        let failed = Overflow::of("a mean price");
        let (Some(floor), Some(rest)) =
            (amount.checked_div_euclid(weight), amount.checked_rem_euclid(weight))
        else {
            return Ok(None);
        };
        let twice = rest.checked_mul(2).ok_or(failed)?;
        let up = twice > weight || (twice == weight && floor.rem_euclid(2) == 1);
        let mean = floor.checked_add(i128::from(up)).ok_or(failed)?;
        i64::try_from(mean).map(|mean| Some(Self(mean))).map_err(|_| failed)
    }

    /// `self + part / 1,000,000 x (upper - self)`, rounded down to a multiple of `tick`: the k-rule
    /// of design section 4 with k given in millionths.
    ///
    /// # Errors
    /// [`Overflow`] if an intermediate value leaves the range.
    pub fn between(self, upper: Self, k_millionths: u32, tick: Tick) -> Result<Self, Overflow> {
        let failed = Overflow::of("the k-rule");
        let span = i128::from(upper.0).checked_sub(i128::from(self.0)).ok_or(failed)?;
        let share = span.checked_mul(i128::from(k_millionths)).ok_or(failed)?;
        let inside = i128::from(self.0).checked_add(share.div_euclid(1_000_000)).ok_or(failed)?;
        let steps = inside.div_euclid(i128::from(tick.0.get()));
        let price = steps.checked_mul(i128::from(tick.0.get())).ok_or(failed)?;
        i64::try_from(price).map(Self).map_err(|_| failed)
    }
}

/// Half to even: whether `rest` thousandths above a number go up to the next one.
fn rounds_up(rest: i64, odd: bool) -> bool {
    rest > 500 || (rest == 500 && odd)
}

impl std::str::FromStr for Price {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_millionths(text).map(Self)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fixed::millionths(self.0).fmt(f)
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/kWh")
    }
}

/// The smallest step between two prices, in micro-units per kWh; at least 1.
///
/// Order limits are multiples of it, so rounding a clearing price down to it never undercuts a
/// seller whose limit is the lower end of the crossing interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Tick(std::num::NonZeroU32);

impl Tick {
    /// From micro-units per kWh; `None` for zero.
    pub fn from_micros_per_kwh(micros: u32) -> Option<Self> {
        std::num::NonZeroU32::new(micros).map(Self)
    }

    /// In micro-units per kWh.
    pub fn micros_per_kwh(self) -> u32 {
        self.0.get()
    }

    /// Whether `price` is a whole number of ticks.
    pub fn divides(self, price: Price) -> bool {
        price.0.checked_rem(i64::from(self.0.get())) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(micros: i64, wh: i64) -> i64 {
        Price::from_micros_per_kwh(micros).amount_for(Energy::from_wh(wh)).unwrap().micros()
    }

    #[test]
    fn halves_go_to_the_even_neighbour_on_both_sides_of_zero() {
        assert_eq!(amount(500, 1), 0);
        assert_eq!(amount(1_500, 1), 2);
        assert_eq!(amount(2_500, 1), 2);
        assert_eq!(amount(-500, 1), 0);
        assert_eq!(amount(-1_500, 1), -2);
        assert_eq!(amount(501, 1), 1);
        assert_eq!(amount(-501, 1), -1);
    }

    #[test]
    fn an_amount_beyond_the_range_is_an_error() {
        assert!(
            Price::from_micros_per_kwh(i64::MAX).amount_for(Energy::from_wh(i64::MAX)).is_err()
        );
    }

    #[test]
    fn the_k_rule_rounds_down_also_below_zero() {
        let tick = Tick::from_micros_per_kwh(10).unwrap();
        let at = |lo: i64, hi: i64, k| {
            let (lo, hi) = (Price::from_micros_per_kwh(lo), Price::from_micros_per_kwh(hi));
            lo.between(hi, k, tick).unwrap().micros_per_kwh()
        };
        assert_eq!(at(80, 90, 500_000), 80);
        assert_eq!(at(80, 100, 500_000), 90);
        assert_eq!(at(-90, -80, 500_000), -90);
        assert_eq!(at(80, 100, 0), 80);
        assert_eq!(at(80, 100, 1_000_000), 100);
    }
}
