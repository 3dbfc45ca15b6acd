//! How fast market time runs against real time.

use market::time::Clock;
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: f64 = 86_400_000.0;

/// How much market time passes in a real time, in milliseconds; at most a day. A clock that does
/// not say counts as real.
pub(crate) fn market_ms_in(clock: &dyn Clock, real: Duration) -> i64 {
    let real_hour = clock.real_time_until(clock.now().plus_millis(HOUR_MS)).as_secs_f64();
    let speed = if real_hour > 0.0 { 3_600.0 / real_hour } else { 1.0 };
    let market_ms = speed * real.as_secs_f64() * 1_000.0;
    #[expect(clippy::cast_possible_truncation, reason = "clamped to a day")]
    {
        market_ms.clamp(0.0, DAY_MS) as i64
    }
}
