//! Energy in whole watt-hours.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use crate::Overflow;

/// An amount of energy.
///
/// - **Representation**: a signed 64-bit count of watt-hours (Wh).
/// - **Sign**: quantities of orders, trades and registers are never negative; a difference
///   (an imbalance) may be. Whoever needs a sign says so in the name of the field.
/// - **Rounding**: none; fractions of a watt-hour do not exist here. The meter agent rounds
///   cumulative counters down, so the sum of its intervals never exceeds the counter.
/// - **Overflow**: the checked operations return [`Overflow`]; nothing wraps.
///
/// ```
/// use market::energy::Energy;
/// let sold = Energy::from_wh(1_250);
/// let metered = Energy::from_wh(1_000);
/// let short = sold.minus(metered).unwrap();
/// assert_eq!(short.wh(), 250);
/// assert_eq!(sold.to_string(), "1.250 kWh");
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Energy(i64);

impl Energy {
    /// No energy at all.
    pub const ZERO: Self = Self(0);

    /// From watt-hours.
    pub const fn from_wh(wh: i64) -> Self {
        Self(wh)
    }

    /// In watt-hours.
    pub const fn wh(self) -> i64 {
        self.0
    }

    /// Whether there is some, and it is not negative.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether it is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub const fn plus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_add(other.0) {
            Some(wh) => Ok(Self(wh)),
            None => Err(Overflow::of("a sum of energies")),
        }
    }

    /// The difference, negative if `other` is larger.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub const fn minus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_sub(other.0) {
            Some(wh) => Ok(Self(wh)),
            None => Err(Overflow::of("a difference of energies")),
        }
    }

    /// By how much `self` exceeds `other`; zero if it does not.
    ///
    /// # Errors
    /// [`Overflow`] if the difference leaves the range.
    pub fn excess_over(self, other: Self) -> Result<Self, Overflow> {
        Ok(self.minus(other)?.max(Self::ZERO))
    }

    /// The sum of many.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub fn sum(energies: impl IntoIterator<Item = Self>) -> Result<Self, Overflow> {
        energies.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kWh", crate::decimal::Fixed::thousandths(self.0))
    }
}

impl fmt::Debug for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Wh", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_beyond_the_range_is_an_error() {
        assert!(Energy::from_wh(i64::MAX).plus(Energy::from_wh(1)).is_err());
        assert!(Energy::from_wh(i64::MIN).minus(Energy::from_wh(1)).is_err());
    }

    #[test]
    fn excess_is_never_negative() {
        let (small, large) = (Energy::from_wh(3), Energy::from_wh(10));
        assert_eq!(large.excess_over(small), Ok(Energy::from_wh(7)));
        assert_eq!(small.excess_over(large), Ok(Energy::ZERO));
    }

    #[test]
    fn negative_energy_prints_its_sign_once() {
        assert_eq!(Energy::from_wh(-50).to_string(), "-0.050 kWh");
    }
}
