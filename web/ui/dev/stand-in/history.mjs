// What the stand-in answers about one household over longer stretches.
import {
  DAY_MS,
  PERIOD_MS,
  dayStart,
  floorPeriod,
  genesisMs,
  homeInPeriod,
  lastSettled,
  micro,
  sum,
} from './world.mjs';

const isoOf = (time) => new Date(time).toISOString().slice(0, 10);
const utc = (date) => Date.parse(`${date}T00:00:00Z`);

/** First date, date behind the last, and the parts' first dates, in UTC days. */
function spanOf(length, date) {
  const at = new Date(utc(date));
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  if (length === 'week') {
    const from = utc(date) - ((at.getUTCDay() + 6) % 7) * DAY_MS;
    return [from, from + 7 * DAY_MS];
  }
  if (length === 'month') return [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  if (length === 'year') return [Date.UTC(year, 0, 1), Date.UTC(year + 1, 0, 1)];
  return [utc(date), utc(date) + DAY_MS];
}

function boundsOf(length, from, to) {
  const bounds = [];
  if (length === 'day') {
    for (let hour = 0; hour <= 24; hour += 1) bounds.push(dayStart(isoOf(from)) + hour * 3_600_000);
  } else if (length === 'year') {
    const year = new Date(from).getUTCFullYear();
    for (let month = 0; month <= 12; month += 1)
      bounds.push(dayStart(isoOf(Date.UTC(year, month, 1))));
  } else {
    for (let at = from; at <= to; at += DAY_MS) bounds.push(dayStart(isoOf(at)));
  }
  return bounds;
}

function figuresOf(rows) {
  const total = (name) => sum(rows, (row) => row[name]);
  const [bought, sold] = [total('bought'), total('sold')];
  const earned = total('tradeIncome') + total('supplierIncome');
  const share = (part, whole) => (whole ? Math.floor((part * 10_000) / whole) / 10_000 : null);
  return {
    periods_count: rows.length,
    estimated_count: rows.filter((row) => row.estimated).length,
    imported_wh: total('imported'),
    exported_wh: total('exported'),
    from_neighbours_wh: bought,
    to_neighbours_wh: sold,
    earned: micro(earned),
    spent: micro(earned - total('net')),
    net: micro(total('net')),
    net_grid_only: micro(total('gridOnly')),
    saved: micro(total('net') - total('gridOnly')),
    self_sufficiency: share(bought, total('imported')),
    self_consumption: share(sold, total('exported')),
  };
}

function periodsOf(home, from, to) {
  const rows = [];
  const first = Math.max(from, floorPeriod(genesisMs));
  for (let at = first; at < to && at <= lastSettled(); at += PERIOD_MS)
    rows.push(homeInPeriod(home, at));
  return rows;
}

function spanBody(home, length, date) {
  const [from, to] = spanOf(length, date);
  const bounds = boundsOf(length, from, to);
  const parts = bounds.slice(0, -1).map((start, place) => ({ start, end: bounds[place + 1] }));
  const rows = parts.map(({ start, end }) => periodsOf(home, start, end));
  return {
    first_date: isoOf(from),
    last_date: isoOf(to - DAY_MS),
    totals: figuresOf(rows.flat()),
    bars: parts.map(({ start, end }, place) => ({
      start_ms: start,
      end_ms: end,
      ...figuresOf(rows[place]),
    })),
  };
}

export function historyBody(home, length, date) {
  const now = spanBody(home, length, date);
  const before = spanBody(home, length, isoOf(utc(now.first_date) - DAY_MS));
  const metered_until_ms = lastSettled() + PERIOD_MS;
  return { party: home.party, span: length, now, before, metered_until_ms };
}
