/** Where marks stand, in the data's own units. Drawing them is the charts' work. */

/** A point of a stepped line: `y` holds from `x` on, up to the next point's `x`. */
export interface StepPoint {
  x: number;
  y: number;
}

interface Period {
  period_start_ms: number;
  price?: string | null;
}

/** Unbroken stretches of priced periods, each closed by a point at its last period's end. */
export function priceRuns(periods: readonly Period[], period_ms: number): StepPoint[][] {
  const runs: StepPoint[][] = [];
  let run: StepPoint[] = [];
  let end = Number.NaN;
  const close = () => {
    const last = run.at(-1);
    if (last) runs.push([...run, { x: end, y: last.y }]);
    run = [];
  };
  for (const { period_start_ms, price } of periods) {
    if (price == null || period_start_ms !== end) close();
    if (price == null) continue;
    run.push({ x: period_start_ms, y: Number(price) });
    end = period_start_ms + period_ms;
  }
  close();
  return runs;
}

/** The supplier's prices, drawn between two ends. */
export interface TariffSpan {
  from: number;
  to: number;
  /** What a neighbour's energy saves, per kWh. */
  avoidable: string;
  feed_in: string;
}

interface TariffPeriod {
  period_start_ms: number;
  avoidable: string;
  feed_in: string;
}

/** The stretches of time in which the supplier's prices stay the same, without gaps between. */
export function tariffSpans(periods: readonly TariffPeriod[], period_ms: number): TariffSpan[] {
  const spans: TariffSpan[] = [];
  for (const { period_start_ms, avoidable, feed_in } of periods) {
    const last = spans.at(-1);
    if (last) last.to = period_start_ms;
    if (last?.avoidable !== avoidable || last.feed_in !== feed_in) {
      spans.push({ from: period_start_ms, to: period_start_ms, avoidable, feed_in });
    }
  }
  const [last, end] = [spans.at(-1), periods.at(-1)];
  if (last && end) last.to = end.period_start_ms + period_ms;
  return spans;
}

/** One step of a merit order. */
export interface Step {
  limit: string;
  energy_wh: number;
}

/** A merit order as a stepped line over cumulated energy, closed at its total. */
export function meritOrder(steps: readonly Step[]): StepPoint[] {
  const points: StepPoint[] = [];
  let energy = 0;
  for (const step of steps) {
    points.push({ x: energy, y: Number(step.limit) });
    energy += step.energy_wh;
  }
  const last = points.at(-1);
  return last ? [...points, { x: energy, y: last.y }] : [];
}

/** The total energy of a merit order. */
export function totalEnergy(steps: readonly Step[]): number {
  return steps.reduce((total, step) => total + step.energy_wh, 0);
}

/** The limit that holds just right of `energy_wh`; `null` beyond the last step. */
export function limitAt(steps: readonly Step[], energy_wh: number): string | null {
  let end = 0;
  for (const step of steps) {
    end += step.energy_wh;
    if (energy_wh < end) return step.limit;
  }
  return null;
}

/** Where demand (limits falling) and supply (limits rising) meet. */
export interface Crossing {
  energy_wh: number;
  /** Any price from `low` to `high` clears the market. */
  low: number;
  high: number;
}

/** The largest quantity that buyers want at least as much as sellers; `null` if there is none. */
export function crossing(demand: readonly Step[], supply: readonly Step[]): Crossing | null {
  let [buying, selling, energy_wh] = [0, 0, 0];
  let [wanted, offered] = [demand[0]?.energy_wh ?? 0, supply[0]?.energy_wh ?? 0];
  let [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (;;) {
    const [bid, offer] = [demand[buying], supply[selling]];
    if (!bid || !offer || Number(bid.limit) < Number(offer.limit)) {
      if (energy_wh === 0) return null;
      // The first unfilled orders narrow the interval: neither may want to trade any more.
      if (bid) low = Math.max(low, Number(bid.limit));
      if (offer) high = Math.min(high, Number(offer.limit));
      return { energy_wh, low: Math.min(low, high), high };
    }
    const filled = Math.min(wanted, offered);
    energy_wh += filled;
    if (filled > 0) [low, high] = [Number(offer.limit), Number(bid.limit)];
    wanted -= filled;
    offered -= filled;
    if (wanted === 0) wanted = demand[(buying += 1)]?.energy_wh ?? 0;
    if (offered === 0) offered = supply[(selling += 1)]?.energy_wh ?? 0;
  }
}

/** A point of the area between the curves. */
export interface GainPoint {
  x: number;
  bid: number;
  offer: number;
}

/** The area between demand and supply up to the traded energy: what the trade is worth to all. */
export function gainArea(
  demand: readonly Step[],
  supply: readonly Step[],
  traded_wh: number,
): GainPoint[] {
  const edges = [...meritOrder(demand), ...meritOrder(supply)].map((point) => point.x);
  const inside = [...new Set([0, ...edges])].filter((x) => x < traded_wh).sort((a, b) => a - b);
  const points: GainPoint[] = [];
  for (const x of inside) {
    const [bid, offer] = [limitAt(demand, x), limitAt(supply, x)];
    if (bid === null || offer === null) break;
    points.push({ x, bid: Number(bid), offer: Number(offer) });
  }
  const last = points.at(-1);
  return last ? [...points, { ...last, x: traded_wh }] : [];
}

/** Instants of whole local hours divisible by `every_hours` in [from, to], for the time axis. */
export function hourTicks(
  from_ms: number,
  to_ms: number,
  every_hours: number,
  hourOfDay: (at_ms: number) => number,
): number[] {
  const quarter_ms = 900_000;
  const ticks: number[] = [];
  for (let at = Math.ceil(from_ms / quarter_ms) * quarter_ms; at <= to_ms; at += quarter_ms) {
    if (hourOfDay(at) % every_hours === 0) ticks.push(at);
  }
  return ticks;
}

const TICK_WIDTH_MIN = 62;

/** How many hours lie between two ticks of a time axis, so that their times do not touch. */
export function hoursPerTick(span_ms: number, width: number): number {
  const hours = span_ms / 3_600_000;
  const fits = (every: number) => (hours / every) * TICK_WIDTH_MIN <= width;
  return [1, 2, 3, 6].find(fits) ?? 12;
}

/** The y domain of a price chart: the supplier's and every other price inside, with air above. */
export function priceDomain(
  tariffs: readonly { avoidable: string; feed_in: string }[],
  prices: number[],
): [number, number] {
  const supplier = tariffs.flatMap(({ avoidable, feed_in }) => [avoidable, feed_in]).map(Number);
  const values = [...supplier, ...prices].filter(Number.isFinite);
  if (values.length === 0) return [0, 1];
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  return [low, high > low ? high + (high - low) * 0.14 : low + 1];
}
