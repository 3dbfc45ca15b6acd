//! Integers of record, printed and read as decimals.
//!
//! Amounts are integers wherever they are signed, hashed, stored or compared. People write and
//! read decimals; this module is the only way between the two.

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// An integer shown as a decimal with a fixed number of places.
#[derive(Clone, Copy)]
pub struct Fixed {
    value: i64,
    places: u8,
}

impl Fixed {
    /// `value` thousandths.
    pub const fn thousandths(value: i64) -> Self {
        Self { value, places: 3 }
    }

    /// `value` millionths.
    pub const fn millionths(value: i64) -> Self {
        Self { value, places: 6 }
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(u32::from(self.places));
        let magnitude = self.value.unsigned_abs();
        let sign = if self.value < 0 { "-" } else { "" };
        let whole = magnitude.checked_div(scale).unwrap_or_default();
        let rest = magnitude.checked_rem(scale).unwrap_or_default();
        write!(f, "{sign}{whole}.{rest:0width$}", width = usize::from(self.places))
    }
}

/// A text that is not a decimal of at most six places within the range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a decimal number with at most 6 places, for example 0.325, but found {text:?}")]
pub struct NotADecimal {
    /// What was found instead.
    pub text: String,
}

/// Reads a decimal of at most six places as millionths.
///
/// # Errors
/// [`NotADecimal`] if the text is none, has more places, or leaves the range of 64 bits.
pub fn parse_millionths(text: &str) -> Result<i64, NotADecimal> {
    let fail = || NotADecimal { text: text.to_owned() };
    let text = text.trim();
    // It would read 1_000 as a thousand, and round a text that is longer than it can hold.
    let decimal = Decimal::from_str_exact(text).ok().filter(|_| !text.contains('_'));
    let decimal = decimal.ok_or_else(fail)?;
    let scaled = decimal.checked_mul(Decimal::from(1_000_000)).ok_or_else(fail)?;
    if !scaled.fract().is_zero() {
        return Err(fail());
    }
    scaled.to_i64().ok_or_else(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_reading_are_inverse() {
        for value in [0, 1, -1, 999_999, -1_000_000, 320_000, i64::MAX, i64::MIN] {
            let text = Fixed::millionths(value).to_string();
            assert_eq!(parse_millionths(&text), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_seventh_place_is_refused_not_rounded() {
        assert!(parse_millionths("0.0000001").is_err());
        assert!(parse_millionths("0.0000000000000000000000000000000000001").is_err());
        assert!(parse_millionths("0.32500000000000000000000000000000001").is_err());
        assert_eq!(parse_millionths("0.3250000"), Ok(325_000));
        assert!(parse_millionths("1e99").is_err());
        assert!(parse_millionths("ten").is_err());
        assert!(parse_millionths("1_000").is_err());
    }
}
