//! The community's local time: exists only where something is shown to people.

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

impl LocalZone {
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
    fn unknown_zones_and_absurd_instants_are_no_panic() {
        assert!(LocalZone::named("Mars/Olympus").is_none());
        let zone = LocalZone::named("Europe/Berlin").unwrap();
        assert_eq!(zone.day_of(Timestamp::from_millis(i64::MAX)), None);
        assert!(!zone.stamp(Timestamp::from_millis(i64::MIN)).is_empty());
    }
}
