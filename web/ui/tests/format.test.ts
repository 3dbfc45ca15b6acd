import { expect, test } from 'vitest';
import { duration } from '../src/lib/duration';
import { makeFormats } from '../src/lib/format';
import { en } from '../src/lib/i18n/en';
import { addDays } from '../src/lib/local-date';

const berlin = makeFormats({ language: 'en', currency: 'EUR', timeZone: 'Europe/Berlin' });
const tokyo = makeFormats({ language: 'ja', currency: 'JPY', timeZone: 'Asia/Tokyo' });
const summer_ms = Date.UTC(2026, 5, 12, 22, 15);

test('amounts round half to even, never by Intl on floats', () => {
  expect(berlin.amount('4.185000')).toBe('€4.18');
  expect(berlin.amount('4.195000')).toBe('€4.20');
  expect(berlin.fineAmount('0.012350')).toBe('€0.0124');
  expect(berlin.fineAmount('0.012250')).toBe('€0.0122');
  expect(tokyo.amount('268.500000')).toBe('268円');
  expect(tokyo.price('31.500000')).toBe('31.50円');
});

test('amounts beyond a float keep every digit', () => {
  expect(berlin.amount('9007199254740993.120000')).toBe('€9,007,199,254,740,993.12');
});

test('zero has no sign, other signs are a true minus', () => {
  expect(berlin.amount('-0.001000')).toBe('€0.00');
  expect(berlin.signedAmount('0.000000')).toBe('€0.00');
  expect(berlin.signedAmount('1.000000')).toBe('+€1.00');
  expect(berlin.signedAmount('-1.000000')).toBe('−€1.00');
});

test('no figure is a dash', () => {
  expect(berlin.price(null)).toBe('–');
  expect(berlin.amount('what')).toBe('–');
  expect(berlin.energy(null)).toBe('–');
  expect(berlin.percent(undefined)).toBe('–');
});

test('energy is exact to the Wh where it must add up', () => {
  expect(berlin.exactEnergy(1283)).toBe('1.283 kWh');
  expect(berlin.energy(1285)).toBe('1.28 kWh');
  expect(berlin.energy(1_234_000)).toBe('1,234.00 kWh');
  expect(berlin.energy(12_345_000)).toBe('12.34 MWh');
});

test('times and days are the community’s, not the reader’s', () => {
  expect(berlin.time(summer_ms)).toBe('00:15');
  expect(berlin.localDate(summer_ms)).toBe('2026-06-13');
  expect(tokyo.time(summer_ms)).toBe('07:15');
  expect(tokyo.hourOfDay(summer_ms)).toBe(7.25);
  expect(berlin.period(summer_ms, summer_ms + 900_000).replaceAll('\u2060', '')).toBe(
    '00:15–00:30',
  );
});

test('a date is written as that date in every time zone', () => {
  const samoa = makeFormats({ language: 'en', currency: 'USD', timeZone: 'Pacific/Apia' });
  expect(samoa.date('2026-06-12')).toContain('12 June 2026');
  expect(berlin.date('2026-06-12')).toContain('12 June 2026');
});

test('days step through month ends and leap years', () => {
  expect(addDays('2028-02-28', 1)).toBe('2028-02-29');
  expect(addDays('2026-01-01', -1)).toBe('2025-12-31');
});

test('a span of time is said in the finest unit that can be read', () => {
  const say = (span_ms: number, seconds: boolean) =>
    duration(span_ms, en.duration, berlin.count, seconds);
  expect(say(61_000, true)).toBe('61 s');
  expect(say(61_000, false)).toBe('2 min');
  expect(say(600_000, true)).toBe('10 min');
  expect(say(2 * 3_600_000 + 120_000, false)).toBe('2 h 2 min');
  expect(say(-5, true)).toBe('0 s');
});
