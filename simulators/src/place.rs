//! Where a neighbourhood lies, and its local days.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use market::time::Timestamp;

use crate::error::SimulatorError;

/// A place on Earth with its local time.
#[derive(Clone, Debug)]
pub struct Place {
    latitude_deg: f64,
    longitude_deg: f64,
    zone: TimeZone,
}

impl Place {
    /// A place at `latitude_deg` (north positive) and `longitude_deg` (east positive) whose clocks
    /// follow the IANA time zone `zone_name`, for example `Europe/Berlin`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::PlaceOutOfRange`] if the coordinates are no place on Earth,
    /// [`SimulatorError::UnknownTimeZone`] if the zone is unknown.
    pub fn new(
        latitude_deg: f64,
        longitude_deg: f64,
        zone_name: &str,
    ) -> Result<Self, SimulatorError> {
        if !(-90.0..=90.0).contains(&latitude_deg) || !(-180.0..=180.0).contains(&longitude_deg) {
            return Err(SimulatorError::PlaceOutOfRange { latitude_deg, longitude_deg });
        }
        let zone = TimeZone::get(zone_name)
            .map_err(|_| SimulatorError::UnknownTimeZone { name: zone_name.to_owned() })?;
        Ok(Self { latitude_deg, longitude_deg, zone })
    }

    /// Latitude in degrees, north positive.
    #[must_use]
    pub fn latitude_deg(&self) -> f64 {
        self.latitude_deg
    }

    /// Longitude in degrees, east positive.
    #[must_use]
    pub fn longitude_deg(&self) -> f64 {
        self.longitude_deg
    }

    /// The local calendar day that contains `at`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::OutsideCalendar`] if the instant has no civil date.
    pub fn local_day(&self, at: Timestamp) -> Result<LocalDay, SimulatorError> {
        let outside = |_| SimulatorError::OutsideCalendar { at };
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).map_err(outside)?;
        let date = instant.to_zoned(self.zone.clone()).date();
        self.day_of(date).map_err(outside)
    }

    /// The local day before `day`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::OutsideCalendar`] at the beginning of the calendar.
    pub fn day_before(&self, day: &LocalDay) -> Result<LocalDay, SimulatorError> {
        let outside = |_| SimulatorError::OutsideCalendar { at: day.start };
        let date = day.date.yesterday().map_err(outside)?;
        self.day_of(date).map_err(outside)
    }

    fn day_of(&self, date: Date) -> Result<LocalDay, jiff::Error> {
        let midnight = |date: Date| {
            let zoned = date.to_zoned(self.zone.clone())?;
            Ok::<_, jiff::Error>(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
        };
        Ok(LocalDay {
            date,
            start: midnight(date)?,
            end: midnight(date.tomorrow()?)?,
            zone: self.zone.clone(),
        })
    }
}

/// One calendar day at a place: 23, 24 or 25 hours between two local midnights.
#[derive(Clone, Debug)]
pub struct LocalDay {
    date: Date,
    start: Timestamp,
    end: Timestamp,
    zone: TimeZone,
}

impl LocalDay {
    /// The day's first instant.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The next day's first instant.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Days since 1970-01-01: names the day in random streams.
    #[must_use]
    pub fn number(&self) -> i64 {
        let since_epoch = self.date.duration_since(Date::constant(1970, 1, 1));
        since_epoch.as_secs().div_euclid(86_400)
    }

    /// Day of the year, 1..=366.
    #[must_use]
    pub fn day_of_year(&self) -> i16 {
        self.date.day_of_year()
    }

    /// Saturday or Sunday.
    #[must_use]
    pub fn is_weekend(&self) -> bool {
        matches!(self.date.weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    /// Length in seconds: 82,800, 86,400 or 90,000 in most zones.
    #[must_use]
    pub fn length_s(&self) -> i64 {
        (self.end.as_millis() - self.start.as_millis()) / 1_000
    }

    /// Seconds between the day's first instant and the moment when clocks on the wall show
    /// `wall_s` seconds after midnight. Beyond 24 h it counts on from the next midnight; a time
    /// that a clock change skips is moved behind the gap.
    #[must_use]
    pub fn elapsed_s(&self, wall_s: i64) -> i64 {
        let beyond = wall_s - 86_400;
        if beyond >= 0 {
            return self.length_s() + beyond;
        }
        let since_midnight = jiff::SignedDuration::from_secs(wall_s.max(0));
        self.date
            .to_datetime(jiff::civil::Time::midnight())
            .checked_add(since_midnight)
            .and_then(|wall| wall.to_zoned(self.zone.clone()))
            .map_or(wall_s, |zoned| {
                (zoned.timestamp().as_millisecond() - self.start.as_millis()) / 1_000
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(instant: &str) -> LocalDay {
        let place = Place::new(48.14, 11.58, "Europe/Berlin").expect("Munich exists");
        let at: jiff::Timestamp = instant.parse().expect("an instant");
        place.local_day(Timestamp::from_millis(at.as_millisecond())).expect("a day")
    }

    #[test]
    fn clock_changes_make_days_of_23_and_25_hours() {
        assert_eq!(day("2026-06-10T10:00:00Z").length_s(), 24 * 3_600);
        assert_eq!(day("2026-03-29T10:00:00Z").length_s(), 23 * 3_600);
        assert_eq!(day("2026-10-25T10:00:00Z").length_s(), 25 * 3_600);
    }

    #[test]
    fn wall_time_follows_the_clock_change() {
        let spring = day("2026-03-29T10:00:00Z");
        assert_eq!(spring.elapsed_s(3_600), 3_600);
        assert_eq!(spring.elapsed_s(8 * 3_600), 7 * 3_600);
        assert_eq!(spring.elapsed_s(25 * 3_600), 24 * 3_600);
    }

    #[test]
    fn the_local_day_is_not_the_utc_day() {
        let late = day("2026-06-10T22:30:00Z");
        assert_eq!(late.number(), day("2026-06-11T10:00:00Z").number());
        assert!(!late.is_weekend());
        assert!(day("2026-06-13T10:00:00Z").is_weekend());
    }

    #[test]
    fn impossible_places_and_zones_are_refused() {
        assert!(matches!(
            Place::new(91.0, 0.0, "UTC"),
            Err(SimulatorError::PlaceOutOfRange { .. })
        ));
        assert!(matches!(
            Place::new(f64::NAN, 0.0, "UTC"),
            Err(SimulatorError::PlaceOutOfRange { .. })
        ));
        assert!(matches!(
            Place::new(0.0, 0.0, "Atlantis/Capital"),
            Err(SimulatorError::UnknownTimeZone { .. })
        ));
    }
}
