//! Instants, delivery periods, and the only clock that production code sees.

use borsh::{BorshDeserialize, BorshSerialize, io};
use std::fmt;

use crate::Overflow;

/// An instant of market time.
///
/// Signed milliseconds since 1970-01-01T00:00:00Z, without leap seconds (as Unix time). Local time
/// exists only where something is shown to people.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, BorshSerialize, BorshDeserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// In milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant `millis` later (earlier if negative); clamped at the ends of the range, which
    /// lie 292 million years away.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; negative if `self` is the earlier one; clamped.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// As RFC 3339 in UTC, for example `2026-06-15T04:30:00Z`; milliseconds are shown if there are any.
///
/// The calendar is the proleptic Gregorian one, by the day-count algorithm of Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i128::from(self.0);
        let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days).ok_or(fmt::Error)?;
        let part = |unit: i128, range: i128| of_day.div_euclid(unit).rem_euclid(range);
        let (hour, minute, second) = (part(3_600_000, 24), part(60_000, 60), part(1_000, 60));
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match part(1, 1_000) {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Year, month and day of a count of days since 1970-01-01.
fn civil_from_days(days: i128) -> Option<(i128, i128, i128)> {
    let shifted = days.checked_add(719_468)?;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let leaps = day_of_era.div_euclid(1_460);
    let centuries = day_of_era.div_euclid(36_524);
    let last = day_of_era.div_euclid(146_096);
    let year_days = day_of_era.checked_sub(leaps)?.checked_add(centuries)?.checked_sub(last)?;
    let year_of_era = year_days.div_euclid(365);
    let before = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era.div_euclid(4))?
        .checked_sub(year_of_era.div_euclid(100))?;
    let day_of_year = day_of_era.checked_sub(before)?;
    let from_march = day_of_year.checked_mul(5)?.checked_add(2)?.div_euclid(153);
    let month_start = from_march.checked_mul(153)?.checked_add(2)?.div_euclid(5);
    let day = day_of_year.checked_sub(month_start)?.checked_add(1)?;
    let month =
        if from_march < 10 { from_march.checked_add(3)? } else { from_march.checked_sub(9)? };
    let year = era.checked_mul(400)?.checked_add(year_of_era)?;
    Some((if month <= 2 { year.checked_add(1)? } else { year }, month, day))
}

/// Where production code takes the time from.
///
/// Market time may run faster than the clock on the wall (design section 6): a demo plays a day in
/// minutes. Time-outs of networks and devices stay real and do not use this.
pub trait Clock: Send + Sync {
    /// The market time now.
    fn now(&self) -> Timestamp;

    /// How long a process really has to wait until market time `at`; zero if it has passed.
    fn real_time_until(&self, at: Timestamp) -> std::time::Duration;
}

/// How long a delivery period lasts. A community has one length (genesis).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PeriodLength {
    /// A quarter of an hour, as in the European markets.
    Minutes15 = 15,
    /// Half an hour, as in Japan.
    Minutes30 = 30,
}

impl PeriodLength {
    /// In minutes.
    pub const fn minutes(self) -> i64 {
        self as i64
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> i64 {
        match self {
            Self::Minutes15 => 900_000,
            Self::Minutes30 => 1_800_000,
        }
    }

    /// From minutes; `None` for any other length.
    pub const fn from_minutes(minutes: i64) -> Option<Self> {
        match minutes {
            15 => Some(Self::Minutes15),
            30 => Some(Self::Minutes30),
            _ => None,
        }
    }
}

/// The time for which energy is traded: half-open, `[start, end)`, in UTC.
///
/// Its start is a whole multiple of its length since the epoch, so there is exactly one period for
/// every instant, and a day of 23 or 25 local hours neither loses nor doubles one.
///
/// ```
/// use market::time::{DeliveryPeriod, PeriodLength, Timestamp};
/// let noon = Timestamp::from_millis(1_750_000_000_000);
/// let period = DeliveryPeriod::containing(noon, PeriodLength::Minutes15).unwrap();
/// assert!(period.start() <= noon && noon < period.end());
/// assert_eq!(period.next().unwrap().start(), period.end());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct DeliveryPeriod {
    start: Timestamp,
    length: PeriodLength,
}

