//! Money in micro-units of the community's currency.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

use crate::Overflow;
use crate::decimal::Fixed;

/// An amount of money.
///
/// - **Representation**: a signed 64-bit count of micro-units; 1 EUR is 1,000,000.
/// - **Sign**: the name of a field says who owes whom; a negative amount turns the direction.
/// - **Rounding**: none here; see [`crate::price::Price::amount_for`].
/// - **Overflow**: [`Overflow`], never a wrap. The range is about 9.2 million million units.
///
/// ```
/// use market::money::Money;
/// let bill = Money::from_micros(4_185_000);
/// assert_eq!(bill.to_string(), "4.185000");
/// assert_eq!(bill.plus(bill.negated().unwrap()).unwrap(), Money::ZERO);
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From micro-units.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In micro-units.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// From thousandths of a micro-unit, rounded half to even: the unit of micro-units per kWh
    /// times watt-hours.
    ///
    /// # Errors
    /// [`Overflow`] if the amount leaves the range.
    pub fn from_thousandths(thousandths: i128) -> Result<Self, Overflow> {
        let failed = Overflow::of("price x energy");
        // Nearly every product fits into 64 bits, where the division costs a fraction.
        if let Ok(thousandths) = i64::try_from(thousandths) {
            let (floor, rest) = (thousandths.div_euclid(1000), thousandths.rem_euclid(1000));
            let up = rest > 500 || (rest == 500 && floor.rem_euclid(2) == 1);
            return floor.checked_add(i64::from(up)).map(Self).ok_or(failed);
        }
        let (floor, rest) = (thousandths.div_euclid(1000), thousandths.rem_euclid(1000));
        let up = rest > 500 || (rest == 500 && floor.rem_euclid(2) == 1);
        let rounded = floor.checked_add(i128::from(up)).ok_or(failed)?;
        i64::try_from(rounded).map(Self).map_err(|_| failed)
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
            Some(micros) => Ok(Self(micros)),
            None => Err(Overflow::of("a sum of money")),
        }
    }

    /// The difference.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub const fn minus(self, other: Self) -> Result<Self, Overflow> {
        match self.0.checked_sub(other.0) {
            Some(micros) => Ok(Self(micros)),
            None => Err(Overflow::of("a difference of money")),
        }
    }

    /// The same amount in the other direction.
    ///
    /// # Errors
    /// [`Overflow`] for the one value without a counterpart.
    pub const fn negated(self) -> Result<Self, Overflow> {
        Self::ZERO.minus(self)
    }

    /// The sum of many.
    ///
    /// # Errors
    /// [`Overflow`] if it leaves the range.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, Overflow> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Fixed::millionths(self.0).fmt(f)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
