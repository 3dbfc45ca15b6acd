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

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
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
        write!(f, "[{} ms, {} min)", self.start.0, self.length.minutes())
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
    fn the_last_instant_belongs_to_the_period_and_the_end_to_the_next() {
        let period =
            DeliveryPeriod::starting_at(Timestamp(900_000), PeriodLength::Minutes15).unwrap();
        let last = period.end().plus_millis(-1);
        assert_eq!(DeliveryPeriod::containing(last, PeriodLength::Minutes15), Ok(period));
        let next = DeliveryPeriod::containing(period.end(), PeriodLength::Minutes15).unwrap();
        assert_eq!(next, period.next().unwrap());
    }
}
