// The made-up neighbourhood behind the stand-in: its clock, homes, meters and auctions.
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';

export const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8090' },
    speed: { type: 'string', default: '60' },
    dist: { type: 'string' },
    currency: { type: 'string', default: 'EUR' },
    state: { type: 'string', default: 'live' },
    closed: { type: 'boolean', default: false },
    empty: { type: 'boolean', default: false },
  },
});

export const MINUTE_MS = 60_000;
export const PERIOD_MS = 15 * MINUTE_MS;
export const DAY_MS = 86_400_000;
export const LEAD_MS = 15 * MINUTE_MS;
export const SETTLE_AFTER_MS = 2 * MINUTE_MS;
export const speed = Number(options.speed);
export const yen = options.currency === 'JPY';
const offsetMs = (yen ? 9 : 2) * 3_600_000;
export const retail = yen ? 31_000_000 : 325_000;
export const feedIn = yen ? 8_500_000 : 81_000;
const startedMs = Date.now();
const marketStartMs = Date.UTC(2026, 5, 12, 11, 24) - offsetMs;
export const genesisMs = options.empty
  ? marketStartMs - 5 * MINUTE_MS
  : marketStartMs - 31 * DAY_MS;

export const sha = (text) => createHash('sha256').update(text).digest('hex');
const noise = (text) => parseInt(sha(text).slice(0, 8), 16) / 0xffffffff;
/** What every answer that names the supplier says of it. */
export const supplier = () => ({
  retail: micro(retail),
  feed_in: micro(feedIn),
  all_in: micro(retail),
  avoidable: micro(retail),
});
export const micro = (value) => {
  const digits = String(Math.abs(value)).padStart(7, '0');
  return `${value < 0 ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`;
};
export const cost = (wh, price) => Math.round((wh * price) / 1000);
export const sum = (rows, pick) => rows.reduce((total, row) => total + pick(row), 0);
export const marketNow = () => marketStartMs + (Date.now() - startedMs) * speed;
export const floorPeriod = (ms) => Math.floor(ms / PERIOD_MS) * PERIOD_MS;
export const heightAt = (ms) => Math.max(1, Math.floor((ms - genesisMs) / MINUTE_MS));
export const timeOf = (height) => genesisMs + height * MINUTE_MS;

export const zones = [
  { id: 0, label: yen ? '陽だまり町' : 'Sonnenhang', parent: null },
  ...[1, 2, 3].map((id) => ({ id, label: `feeder ${id}`, parent: 0 })),
].map((zone) => ({
  ...zone,
  charge_per_kwh: zone.id ? '0.000000' : null,
  capacity_up_wh: null,
  capacity_down_wh: null,
}));
export const homes = Array.from({ length: 12 }, (_, index) => ({
  party: sha(`party ${index}`).slice(0, 32),
  zone: 1 + (index % 3),
  solarKw: index < 7 ? 4 + ((index * 5) % 6) : 0,
  battery: index === 1 || index === 4,
}));
export const validators = Array.from({ length: 4 }, (_, index) => ({
  address: sha(`validator ${index}`).slice(0, 40),
  power: 1,
}));

function metered(home, periodStartMs) {
  const hour = ((periodStartMs + offsetMs) % DAY_MS) / 3_600_000;
  const jitter = noise(`${home.party}${periodStartMs}`);
  const cloud = 0.55 + 0.45 * noise(`cloud ${Math.floor(periodStartMs / 1_800_000)}`);
  const sun = Math.max(0, Math.sin(((hour - 5.5) / 15) * Math.PI)) ** 1.4 * cloud;
  const evening = Math.exp(-((hour - 19) ** 2) / 5) * 1.6 + Math.exp(-((hour - 7.5) ** 2) / 2);
  let watts = 220 + 500 * jitter + 900 * evening * (0.5 + jitter) - home.solarKw * 820 * sun;
  if (home.battery && hour > 17.5 && hour < 22) watts -= 1900;
  const wh = Math.round(watts / 4);
  return { imported: Math.max(0, wh), exported: Math.max(0, -wh) };
}

export const cleared = new Map();
export function auction(periodStartMs) {
  const known = cleared.get(periodStartMs);
  if (known) return known;
  const bids = [];
  const offers = [];
  for (const home of homes) {
    const { imported, exported } = metered(home, periodStartMs);
    const lean = noise(`limit ${home.party}${periodStartMs}`);
    const span = retail - feedIn;
    if (imported) bids.push({ home, wh: imported, limit: Math.round(retail - span * lean * 0.55) });
    if (exported)
      offers.push({ home, wh: exported, limit: Math.round(feedIn + span * lean * 0.6) });
  }
  bids.sort((a, b) => b.limit - a.limit);
  offers.sort((a, b) => a.limit - b.limit);
  const trades = [];
  const left = { bids: bids.map((bid) => bid.wh), offers: offers.map((offer) => offer.wh) };
  let [b, o, low, high, welfare] = [0, 0, feedIn, retail, 0];
  while (b < bids.length && o < offers.length && bids[b].limit >= offers[o].limit) {
    const wh = Math.min(left.bids[b], left.offers[o]);
    trades.push({ buyer: bids[b].home, seller: offers[o].home, wh });
    [low, high] = [offers[o].limit, bids[b].limit];
    welfare += cost(wh, high - low);
    left.bids[b] -= wh;
    left.offers[o] -= wh;
    if (!left.bids[b]) b += 1;
    if (!left.offers[o]) o += 1;
  }
  const price = trades.length ? Math.floor((low + high) / 2) : null;
  const result = { periodStartMs, bids, offers, trades, price, welfare };
  result.volume = sum(trades, (trade) => trade.wh);
  result.height = heightAt(periodStartMs - LEAD_MS) + 1;
  result.settledHeight = heightAt(periodStartMs + PERIOD_MS + SETTLE_AFTER_MS);
  cleared.set(periodStartMs, result);
  return result;
}

export const lastSettled = () => floorPeriod(marketNow() - PERIOD_MS - SETTLE_AFTER_MS);
export const lastCleared = () => floorPeriod(marketNow() + LEAD_MS - MINUTE_MS);
export const dayOf = (ms) => new Date(ms + offsetMs).toISOString().slice(0, 10);
export const dayStart = (date) => Date.parse(`${date}T00:00:00Z`) - offsetMs;
export const dayPeriods = (date) => {
  const from = dayStart(date);
  const until = Math.min(from + DAY_MS - PERIOD_MS, lastSettled());
  const rows = [];
  for (let at = Math.max(from, floorPeriod(genesisMs)); at <= until; at += PERIOD_MS) rows.push(at);
  return rows;
};

export function homeInPeriod(home, at) {
  const { imported, exported } = metered(home, at);
  const result = auction(at);
  const bought = sum(
    result.trades.filter((t) => t.buyer === home),
    (t) => t.wh,
  );
  const sold = sum(
    result.trades.filter((t) => t.seller === home),
    (t) => t.wh,
  );
  const price = result.price ?? 0;
  const money = {
    tradeIncome: cost(sold, price),
    tradeCost: cost(bought, price),
    supplierIncome: cost(exported - sold, feedIn),
    supplierCost: cost(imported - bought, retail),
    gridOnly: cost(exported, feedIn) - cost(imported, retail),
  };
  money.net = money.tradeIncome + money.supplierIncome - money.tradeCost - money.supplierCost;
  const estimated = noise(`late ${home.party}${at}`) < 0.04;
  return { at, imported, exported, bought, sold, price: result.price, estimated, ...money };
}
