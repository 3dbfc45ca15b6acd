//! Market time that runs faster than the clock on the wall.
//!
//! All processes of one demo share the three figures of a [`ScaledClock`], and so agree on the
//! market time as well as they agree on the real one (on one machine: exactly).

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use market::time::{Clock, Timestamp};

/// A clock for which `speed` market seconds pass in each real second.
///
/// As text it is `MARKET_MS@REAL_MS*SPEED`: at the real instant `REAL_MS` (Unix time) it shows the
/// market instant `MARKET_MS`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaledClock {
    market_at_start: Timestamp,
    real_at_start_ms: i64,
    speed: f64,
}

/// A text that is no scaled clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected MARKET_MS@REAL_MS*SPEED with a speed of 0.01 to 100000, for example \
     1750000000000@1763800000000*60, but found {text:?}"
)]
pub struct NotAScaledClock {
    /// What was found.
    pub text: String,
}

/// The slowest and the fastest a market can run.
pub const SPEED_RANGE: std::ops::RangeInclusive<f64> = 0.01..=100_000.0;

impl ScaledClock {
    /// A clock that shows `market_now` now. The speed is clamped to [`SPEED_RANGE`].
    pub fn starting_at(market_now: Timestamp, speed: f64) -> Self {
        let speed = speed.clamp(*SPEED_RANGE.start(), *SPEED_RANGE.end());
        Self { market_at_start: market_now, real_at_start_ms: real_now_ms(), speed }
    }

    /// Market seconds per real second.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "float to integer saturates; times are far off"
)]
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run stay far below 2^53")]
fn scale(ms: i64, factor: f64) -> i64 {
    (ms as f64 * factor) as i64
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let real_ms = real_now_ms().saturating_sub(self.real_at_start_ms);
        self.market_at_start.plus_millis(scale(real_ms, self.speed))
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        let market_ms = at.millis_since(self.now()).max(0);
        // Rounded up, so that whoever waits does not wake a moment too early.
        let real_ms = scale(market_ms, 1.0 / self.speed).saturating_add(1);
        if market_ms == 0 { Duration::ZERO } else { Duration::from_millis(real_ms.unsigned_abs()) }
    }
}

fn real_now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for ScaledClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let market_ms = self.market_at_start.as_millis();
        write!(f, "{market_ms}@{}*{}", self.real_at_start_ms, self.speed)
    }
}

impl FromStr for ScaledClock {
    type Err = NotAScaledClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (market, rest) = text.split_once('@')?;
            let (real, speed) = rest.split_once('*')?;
            let speed: f64 = speed.parse().ok()?;
            Some(Self {
                market_at_start: Timestamp::from_millis(market.parse().ok()?),
                real_at_start_ms: real.parse().ok()?,
                speed: Some(speed).filter(|speed| SPEED_RANGE.contains(speed))?,
            })
        };
        read().ok_or_else(|| NotAScaledClock { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_survives_being_written_and_read() {
        let clock = ScaledClock::starting_at(Timestamp::from_millis(1_750_000_000_000), 60.0);
        assert_eq!(clock.to_string().parse(), Ok(clock));
        for wrong in ["", "1@2", "1@2*0", "1@2*NaN", "x@2*3", "1@2*1e9"] {
            assert!(wrong.parse::<ScaledClock>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn waiting_until_an_instant_is_waiting_long_enough() {
        let clock = ScaledClock::starting_at(Timestamp::from_millis(0), 60.0);
        let wait = clock.real_time_until(Timestamp::from_millis(60_000));
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_millis(1_001));
        assert_eq!(clock.real_time_until(Timestamp::from_millis(-1)), Duration::ZERO);
    }
}
