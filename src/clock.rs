//! Which clock a process goes by.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use market::time::{Clock, Timestamp};
use simulators::scaled_clock::ScaledClock;

use crate::failure::Failure;

/// The system's clock: market time is real time.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn real_time_until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.millis_since(self.now()).max(0).unsigned_abs())
    }
}

/// The system's clock.
pub(crate) fn real() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The system's clock, or a scaled one if the command line says so.
///
/// # Errors
/// [`Failure`] if the text is no clock.
pub(crate) fn choose(text: Option<&str>) -> Result<Arc<dyn Clock>, Failure> {
    match text {
        None => Ok(real()),
        Some(text) => {
            let clock: ScaledClock =
                text.parse().map_err(|error| Failure::option("--clock", &error))?;
            Ok(Arc::new(clock))
        }
    }
}

/// A clock that stands before the community's beginning is far off: it could sign nothing that
/// anybody accepts.
///
/// # Errors
/// [`Failure`] says what both clocks show.
pub(crate) fn check_against_genesis(now: Timestamp, starts_at: Timestamp) -> Result<(), Failure> {
    if now >= starts_at {
        return Ok(());
    }
    Err(Failure::clock(&format!(
        "this machine's clock shows {now}, but the community begins at {starts_at}; set the clock \
         (a time service such as NTP keeps it right), or wait for the beginning"
    )))
}
