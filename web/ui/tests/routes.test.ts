import { expect, test } from 'vitest';
import { href, parseRoute, type Route } from '../src/lib/routes';

const routes: Route[] = [
  { area: 'home' },
  { area: 'market', period_start_ms: null },
  { area: 'market', period_start_ms: 1_781_258_400_000 },
  { area: 'households' },
  { area: 'household', party: '3f2a9c', date: null },
  { area: 'household', party: 'a b/c', date: '2026-06-12' },
  { area: 'household', party: '3f', date: '2026-06-12', span: 'month' },
  { area: 'household', party: '3f', date: null, span: 'year' },
  { area: 'ledger' },
  { area: 'block', height: 42 },
  { area: 'receipt', height: 42, index: 0 },
  { area: 'transaction', hash: 'ab'.repeat(32) },
  { area: 'sign-in' },
];

test.each(routes.map((route) => [href(route), route] as const))('%s', (address, route) => {
  const url = new URL(address, 'http://localhost');
  expect(parseRoute(url.pathname, url.search)).toEqual(route);
});

test('trailing slashes and foreign parameters do not matter', () => {
  expect(parseRoute('/market/', '?lang=ja')).toEqual({ area: 'market', period_start_ms: null });
});

test.each([
  '/nowhere',
  '/ledger/0',
  '/ledger/-1',
  '/ledger/x',
  '/ledger/0/2',
  '/ledger/1/x',
  '/ledger/1/2/3',
  '/ledger/transactions/ab',
  '/households/%',
  '/market/1',
])('%s is missing', (path) => {
  expect(parseRoute(path)).toEqual({ area: 'missing' });
});

test('a malformed choice falls back to the default', () => {
  expect(parseRoute('/households/x', '?span=decade')).not.toHaveProperty('span');
  expect(parseRoute('/households/x', '?date=today')).toMatchObject({ date: null });
  expect(parseRoute('/market', '?period=soon')).toMatchObject({ period_start_ms: null });
});
