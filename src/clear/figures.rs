//! Figures in a file: decimals and whole numbers, read strictly and in words if they are wrong.

use market::decimal::parse_millionths;
use market::energy::Energy;
use market::price::Price;

/// The places of a decimal.
const PLACES: usize = 6;

/// The largest price, in millionths: clearing counts in halves of them.
const PRICE_MAX: i64 = i64::MAX / 2;

/// Reads a price per kWh.
///
/// # Errors
/// What was expected instead.
pub(crate) fn price(text: &str) -> Result<Price, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        let point = text.contains(',') && !text.contains('.');
        let advice = if point { ", with a point and not a comma" } else { "" };
        return Err(format!("a decimal number such as 0.25 or -3{advice}"));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > PLACES {
        return Err(format!("at most {PLACES} places"));
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let micros = parse_millionths(&format!("{sign}{whole}.{fraction}0")).ok();
    let micros = micros.filter(|micros| (-PRICE_MAX..=PRICE_MAX).contains(micros));
    micros.map(Price::from_micros_per_kwh).ok_or_else(|| {
        let most = Price::from_micros_per_kwh(PRICE_MAX);
        format!("a price from -{most} to {most}")
    })
}

/// Reads an energy of at least `least` Wh.
///
/// # Errors
/// What was expected instead.
pub(crate) fn energy(text: &str, least: i64) -> Result<Energy, String> {
    let whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole {
        let bound = if least > 0 { "above 0" } else { "from 0 on" };
        return Err(format!("a whole number of Wh {bound}"));
    }
    let wh = text.parse().map_err(|_| format!("at most {} Wh", i64::MAX))?;
    if wh < least {
        return Err("a whole number of Wh above 0".to_owned());
    }
    Ok(Energy::from_wh(wh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_to_the_millionth_and_never_rounded() {
        for (text, micros) in [
            ("0.25", 250_000),
            ("-3", -3_000_000),
            ("+1.5", 1_500_000),
            (".5", 500_000),
            ("5.", 5_000_000),
            ("0.1234560000000000000000000000000000", 123_456),
            ("00012", 12_000_000),
            ("4611686018427.387903", i64::MAX / 2),
            ("-4611686018427.387903", -i64::MAX / 2),
        ] {
            assert_eq!(price(text), Ok(Price::from_micros_per_kwh(micros)), "{text}");
        }
        for (text, expected) in [
            ("", "decimal number"),
            (".", "decimal number"),
            ("-", "decimal number"),
            ("--1", "decimal number"),
            ("1e-3", "decimal number"),
            ("1_000", "decimal number"),
            ("NaN", "decimal number"),
            ("1.2.3", "decimal number"),
            ("٣", "decimal number"),
            ("0,25", "a point and not a comma"),
            ("0.1234567", "at most 6 places"),
            ("0.12345600000000000000000000000000001", "at most 6 places"),
            ("4611686018427.387904", "a price from -4611686018427.387903 to"),
            ("-4611686018427.387904", "a price from -4611686018427.387903 to"),
            ("9223372036854.775807", "a price from -4611686018427.387903 to"),
            ("99999999999999999999999999999999999999", "a price from"),
        ] {
            assert!(price(text).is_err_and(|told| told.contains(expected)), "{text}");
        }
    }

    #[test]
    fn energies_are_whole_watt_hours() {
        assert_eq!(energy("1", 1), Ok(Energy::from_wh(1)));
        assert_eq!(energy("0", 0), Ok(Energy::ZERO));
        assert_eq!(energy("9223372036854775807", 1), Ok(Energy::from_wh(i64::MAX)));
        for (text, expected) in [
            ("0", "above 0"),
            ("-5", "above 0"),
            ("1.5", "whole number"),
            ("", "whole number"),
            ("1kWh", "whole number"),
            ("9223372036854775808", "at most 9223372036854775807"),
        ] {
            assert!(energy(text, 1).is_err_and(|told| told.contains(expected)), "{text}");
        }
        assert!(energy("-1", 0).is_err_and(|told| told.contains("from 0 on")));
    }
}
