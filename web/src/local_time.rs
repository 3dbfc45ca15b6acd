//! The community's local time: exists only where something is shown to people.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use market::time::Timestamp;

/// The time zone in which the community's people see days.
#[derive(Debug, Clone)]
pub(crate) struct LocalZone(TimeZone);

/// A local day as instants: half-open, 23 to 25 hours long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalDay {
    /// The date.
    pub(crate) date: Date,
    /// Its first instant.
    pub(crate) start: Timestamp,
    /// The first instant of the next day.
    pub(crate) end: Timestamp,
}

/// How long a stretch of local time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanLength {
    /// A day, in hours.
    Day,
    /// A week from Monday, in days.
    Week,
    /// A month, in days.
    Month,
    /// A year, in months.
    Year,
}

impl std::str::FromStr for SpanLength {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "day" => Ok(Self::Day),
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            "year" => Ok(Self::Year),
            _ => Err(()),
        }
    }
}

/// A stretch of local time and its parts, which follow each other without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalSpan {
    /// How long it is.
    pub(crate) length: SpanLength,
    /// Its first date.
    pub(crate) first: Date,
    /// Its last date.
    pub(crate) last: Date,
    /// Its first instant.
    pub(crate) start: Timestamp,
    /// The first instant behind it.
    pub(crate) end: Timestamp,
    /// Each part's first instant and the first one behind it.
    pub(crate) parts: Vec<(Timestamp, Timestamp)>,
}

const HOUR_MS: i64 = 3_600_000;

impl LocalZone {
    /// The stretch of a length in which a date lies; `None` thousands of years from now.
    pub(crate) fn span(&self, length: SpanLength, date: Date) -> Option<LocalSpan> {
        let (first, last) = match length {
            SpanLength::Day => (date, date),
            SpanLength::Week => {
                let past = i64::from(date.weekday().to_monday_zero_offset());
                let monday = date.checked_sub(past.days()).ok()?;
                (monday, monday.checked_add(6.days()).ok()?)
            }
            SpanLength::Month => (date.first_of_month(), date.last_of_month()),
            SpanLength::Year => (date.first_of_year(), date.last_of_year()),
        };
        let (start, end) = (self.day(first)?.start, self.day(last)?.end);
        let mut bounds = vec![start];
        let mut next = first;
        while let Some(&bound) = bounds.last().filter(|bound| **bound < end) {
            bounds.push(match length {
                SpanLength::Day => bound.plus_millis(HOUR_MS).min(end),
                SpanLength::Week | SpanLength::Month => {
                    next = next.tomorrow().ok()?;
                    self.day(next)?.start
                }
                SpanLength::Year => {
                    next = next.last_of_month().tomorrow().ok()?;
                    self.day(next)?.start
                }
            });
        }
        let parts = bounds.iter().copied().zip(bounds.iter().skip(1).copied()).collect();
        Some(LocalSpan { length, first, last, start, end, parts })
    }

    /// The stretch of the same length just before another.
    pub(crate) fn span_before(&self, span: &LocalSpan) -> Option<LocalSpan> {
        self.span(span.length, span.first.yesterday().ok()?)
    }

    /// By its IANA name; `None` if there is no such zone.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// The day in which an instant lies; `None` thousands of years from now.
    pub(crate) fn day_of(&self, at: Timestamp) -> Option<LocalDay> {
        self.day(self.at(at)?.date())
    }

    /// The instants of a date; `None` thousands of years from now.
    pub(crate) fn day(&self, date: Date) -> Option<LocalDay> {
        let start = |date: Date| {
            let midnight = date.to_zoned(self.0.clone()).ok()?;
            Some(Timestamp::from_millis(midnight.timestamp().as_millisecond()))
        };
        Some(LocalDay { date, start: start(date)?, end: start(date.tomorrow().ok()?)? })
    }

    /// An instant as people read it, for example `2026-06-15 13:30`.
    pub(crate) fn stamp(&self, at: Timestamp) -> String {
        match self.at(at) {
            Some(zoned) => zoned.strftime("%Y-%m-%d %H:%M").to_string(),
            None => at.to_string(),
        }
    }

    fn at(&self, at: Timestamp) -> Option<jiff::Zoned> {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
        Some(instant.to_zoned(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, date: &str) -> i64 {
        let day = LocalZone::named(zone).unwrap().day(date.parse().unwrap()).unwrap();
        day.end.millis_since(day.start) / 3_600_000
    }

    #[test]
    fn a_day_is_a_local_day_also_when_clocks_change() {
        assert_eq!(hours("Asia/Tokyo", "2026-03-29"), 24);
        assert_eq!(hours("Europe/Berlin", "2026-03-29"), 23);
        assert_eq!(hours("Europe/Berlin", "2026-10-25"), 25);
        // 2026-06-14T15:00Z is midnight in Tokyo.
        let tokyo = LocalZone::named("Asia/Tokyo").unwrap();
        let midnight = Timestamp::from_millis(1_781_449_200_000);
        assert_eq!(tokyo.day_of(midnight).unwrap().start, midnight);
        assert_eq!(tokyo.stamp(midnight), "2026-06-15 00:00");
        let before = tokyo.day_of(midnight.plus_millis(-1)).unwrap();
        assert_eq!((before.date.to_string().as_str(), before.end), ("2026-06-14", midnight));
    }

    #[test]
    fn spans_are_made_of_parts_without_gaps() {
        let zone = LocalZone::named("Europe/Berlin").unwrap();
        for (length, date, dates, count) in [
            // Clocks go forward on 29 March and back on 25 October.
            (SpanLength::Day, "2026-03-29", ("2026-03-29", "2026-03-29"), 23),
            (SpanLength::Day, "2026-10-25", ("2026-10-25", "2026-10-25"), 25),
            (SpanLength::Week, "2026-03-29", ("2026-03-23", "2026-03-29"), 7),
            (SpanLength::Month, "2028-02-10", ("2028-02-01", "2028-02-29"), 29),
            (SpanLength::Year, "2026-12-31", ("2026-01-01", "2026-12-31"), 12),
        ] {
            let span = zone.span(length, date.parse().unwrap()).unwrap();
            let (first, last) = (span.first.to_string(), span.last.to_string());
            assert_eq!((first.as_str(), last.as_str()), dates, "{length:?} {date}");
            assert_eq!(span.parts.len(), count, "{length:?} {date}");
            assert_eq!(span.parts.first().unwrap().0, span.start);
            assert_eq!(span.parts.last().unwrap().1, span.end);
            assert!(span.parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
            assert!(span.parts.iter().all(|(start, end)| start < end));
            let before = zone.span_before(&span).unwrap();
            assert_eq!((before.end, before.length), (span.start, length));
        }
    }

    #[test]
    fn unknown_zones_and_absurd_instants_are_no_panic() {
        assert!(LocalZone::named("Mars/Olympus").is_none());
        let zone = LocalZone::named("Europe/Berlin").unwrap();
        assert_eq!(zone.day_of(Timestamp::from_millis(i64::MAX)), None);
        assert!(!zone.stamp(Timestamp::from_millis(i64::MIN)).is_empty());
    }
}
