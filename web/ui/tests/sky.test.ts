import { expect, test } from 'vitest';
import { dayPhase, skyProgress } from '../src/lib/day-phase';

test('sun and moon rise at the left and set at the right, at every hour', () => {
  for (let hour = 0; hour < 24; hour += 0.25) {
    expect(skyProgress(hour)).toBeGreaterThanOrEqual(0);
    expect(skyProgress(hour)).toBeLessThanOrEqual(1);
  }
  expect([dayPhase(2), dayPhase(6), dayPhase(12), dayPhase(19), dayPhase(23)]).toEqual([
    'night',
    'dawn',
    'day',
    'dusk',
    'night',
  ]);
});
