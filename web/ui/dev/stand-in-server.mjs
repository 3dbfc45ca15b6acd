// A stand-in for the dashboard's API, for working on the page without a running neighbourhood.
// Everything it serves is made up, but shaped like web/openapi.json and consistent in itself.
// It is never part of a build. Usage:
//   node dev/stand-in-server.mjs [--port 8090] [--speed 60] [--dist DIR] [--currency EUR|JPY]
//        [--state live|catching_up|halted|waiting] [--closed] [--empty]
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
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

const MINUTE_MS = 60_000;
const PERIOD_MS = 15 * MINUTE_MS;
const DAY_MS = 86_400_000;
const LEAD_MS = 15 * MINUTE_MS;
const SETTLE_AFTER_MS = 2 * MINUTE_MS;
const speed = Number(options.speed);
const yen = options.currency === 'JPY';
const offsetMs = (yen ? 9 : 2) * 3_600_000;
const retail = yen ? 31_000_000 : 325_000;
const feedIn = yen ? 8_500_000 : 81_000;
const startedMs = Date.now();
const marketStartMs = Date.UTC(2026, 5, 12, 11, 24) - offsetMs;
const genesisMs = options.empty ? marketStartMs - 5 * MINUTE_MS : marketStartMs - 31 * DAY_MS;

const sha = (text) => createHash('sha256').update(text).digest('hex');
const noise = (text) => parseInt(sha(text).slice(0, 8), 16) / 0xffffffff;
const micro = (value) => {
  const digits = String(Math.abs(value)).padStart(7, '0');
  return `${value < 0 ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`;
};
const cost = (wh, price) => Math.round((wh * price) / 1000);
const sum = (rows, pick) => rows.reduce((total, row) => total + pick(row), 0);
const marketNow = () => marketStartMs + (Date.now() - startedMs) * speed;
const floorPeriod = (ms) => Math.floor(ms / PERIOD_MS) * PERIOD_MS;
const heightAt = (ms) => Math.max(1, Math.floor((ms - genesisMs) / MINUTE_MS));
const timeOf = (height) => genesisMs + height * MINUTE_MS;

