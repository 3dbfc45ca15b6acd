//! A month as people name it, and as the community's clocks count it.

use std::str::FromStr;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use ledger::genesis::Genesis;
use ledger_node::statement::Span;
use market::time::Timestamp;

use crate::failure::Failure;

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Month {
    first: Date,
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("expected a month such as 2026-11, found {text:?}");
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
            return Err(bad());
        }
        let (year, month) = (year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?);
        if !(1..=12).contains(&month) || !(1970..=9998).contains(&year) {
            return Err(bad());
        }
        Ok(Self { first: date(year, month, 1) })
    }
}

impl Month {
    /// From its first instant on and before the next month's, where the community lives.
    ///
    /// # Errors
    /// [`Failure`] if this program does not know the community's time zone.
    pub(crate) fn span(self, genesis: &Genesis) -> Result<Span, Failure> {
        let zone = TimeZone::get(&genesis.time_zone).map_err(Failure::start)?;
        let start = |date: Date| -> Result<Timestamp, Failure> {
            let zoned = date.to_zoned(zone.clone()).map_err(Failure::start)?;
            Ok(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
        };
        let next = self.first.last_of_month().tomorrow().map_err(Failure::start)?;
        Ok(Span { from: start(self.first)?, until: start(next)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_and_ends_where_the_community_lives() {
        let genesis = include_str!("../tests/golden/genesis.toml");
        let genesis = ledger::genesis::read(genesis).expect("a genesis");
        assert_eq!(genesis.time_zone, "Europe/Berlin");
        let span = |text: &str| text.parse::<Month>().expect("a month").span(&genesis);
        let millis = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
        // The clocks change on 25 October.
        let october = span("2026-10").expect("a span");
        assert_eq!(october.from.as_millis(), millis("2026-10-01T00:00:00+02:00"));
        assert_eq!(october.until.as_millis(), millis("2026-11-01T00:00:00+01:00"));
        let december = span("2026-12").expect("a span");
        assert_eq!(december.until.as_millis(), millis("2027-01-01T00:00:00+01:00"));
        for wrong in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "+026-11"]
        {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
