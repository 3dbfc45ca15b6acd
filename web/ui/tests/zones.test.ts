import { describe, expect, test } from 'vitest';
import { capacityInUse, flowShare, hasSeveralPrices } from '../src/lib/zones';

const edge = (flow_wh: number, up: number | null = null, down: number | null = null) => ({
  flow_wh,
  capacity_up_wh: up,
  capacity_down_wh: down,
});

test('prices are several only where two zones really have different ones', () => {
  expect(hasSeveralPrices([])).toBe(false);
  expect(hasSeveralPrices([{ price: '0.200000' }, { price: null }])).toBe(false);
  expect(hasSeveralPrices([{ price: '0.200000' }, { price: '0.200000' }])).toBe(false);
  expect(hasSeveralPrices([{ price: '0.200000' }, { price: '0.210000' }])).toBe(true);
});

describe('a line', () => {
  test('is limited in the direction of its flow', () => {
    expect(capacityInUse(edge(10, 100, 50))).toBe(100);
    expect(capacityInUse(edge(-10, 100, 50))).toBe(50);
    expect(capacityInUse(edge(0, 100, 50))).toBeNull();
    expect(capacityInUse(edge(10, null, 50))).toBeNull();
  });

  test('has a bar against its limit, or against the largest flow', () => {
    const lines = [edge(50, 200), edge(-400), edge(0), edge(100)];
    expect(lines.map((line) => flowShare(line, lines))).toEqual([0.25, 1, 0, 0.25]);
  });

  test('never has a bar longer than its track, and none where nothing flows', () => {
    expect(flowShare(edge(300, 200), [edge(300, 200)])).toBe(1);
    expect(flowShare(edge(0), [edge(0)])).toBe(0);
    expect(flowShare(edge(5, 0), [edge(5, 0)])).toBe(0);
  });
});