const zones = [
  { id: 0, label: yen ? '陽だまり町' : 'Sonnenhang', parent: null },
  { id: 1, label: 'feeder 1', parent: 0 },
  { id: 2, label: 'feeder 2', parent: 0 },
  { id: 3, label: 'feeder 3', parent: 0 },
];
const homes = Array.from({ length: 12 }, (_, index) => ({
  party: sha(`party ${index}`).slice(0, 32),
  zone: 1 + (index % 3),
  solarKw: index < 7 ? 4 + ((index * 5) % 6) : 0,
  battery: index === 1 || index === 4,
}));
const validators = Array.from({ length: 4 }, (_, index) => ({
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

const cleared = new Map();
function auction(periodStartMs) {
  const known = cleared.get(periodStartMs);
  if (known) return known;
  const bids = [];
  const offers = [];
  for (const home of homes) {
    const { imported, exported } = metered(home, periodStartMs);
    const lean = noise(`limit ${home.party}${periodStartMs}`);
    const span = retail - feedIn;
    if (imported) bids.push({ home, wh: imported, limit: Math.round(retail - span * lean * 0.55) });
    if (exported) offers.push({ home, wh: exported, limit: Math.round(feedIn + span * lean * 0.6) });
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

const lastSettled = () => floorPeriod(marketNow() - PERIOD_MS - SETTLE_AFTER_MS);
const lastCleared = () => floorPeriod(marketNow() + LEAD_MS - MINUTE_MS);
const dayOf = (ms) => new Date(ms + offsetMs).toISOString().slice(0, 10);
const dayPeriods = (date) => {
  const from = Date.parse(`${date}T00:00:00Z`) - offsetMs;
  const until = Math.min(from + DAY_MS - PERIOD_MS, lastSettled());
  const rows = [];
  for (let at = Math.max(from, floorPeriod(genesisMs)); at <= until; at += PERIOD_MS) rows.push(at);
  return rows;
};

function homeInPeriod(home, at) {
  const { imported, exported } = metered(home, at);
  const result = auction(at);
  const bought = sum(result.trades.filter((t) => t.buyer === home), (t) => t.wh);
  const sold = sum(result.trades.filter((t) => t.seller === home), (t) => t.wh);
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

function communityBody() {
  return {
    name: yen ? '陽だまり町' : 'Sonnenhang',
    currency: options.currency,
    time_zone: yen ? 'Asia/Tokyo' : 'Europe/Berlin',
    chain_id: 'hidamari-stand-in-7f3a',
    period_minutes: 15,
    retail: micro(retail),
    feed_in: micro(feedIn),
    gate_lead_minutes: [15],
    zones,
    members_count: homes.length,
    validators,
    household_pages: options.closed ? 'closed' : 'open',
    clock_speed: speed,
  };
}

const DETAILS = {
  live: ['Trading is live.', '取引は正常に動いています。'],
  catching_up: ['Checking 4,210 blocks; the figures will be current in a moment.', '4,210ブロックを検証中です。まもなく最新になります。'],
  halted: [
    'Trading has stopped: fewer than two thirds of the validators answer. It goes on by itself when they return; no acknowledged order is lost.',
    '取引が止まっています。応答している検証者が3分の2に足りません。復帰すると自動で再開し、受け付けた注文は失われません。',
  ],
  waiting: ['Waiting for the first block of this community.', '最初のブロックを待っています。'],
};
function statusBody() {
  const market = marketNow();
  const next = floorPeriod(market + LEAD_MS) + PERIOD_MS;
  const height = heightAt(market);
  const [en, ja] = DETAILS[options.state];
  return {
    state: options.state,
    market_time_ms: Math.round(market),
    height,
    block_time_ms: timeOf(height),
    block_age_ms: options.state === 'halted' ? 48_000 : 420,
    peers_count: options.state === 'halted' ? 1 : 5,
    next_gate: { period_start_ms: next, closes_at_ms: next - LEAD_MS },
    detail: { en, ja },
  };
}

function nowBody() {
  const none = {
    period_start_ms: null, period_end_ms: null, price: null, flows: [], imported_wh: null,
    exported_wh: null, neighbours_wh: null, self_sufficiency: null, homes: [],
    energy_today_wh: null, saved_today: null, trades_today_count: null,
  };
  if (options.empty) return none;
  const at = lastSettled();
  const rows = homes.map((home) => ({ home, ...homeInPeriod(home, at) }));
  const imported = sum(rows, (row) => row.imported);
  const fromBattery = sum(rows.filter((row) => !row.home.solarKw || row.home.battery), (r) => r.exported);
  const fromSolar = sum(rows, (row) => row.exported) - fromBattery;
  const neighbours = auction(at).volume;
  const batteryShare = Math.min(fromBattery, Math.round((neighbours * fromBattery) / Math.max(1, fromBattery + fromSolar)));
  const flows = [
    { from: 'solar', to: 'homes', energy_wh: neighbours - batteryShare },
    { from: 'battery', to: 'homes', energy_wh: batteryShare },
    { from: 'grid', to: 'homes', energy_wh: imported - neighbours },
    { from: 'solar', to: 'grid', energy_wh: fromSolar - (neighbours - batteryShare) },
    { from: 'battery', to: 'grid', energy_wh: fromBattery - batteryShare },
  ].filter((flow) => flow.energy_wh > 0);
  const today = dayPeriods(dayOf(marketNow()));
  return {
    period_start_ms: at,
    period_end_ms: at + PERIOD_MS,
    price: auction(at).price === null ? null : micro(auction(at).price),
    flows,
    imported_wh: imported,
    exported_wh: fromSolar + fromBattery,
    neighbours_wh: neighbours,
    self_sufficiency: imported ? neighbours / imported : 0,
    homes: options.closed ? [] : rows.map((row) => ({
      party: row.home.party, zone: row.home.zone, imported_wh: row.imported,
      exported_wh: row.exported, bought_wh: row.bought, sold_wh: row.sold, estimated: row.estimated,
    })),
    energy_today_wh: sum(today, (period) => auction(period).volume),
    saved_today: micro(sum(today, (p) => sum(homes, (h) => { const r = homeInPeriod(h, p); return r.net - r.gridOnly; }))),
    trades_today_count: sum(today, (period) => auction(period).trades.length),
  };
}

function pricesBody(query) {
  const to = Number(query.get('to_ms') ?? marketNow());
  const from = Math.max(Number(query.get('from_ms') ?? to - DAY_MS), genesisMs);
  const periods = [];
  const last = options.empty ? 0 : Math.min(to, lastCleared());
  for (let at = Math.ceil(from / PERIOD_MS) * PERIOD_MS; at <= last; at += PERIOD_MS) {
    const { price, volume, welfare } = auction(at);
    periods.push({ period_start_ms: at, price: price === null ? null : micro(price), volume_wh: volume, welfare: micro(welfare) });
  }
  return { retail: micro(retail), feed_in: micro(feedIn), periods };
}

function auctionBody(at) {
  const result = auction(at);
  const step = (order) => ({ limit: micro(order.limit), energy_wh: order.wh });
  return {
    period_start_ms: at, gate: 0, height: result.height, closed_at_ms: at - LEAD_MS,
    price: result.price === null ? null : micro(result.price), volume_wh: result.volume,
    welfare: micro(result.welfare), retail: micro(retail), feed_in: micro(feedIn),
    demand: result.bids.map(step), supply: result.offers.map(step),
    bids_count: result.bids.length, offers_count: result.offers.length,
  };
}

function householdBody(home, date) {
  const rows = dayPeriods(date).map((at) => homeInPeriod(home, at));
  const total = (name) => sum(rows, (row) => row[name]);
  return {
    party: home.party, zone_label: zones[home.zone].label, date,
    totals: {
      imported_wh: total('imported'), exported_wh: total('exported'), bought_wh: total('bought'),
      sold_wh: total('sold'), trade_income: micro(total('tradeIncome')),
      trade_cost: micro(total('tradeCost')), supplier_income: micro(total('supplierIncome')),
      supplier_cost: micro(total('supplierCost')), net: micro(total('net')),
      net_grid_only: micro(total('gridOnly')), saved: micro(total('net') - total('gridOnly')),
    },
    estimated_count: rows.filter((row) => row.estimated).length,
    periods: rows.map((row) => ({
      period_start_ms: row.at, imported_wh: row.imported, exported_wh: row.exported,
      bought_wh: row.bought, sold_wh: row.sold, price: row.price === null ? null : micro(row.price),
      net: micro(row.net), estimated: row.estimated,
    })),
    balance: micro(total('net') + 12_345_678),
  };
}

function tradesBody(home, date) {
  return dayPeriods(date).reverse().flatMap((at) => auction(at).trades
    .map((trade, index) => ({ trade, index, at }))
    .filter(({ trade }) => trade.buyer === home || trade.seller === home)
    .map(({ trade, index }) => ({
      period_start_ms: at, side: trade.buyer === home ? 'buy' : 'sell', energy_wh: trade.wh,
      price: micro(auction(at).price), amount: micro(cost(trade.wh, auction(at).price)),
      charge: '0.000000', counterparty: (trade.buyer === home ? trade.seller : trade.buyer).party,
      origin: trade.seller.battery ? 'battery' : 'solar', state: 'settled',
      height: auction(at).height, receipt: `/api/v1/receipts/${auction(at).height}/${index + 1}`,
    })));
}

function ordersBody(home, date) {
  return dayPeriods(date).reverse().flatMap((at) => {
    const result = auction(at);
    return [...result.bids.map((o) => ['buy', o]), ...result.offers.map((o) => ['sell', o])]
      .filter(([, order]) => order.home === home)
      .map(([side, order]) => {
        const filled = sum(result.trades.filter((t) => (side === 'buy' ? t.buyer : t.seller) === home), (t) => t.wh);
        const price = result.price === null ? null : micro(result.price);
        const [reason, en, ja] = answer(order, filled, price);
        return { period_start_ms: at, side, ordered_wh: order.wh, filled_wh: filled, price, reason, answer: { en, ja }, height: result.height };
      });
  });
}

function answer(order, filled, price) {
  const kwh = (wh) => `${(wh / 1000).toFixed(3)} kWh`;
  if (filled === order.wh) {
    return ['filled', `All ${kwh(filled)} traded at ${price}.`, `${kwh(filled)}すべてが${price}で約定しました。`];
  }
  if (price === null) {
    return ['no_trade', 'Nothing traded: no bid reached any offer.', '約定なし:買いと売りの価格が折り合いませんでした。'];
  }
  const limit = micro(order.limit);
  if (!filled) {
    return ['limit_not_reached', `Nothing traded: your limit ${limit} did not reach the clearing price ${price}.`, `約定なし:指値${limit}が約定価格${price}に届きませんでした。`];
  }
  return ['shared_at_margin', `${kwh(filled)} of ${kwh(order.wh)} traded at ${price}: there was not enough for all.`, `${kwh(order.wh)}のうち${kwh(filled)}が${price}で約定しました。`];
}

function resultsOf(height) {
  const about = timeOf(height);
  const results = [];
  const push = (kind, en, ja) => results.push({ index: results.length, kind, summary: { en, ja }, receipt: `/api/v1/receipts/${height}/${results.length}` });
  for (const at of [floorPeriod(about + LEAD_MS), floorPeriod(about - PERIOD_MS - SETTLE_AFTER_MS)]) {
    const result = auction(at);
    const name = (home) => home.party.slice(0, 6);
    if (result.height === height) {
      push('clearing', `Cleared ${(result.volume / 1000).toFixed(3)} kWh at ${result.price === null ? 'no price' : micro(result.price)}.`, `${(result.volume / 1000).toFixed(3)} kWhを約定しました。`);
      for (const t of result.trades) push('trade', `${name(t.seller)} sells ${(t.wh / 1000).toFixed(3)} kWh to ${name(t.buyer)}.`, `${name(t.seller)}から${name(t.buyer)}へ${(t.wh / 1000).toFixed(3)} kWh。`);
    }
    if (result.settledHeight === height) {
      for (const home of homes) push('settled', `${name(home)} is settled for this period.`, `${name(home)}を精算しました。`);
    }
  }
  return results;
}

function blockSummary(height) {
  const signatures = height % 37 === 0 ? 3 : 4;
  const nearGate = timeOf(height + 3) % PERIOD_MS < 4 * MINUTE_MS;
  return {
    height, time_ms: timeOf(height), hash: sha(`block ${height}`),
    transactions_count: nearGate ? 4 + (height % 5) : height % 2, results_count: resultsOf(height).length,
    signatures_count: signatures, validators_count: 4, round: height % 37 === 0 ? 1 : 0,
  };
}

function blockBody(height) {
  const block = blockSummary(height);
  return {
    ...block, previous: sha(`block ${height - 1}`), transactions_root: sha(`tx ${height}`),
    state_root: sha(`state ${height}`), results_root: sha(`results ${height}`),
    transactions: Array.from({ length: block.transactions_count }, (_, i) => ({
      kind: i % 3 ? 'order' : 'reading', party: options.closed ? null : homes[(height + i) % 12].party,
      period_start_ms: floorPeriod(block.time_ms) + PERIOD_MS, hash: sha(`tx ${height} ${i}`),
    })),
    results: resultsOf(height),
    signatures: validators.slice(0, block.signatures_count).map(({ address, power }) => ({ validator: address, power })),
    quorum_power: 3, total_power: 4,
  };
}

const problem = (status, title, detail) => ({ status, body: { type: 'about:blank', title, status, detail } });
const closed = () => problem(403, 'Household pages are closed', 'This community keeps household pages closed; ask its operator.');
const missing = (detail) => problem(404, 'Not found', detail);
const ok = (body) => ({ status: 200, body });

function answerTo(path, query) {
  const parts = path.slice('/api/v1/'.length).split('/');
  const [area, id, sub] = parts;
  const date = query.get('date') ?? dayOf(marketNow());
  if (area === 'community') return ok(communityBody());
  if (area === 'status') return ok(statusBody());
  if (area === 'now') return ok(nowBody());
  if (area === 'prices') return ok(pricesBody(query));
  if (area === 'auctions') {
    if (options.empty) return missing('No auction has been held yet; the first one follows at the next gate.');
    return ok(auctionBody(id === 'latest' ? lastCleared() : Number(id)));
  }
  if (area === 'households') {
    if (options.closed) return closed();
    if (!id) return ok(homes.map((h) => ({ party: h.party, zone: h.zone, zone_label: zones[h.zone].label, sells: h.solarKw > 0, has_battery_origin: h.battery })));
    const home = homes.find((candidate) => candidate.party === id);
    if (!home) return missing('No household has this identifier; choose one from the list.');
    if (sub === 'trades') return ok(tradesBody(home, date));
    if (sub === 'orders') return ok(ordersBody(home, date));
    return ok(householdBody(home, date));
  }
  if (area === 'blocks') {
    const top = heightAt(marketNow());
    if (id) return Number(id) >= 1 && Number(id) <= top ? ok(blockBody(Number(id))) : missing(`There is no block ${id} yet; the newest is ${top}.`);
    const before = Math.min(Number(query.get('before') ?? top + 1), top + 1);
    const count = Math.min(Number(query.get('count') ?? 25), before - 1);
    return ok(Array.from({ length: count }, (_, i) => blockSummary(before - 1 - i)));
  }
  if (area === 'receipts') return ok({ stand_in: true, height: Number(id), index: Number(sub) });
  return missing('There is nothing at this address.');
}

function openStream(request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let id = 0;
  let seen = { height: heightAt(marketNow()), cleared: lastCleared(), settled: lastSettled() };
  const send = (event, data) => response.write(`id: ${(id += 1)}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  send('status', statusBody());
  const statusTimer = setInterval(() => send('status', statusBody()), 2000);
  const timer = setInterval(() => {
    if (options.state !== 'live') return;
    const top = { height: heightAt(marketNow()), cleared: lastCleared(), settled: lastSettled() };
    if (top.height > seen.height) {
      const { height, time_ms, hash, transactions_count } = blockSummary(top.height);
      send('block', { height, time_ms, hash, transactions_count });
    }
    if (top.cleared > seen.cleared && !options.empty) {
      const { price, volume_wh } = auctionBody(top.cleared);
      send('cleared', { period_start_ms: top.cleared, gate: 0, price, volume_wh });
    }
    if (top.settled > seen.settled && !options.empty) send('settled', { period_start_ms: top.settled });
    seen = top;
  }, 250);
  request.on('close', () => { clearInterval(timer); clearInterval(statusTimer); });
}

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json', '.txt': 'text/plain' };
function serveFile(path, response) {
  const wanted = join(options.dist, normalize(path));
  const file = existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(options.dist, 'index.html');
  response.writeHead(200, {
    'content-type': `${TYPES[extname(file)] ?? 'application/octet-stream'}; charset=utf-8`,
    'content-security-policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
  });
  createReadStream(file).pipe(response);
}

createServer((request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1');
  if (url.pathname === '/api/v1/events') return openStream(request, response);
  if (url.pathname === '/api/v1/genesis') {
    response.writeHead(200, { 'content-type': 'text/plain' });
    return response.end('# a stand-in, not a genesis\n');
  }
  if (url.pathname.startsWith('/api/')) {
    const { status, body } = answerTo(url.pathname, url.searchParams);
    const headers = { 'content-type': status === 200 ? 'application/json' : 'application/problem+json' };
    if (url.pathname.includes('/receipts/')) headers['content-disposition'] = 'attachment; filename="receipt.json"';
    response.writeHead(status, headers);
    return response.end(JSON.stringify(body));
  }
  if (options.dist) return serveFile(url.pathname, response);
  response.writeHead(404).end();
}).listen(Number(options.port), '127.0.0.1', () => {
  process.stdout.write(`stand-in API on http://127.0.0.1:${options.port}\n`);
});
