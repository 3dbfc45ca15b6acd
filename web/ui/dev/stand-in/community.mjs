// What the stand-in answers about the community as a whole.
import {
  DAY_MS,
  LEAD_MS,
  PERIOD_MS,
  auction,
  dayOf,
  dayPeriods,
  floorPeriod,
  genesisMs,
  heightAt,
  homeInPeriod,
  homes,
  lastCleared,
  lastSettled,
  marketNow,
  micro,
  options,
  speed,
  sum,
  supplier,
  timeOf,
  validators,
  yen,
  zones,
  sha,
} from './world.mjs';

export function communityBody() {
  return {
    name: yen ? '陽だまり町' : 'Sonnenhang',
    currency: options.currency,
    time_zone: yen ? 'Asia/Tokyo' : 'Europe/Berlin',
    chain_id: sha('chain'),
    period_minutes: 15,
    gate_lead_minutes: [15],
    gate_lag_minutes: null,
    zones,
    members_count: homes.length,
    validators,
    household_pages: options.closed ? 'closed' : 'open',
    clock_speed: speed,
  };
}

const DETAILS = {
  live: ['Trading is live.', '取引は正常に動いています。'],
  catching_up: [
    'Checking 4,210 blocks; the figures will be current in a moment.',
    '4,210ブロックを検証中です。まもなく最新になります。',
  ],
  halted: [
    'Trading has stopped: fewer than two thirds of the validators answer. It goes on by itself when they return; no acknowledged order is lost.',
    '取引が止まっています。応答している検証者が3分の2に足りません。復帰すると自動で再開し、受け付けた注文は失われません。',
  ],
  waiting: ['Waiting for the first block of this community.', '最初のブロックを待っています。'],
};
export function statusBody() {
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

export function nowBody() {
  const none = {
    period_start_ms: null,
    period_end_ms: null,
    price: null,
    flows: [],
    imported_wh: null,
    exported_wh: null,
    neighbours_wh: null,
    self_sufficiency: null,
    homes: [],
    energy_today_wh: null,
    saved_today: null,
    trades_today_count: null,
  };
  if (options.empty) return none;
  const at = lastSettled();
  const rows = homes.map((home) => ({ home, ...homeInPeriod(home, at) }));
  const imported = sum(rows, (row) => row.imported);
  const fromBattery = sum(
    rows.filter((row) => !row.home.solarKw || row.home.battery),
    (r) => r.exported,
  );
  const fromSolar = sum(rows, (row) => row.exported) - fromBattery;
  const neighbours = auction(at).volume;
  const batteryShare = Math.min(
    fromBattery,
    Math.round((neighbours * fromBattery) / Math.max(1, fromBattery + fromSolar)),
  );
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
    homes: options.closed
      ? []
      : rows.map((row) => ({
          party: row.home.party,
          zone: row.home.zone,
          imported_wh: row.imported,
          exported_wh: row.exported,
          bought_wh: row.bought,
          sold_wh: row.sold,
          estimated: row.estimated,
        })),
    energy_today_wh: sum(today, (period) => auction(period).volume),
    saved_today: micro(
      sum(today, (p) =>
        sum(homes, (h) => {
          const r = homeInPeriod(h, p);
          return r.net - r.gridOnly;
        }),
      ),
    ),
    trades_today_count: sum(today, (period) => auction(period).trades.length),
  };
}

export function pricesBody(query) {
  const to = Number(query.get('to_ms') ?? marketNow());
  const from = Math.max(Number(query.get('from_ms') ?? to - DAY_MS), genesisMs);
  const periods = [];
  const last = options.empty ? 0 : Math.min(to, lastCleared());
  for (let at = Math.ceil(from / PERIOD_MS) * PERIOD_MS; at <= last; at += PERIOD_MS) {
    const { price, volume, welfare } = auction(at);
    periods.push({
      period_start_ms: at,
      price: price === null ? null : micro(price),
      seller_price: price === null ? null : micro(price),
      volume_wh: volume,
      welfare: micro(welfare),
      ...supplier(),
    });
  }
  return { ...supplier(), periods };
}

const tradedIn = (zone, side, result) =>
  sum(
    result.trades.filter((trade) => trade[side].zone === zone.id),
    (trade) => trade.wh,
  );

function auctionZone(zone, result) {
  return {
    zone: zone.id,
    label: zone.label,
    price: result.price === null ? null : micro(result.price),
    bought_wh: tradedIn(zone, 'buyer', result),
    sold_wh: tradedIn(zone, 'seller', result),
  };
}

function auctionEdge(zone, result) {
  return {
    zone: zone.id,
    label: zone.label,
    parent_label: zones[zone.parent].label,
    flow_wh: tradedIn(zone, 'seller', result) - tradedIn(zone, 'buyer', result),
    capacity_up_wh: null,
    capacity_down_wh: null,
    full: false,
    charge_per_kwh: zone.charge_per_kwh,
    charge: micro(0),
    rent: micro(0),
  };
}

export function tariffBody() {
  const period_start_ms = floorPeriod(marketNow());
  const [from_ms] = dayPeriods(dayOf(marketNow()));
  const start_ms = from_ms ?? period_start_ms;
  return {
    period_start_ms,
    ...supplier(),
    tax: micro(0),
    levies: [],
    today: [{ from_ms: start_ms, to_ms: start_ms + DAY_MS, ...supplier() }],
  };
}

export function auctionBody(at) {
  const result = auction(at);
  const step = (order) => ({ limit: micro(order.limit), energy_wh: order.wh });
  return {
    period_start_ms: at,
    gate: 0,
    height: result.height,
    closed_at_ms: at - LEAD_MS,
    price: result.price === null ? null : micro(result.price),
    seller_price: result.price === null ? null : micro(result.price),
    volume_wh: result.volume,
    welfare: micro(result.welfare),
    ...supplier(),
    zones: zones.map((zone) => auctionZone(zone, result)),
    edges: zones.filter((zone) => zone.parent !== null).map((zone) => auctionEdge(zone, result)),
    demand: result.bids.map(step),
    supply: result.offers.map(step),
    bids_count: result.bids.length,
    offers_count: result.offers.length,
  };
}
