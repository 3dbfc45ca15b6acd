import { describe, expect, test } from 'vitest';
import {
  crossing,
  gainArea,
  hoursPerTick,
  hourTicks,
  limitAt,
  meritOrder,
  priceDomain,
  priceRuns,
  tariffSpans,
  type Step,
} from '../src/lib/charts/geometry';
import { makeFormats } from '../src/lib/format';

const step = (limit: number, energy_wh: number): Step => ({ limit: limit.toFixed(6), energy_wh });

describe('the crossing', () => {
  test('lies where the curves meet, with the interval that clears', () => {
    const demand = [step(0.3, 100), step(0.2, 100)];
    const supply = [step(0.1, 80), step(0.15, 70), step(0.25, 100)];
    expect(crossing(demand, supply)).toEqual({ energy_wh: 150, low: 0.2, high: 0.2 });
  });

  test('has an interval where both orders end together', () => {
    const demand = [step(0.3, 100), step(0.1, 50)];
    const supply = [step(0.15, 100), step(0.28, 50)];
    expect(crossing(demand, supply)).toEqual({ energy_wh: 100, low: 0.15, high: 0.28 });
  });

  test('is open upwards to the last bid when supply runs out', () => {
    expect(crossing([step(0.3, 200)], [step(0.1, 50)])).toEqual({
      energy_wh: 50,
      low: 0.3,
      high: 0.3,
    });
  });

  test('is not there when no bid reaches any offer, or a side is empty', () => {
    expect(crossing([step(0.1, 10)], [step(0.2, 10)])).toBeNull();
    expect(crossing([], [step(0.2, 10)])).toBeNull();
    expect(crossing([step(0.2, 10)], [])).toBeNull();
  });

  test('on random books is the quantity that an exhaustive search finds', () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 500; round += 1) {
      const book = () =>
        Array.from({ length: 1 + random(5) }, () => step(random(9), 1 + random(4)));
      const demand = book().sort((a, b) => Number(b.limit) - Number(a.limit));
      const supply = book().sort((a, b) => Number(a.limit) - Number(b.limit));
      let most = 0;
      for (let at = 0; ; at += 1) {
        const [bid, offer] = [limitAt(demand, at), limitAt(supply, at)];
        if (bid === null || offer === null || Number(bid) < Number(offer)) break;
        most = at + 1;
      }
      const found = crossing(demand, supply);
      expect(found?.energy_wh ?? 0).toBe(most);
      if (!found) continue;
      // Any price inside the interval suits the last ones filled and nobody left out.
      expect(found.low).toBeLessThanOrEqual(found.high);
      expect(found.high).toBeLessThanOrEqual(Number(limitAt(demand, most - 1)));
      expect(found.low).toBeGreaterThanOrEqual(Number(limitAt(supply, most - 1)));
    }
  });
});

test('a merit order steps at its cumulated energies and ends at its total', () => {
  expect(meritOrder([step(3, 10), step(2, 5)])).toEqual([
    { x: 0, y: 3 },
    { x: 10, y: 2 },
    { x: 15, y: 2 },
  ]);
  expect(meritOrder([])).toEqual([]);
});

test('the shaded area is the welfare: its size is the sum of price gaps times energy', () => {
  const demand = [step(0.3, 100), step(0.2, 100)];
  const supply = [step(0.1, 80), step(0.15, 170)];
  const area = gainArea(demand, supply, 150);
  const size = area.slice(1).reduce((total, point, index) => {
    const left = area[index];
    return left ? total + (point.x - left.x) * (left.bid - left.offer) : total;
  }, 0);
  expect(size).toBeCloseTo(80 * 0.2 + 20 * 0.15 + 50 * 0.05, 9);
  expect(area.at(-1)?.x).toBe(150);
});

test('the price line breaks where nothing was traded and lasts each period to its end', () => {
  const period_ms = 10;
  const at = (period_start_ms: number, price: string | null) => ({ period_start_ms, price });
  expect(priceRuns([at(0, '1'), at(10, '2'), at(20, null), at(30, '3')], period_ms)).toEqual([
    [
      { x: 0, y: 1 },
      { x: 10, y: 2 },
      { x: 20, y: 2 },
    ],
    [
      { x: 30, y: 3 },
      { x: 40, y: 3 },
    ],
  ]);
  expect(priceRuns([at(0, '1'), at(50, '2')], period_ms)).toHaveLength(2);
});

test('the price axis holds the supplier\u2019s and every other price', () => {
  const tariffs = [
    { avoidable: '0.320000', feed_in: '0.080000' },
    { avoidable: '0.280000', feed_in: '0.060000' },
  ];
  const [low, high] = priceDomain(tariffs, [0.2, 0.4]);
  expect(low).toBe(0);
  expect(high).toBeGreaterThan(0.4);
  expect(priceDomain([{ avoidable: '0.3', feed_in: '-0.05' }], [])[0]).toBe(-0.05);
  expect(priceDomain([], [])).toEqual([0, 1]);
});

describe('the supplier\u2019s prices over time', () => {
  const at = (period_start_ms: number, avoidable: string, feed_in = '0.08') => ({
    period_start_ms,
    avoidable,
    feed_in,
  });

  test('change where the tariff changes, without gaps', () => {
    const periods = [at(0, '0.2'), at(15, '0.2'), at(45, '0.3'), at(60, '0.3', '0.1')];
    expect(tariffSpans(periods, 15)).toEqual([
      { from: 0, to: 45, avoidable: '0.2', feed_in: '0.08' },
      { from: 45, to: 60, avoidable: '0.3', feed_in: '0.08' },
      { from: 60, to: 75, avoidable: '0.3', feed_in: '0.1' },
    ]);
  });

  test('are nothing without periods', () => {
    expect(tariffSpans([], 15)).toEqual([]);
  });
});

test('hour ticks are local hours, also across a change of the clocks', () => {
  const formats = makeFormats({ language: 'en', currency: 'EUR', timeZone: 'Europe/Berlin' });
  const from_ms = Date.UTC(2026, 9, 24, 22);
  const ticks = hourTicks(from_ms, from_ms + 25 * 3_600_000, 6, formats.hourOfDay);
  expect(ticks.map(formats.time)).toEqual(['00:00', '06:00', '12:00', '18:00', '00:00']);
});

test('the time axis has as many hours as fit', () => {
  const hour_ms = 3_600_000;
  expect(hoursPerTick(2 * hour_ms, 1000)).toBe(1);
  expect(hoursPerTick(24 * hour_ms, 1000)).toBe(2);
  expect(hoursPerTick(24 * hour_ms, 300)).toBe(6);
  expect(hoursPerTick(24 * hour_ms, 100)).toBe(12);
});
