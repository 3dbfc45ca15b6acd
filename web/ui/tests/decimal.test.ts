import { describe, expect, test } from 'vitest';
import { roundHalfEven, scaled, signOf, subtract } from '../src/lib/decimal';

describe('rounding half to even', () => {
  test.each([
    ['0.125000', 2, '0.12'],
    ['0.135000', 2, '0.14'],
    ['0.125001', 2, '0.13'],
    ['2.500000', 0, '2'],
    ['3.500000', 0, '4'],
    ['-0.125000', 2, '-0.12'],
    ['-0.135000', 2, '-0.14'],
    ['4.185000', 2, '4.18'],
    ['0.999950', 4, '1.0000'],
    ['12', 2, '12.00'],
    ['+7.1', 3, '7.100'],
    ['9007199254740993.500000', 0, '9007199254740994'],
  ])('%s to %i places is %s', (text, digits, expected) => {
    expect(roundHalfEven(text, digits)).toBe(expected);
  });

  test.each(['', 'abc', '1,5', '1.', '.5', '1e3', 'NaN'])('%j is no decimal', (text) => {
    expect(roundHalfEven(text, 2)).toBeNull();
  });

  test('agrees with the definition on every thousandth from -5 to 5', () => {
    for (let units = -5000; units <= 5000; units += 1) {
      const rounded = Number(roundHalfEven(scaled(units, 3), 2)) * 100;
      const hundredths = Math.round(rounded);
      const error = Math.abs(units - hundredths * 10);
      expect(error).toBeLessThanOrEqual(5);
      if (error === 5) expect(Math.abs(hundredths % 2)).toBe(0);
    }
  });
});

test('a difference is exact where floats are not', () => {
  expect(subtract('0.3', '0.1')).toBe('0.2');
  expect(subtract('0.325000', '0.4')).toBe('-0.075000');
  expect(subtract('1', 'x')).toBeNull();
});

test('signs', () => {
  expect([signOf('-0.000001'), signOf('0.000000'), signOf('-0.00'), signOf('3')]).toEqual([
    -1, 0, 0, 1,
  ]);
});

test('whole units become exact decimals', () => {
  expect([scaled(1283, 3), scaled(-7, 3), scaled(0, 3), scaled(42, 0)]).toEqual([
    '1.283',
    '-0.007',
    '0.000',
    '42',
  ]);
});
