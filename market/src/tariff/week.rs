//! A week of time-of-use windows.

use borsh::{BorshDeserialize, BorshSerialize, io};

use crate::price::Price;
use crate::tariff::{TariffError, WINDOWS_MAX};
use crate::time::Timestamp;

const MINUTES_PER_DAY: u16 = 1_440;

/// From Monday, the first bit of [`Days`].
const DAY_NAMES: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Days of the week; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);
    /// Monday to Friday.
    pub const WEEKDAYS: Self = Self(0b001_1111);
    /// Saturday and Sunday.
    pub const WEEKEND: Self = Self(0b110_0000);

    /// From seven bits, Monday the lowest; `None` without any day, or with an eighth.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1..=0b111_1111 => Some(Self(bits)),
            _ => None,
        }
    }

    /// As seven bits, Monday the lowest.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the day is among them; Monday is 0.
    fn has(self, day: u8) -> bool {
        1_u8.checked_shl(u32::from(day)).is_some_and(|bit| self.0 & bit != 0)
    }
}

impl BorshDeserialize for Days {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bits = u8::deserialize_reader(reader)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "days of the week: 1 to 127");
        Self::from_bits(bits).ok_or_else(wrong)
    }
}

/// Some hours of some days, and the supplier's prices in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Window {
    /// On these days.
    pub days: Days,
    /// From this minute of the local day on.
    pub from_minute: u16,
    /// Before this minute of the local day; 1440 is midnight.
    pub to_minute: u16,
    /// Per kWh, for energy drawn beyond what was bought from neighbours.
    pub retail: Price,
    /// Per kWh, for energy fed in beyond what was sold to neighbours.
    pub feed_in: Price,
}

impl Window {
    /// The whole week.
    pub const fn always(retail: Price, feed_in: Price) -> Self {
        Self { days: Days::ALL, from_minute: 0, to_minute: MINUTES_PER_DAY, retail, feed_in }
    }

    /// Whether a minute of a day lies in it.
    pub(super) fn covers(&self, day: u8, minute: u16) -> bool {
        self.days.has(day) && (self.from_minute..self.to_minute).contains(&minute)
    }
}

/// Day of the week (Monday is 0) and minute of the day, where local time is so far ahead of UTC.
pub(super) fn local(at: Timestamp, utc_offset_minutes: i16) -> (u8, u16) {
    let minutes = at.as_millis().div_euclid(60_000).saturating_add(i64::from(utc_offset_minutes));
    let (day, minute) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
    // 1970-01-01 was a Thursday.
    let day = day.saturating_add(3).rem_euclid(7);
    (u8::try_from(day).unwrap_or_default(), u16::try_from(minute).unwrap_or_default())
}

/// Checks that every minute of the week lies in exactly one window, and each window's prices.
pub(super) fn check(windows: &[Window]) -> Result<(), TariffError> {
    if windows.len() > WINDOWS_MAX {
        return Err(TariffError::TooManyWindows(windows.len()));
    }
    for (index, window) in windows.iter().enumerate() {
        let Window { from_minute, to_minute, retail, feed_in, .. } = *window;
        if from_minute >= to_minute || to_minute > MINUTES_PER_DAY {
            return Err(TariffError::WindowOutOfDay { index, from_minute, to_minute });
        }
        if feed_in > retail {
            return Err(TariffError::FeedInAboveRetail { index, feed_in, retail });
        }
    }
    (0_u8..).zip(DAY_NAMES).try_for_each(|(day, name)| check_day(windows, day, name))
}

fn check_day(windows: &[Window], day: u8, name: &'static str) -> Result<(), TariffError> {
    let mut spans: Vec<_> = windows
        .iter()
        .filter(|window| window.days.has(day))
        .map(|window| (window.from_minute, window.to_minute))
        .collect();
    spans.sort_unstable();
    let mut covered = 0;
    for (from, to) in spans {
        if from > covered {
            return Err(TariffError::Gap { day: name, minute: covered });
        }
        if from < covered {
            return Err(TariffError::Overlap { day: name, minute: from });
        }
        covered = to;
    }
    if covered < MINUTES_PER_DAY {
        return Err(TariffError::Gap { day: name, minute: covered });
    }
    Ok(())
}
