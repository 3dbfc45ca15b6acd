import type { Messages } from './i18n';

const SECONDS_SHOWN_BELOW_S = 120;
const MINUTES_SHOWN_BELOW_MIN = 90;

/**
 * A span of time in words: hours and minutes, minutes, or seconds when it is short.
 *
 * Without `seconds` the finest unit is the minute, for a clock that runs too fast to read seconds.
 */
export function duration(
  span_ms: number,
  words: Messages['duration'],
  count: (count: number) => string,
  seconds: boolean,
): string {
  const span_s = Math.max(0, Math.ceil(span_ms / 1000));
  if (seconds && span_s < SECONDS_SHOWN_BELOW_S) return words.seconds(count(span_s));
  const minutes = Math.ceil(span_s / 60);
  if (minutes < MINUTES_SHOWN_BELOW_MIN) return words.minutes(count(minutes));
  return words.hours(count(Math.floor(minutes / 60)), count(minutes % 60));
}