/// A period that does not start on a multiple of its length, or lies outside the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery period of {minutes} minutes cannot start at {start_ms} ms")]
pub struct NotAPeriod {
    /// The start that was given.
    pub start_ms: i64,
    /// The length that was given, in minutes.
    pub minutes: i64,
}

impl DeliveryPeriod {
    /// The period that starts at `start`.
    ///
    /// # Errors
    /// [`NotAPeriod`] unless `start` is a multiple of the length, not before 1970, and the end
    /// lies in range.
    pub fn starting_at(start: Timestamp, length: PeriodLength) -> Result<Self, NotAPeriod> {
        let aligned = start.0.checked_rem(length.as_millis()) == Some(0);
        let in_range = start.0 >= 0 && start.0.checked_add(length.as_millis()).is_some();
        if aligned && in_range {
            Ok(Self { start, length })
        } else {
            Err(NotAPeriod { start_ms: start.0, minutes: length.minutes() })
        }
    }

    /// The one period in which `at` lies.
    ///
    /// # Errors
    /// [`Overflow`] for instants before 1970 or at the very end of the range.
    pub fn containing(at: Timestamp, length: PeriodLength) -> Result<Self, Overflow> {
        let failed = Overflow::of("a delivery period");
        let offset = at.0.rem_euclid(length.as_millis());
        let start = at.0.checked_sub(offset).ok_or(failed)?;
        Self::starting_at(Timestamp(start), length).map_err(|_| failed)
    }

    /// The first instant that belongs to it.
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant that no longer belongs to it.
    pub const fn end(self) -> Timestamp {
        self.start.plus_millis(self.length.as_millis())
    }

    /// How long it lasts.
    pub const fn length(self) -> PeriodLength {
        self.length
    }

    /// The period that begins where this one ends.
    ///
    /// # Errors
    /// [`Overflow`] at the end of the range.
    pub fn next(self) -> Result<Self, Overflow> {
        Self::starting_at(self.end(), self.length)
            .map_err(|_| Overflow::of("the next delivery period"))
    }
}

impl BorshDeserialize for DeliveryPeriod {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let start = Timestamp::deserialize_reader(reader)?;
        let length = PeriodLength::deserialize_reader(reader)?;
        Self::starting_at(start, length)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl fmt::Debug for DeliveryPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {} min", self.start, self.length.minutes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unaligned_period_is_refused_also_in_bytes() {
        assert!(DeliveryPeriod::starting_at(Timestamp(1), PeriodLength::Minutes15).is_err());
        assert!(DeliveryPeriod::starting_at(Timestamp(900_000), PeriodLength::Minutes30).is_err());
        let mut bytes = borsh::to_vec(&Timestamp(1)).unwrap();
        bytes.push(15);
        assert!(borsh::from_slice::<DeliveryPeriod>(&bytes).is_err());
    }

    #[test]
    fn instants_print_as_rfc_3339_also_on_leap_days_and_before_1970() {
        let shown = |millis| Timestamp(millis).to_string();
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(shown(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999Z");
        assert!(!shown(i64::MAX).is_empty() && !shown(i64::MIN).is_empty());
    }

    #[test]
    fn the_last_instant_belongs_to_the_period_and_the_end_to_the_next() {
        let period =
            DeliveryPeriod::starting_at(Timestamp(900_000), PeriodLength::Minutes15).unwrap();
        let last = period.end().plus_millis(-1);
        assert_eq!(DeliveryPeriod::containing(last, PeriodLength::Minutes15), Ok(period));
        let next = DeliveryPeriod::containing(period.end(), PeriodLength::Minutes15).unwrap();
        assert_eq!(next, period.next().unwrap());
    }
}
