// What the stand-in answers about blocks.
import {
  LEAD_MS,
  MINUTE_MS,
  PERIOD_MS,
  SETTLE_AFTER_MS,
  auction,
  floorPeriod,
  homes,
  micro,
  options,
  sha,
  timeOf,
  validators,
} from './world.mjs';

function resultsOf(height) {
  const about = timeOf(height);
  const results = [];
  const push = (kind, en, ja) =>
    results.push({
      index: results.length,
      kind,
      summary: { en, ja },
      receipt: `/api/v1/receipts/${height}/${results.length}`,
    });
  for (const at of [
    floorPeriod(about + LEAD_MS),
    floorPeriod(about - PERIOD_MS - SETTLE_AFTER_MS),
  ]) {
    const result = auction(at);
    const name = (home) => home.party.slice(0, 6);
    if (result.height === height) {
      push(
        'clearing',
        `Cleared ${(result.volume / 1000).toFixed(3)} kWh at ${result.price === null ? 'no price' : micro(result.price)}.`,
        `${(result.volume / 1000).toFixed(3)} kWhを約定しました。`,
      );
      for (const t of result.trades)
        push(
          'trade',
          `${name(t.seller)} sells ${(t.wh / 1000).toFixed(3)} kWh to ${name(t.buyer)}.`,
          `${name(t.seller)}から${name(t.buyer)}へ${(t.wh / 1000).toFixed(3)} kWh。`,
        );
    }
    if (result.settledHeight === height) {
      for (const home of homes)
        push(
          'settled',
          `${name(home)} is settled for this period.`,
          `${name(home)}を精算しました。`,
        );
    }
  }
  return results;
}

export function blockSummary(height) {
  const signatures = height % 37 === 0 ? 3 : 4;
  const nearGate = timeOf(height + 3) % PERIOD_MS < 4 * MINUTE_MS;
  return {
    height,
    time_ms: timeOf(height),
    hash: sha(`block ${height}`),
    transactions_count: nearGate ? 4 + (height % 5) : height % 2,
    results_count: resultsOf(height).length,
    signatures_count: signatures,
    validators_count: 4,
    round: height % 37 === 0 ? 1 : 0,
  };
}

export function blockBody(height) {
  const block = blockSummary(height);
  return {
    ...block,
    previous: sha(`block ${height - 1}`),
    transactions_root: sha(`tx ${height}`),
    state_root: sha(`state ${height}`),
    results_root: sha(`results ${height}`),
    transactions: Array.from({ length: block.transactions_count }, (_, i) => ({
      kind: i % 3 ? 'order' : 'reading',
      party: options.closed ? null : homes[(height + i) % 12].party,
      period_start_ms: floorPeriod(block.time_ms) + PERIOD_MS,
      hash: sha(`tx ${height} ${i}`),
    })),
    results: resultsOf(height),
    signatures: validators
      .slice(0, block.signatures_count)
      .map(({ address, power }) => ({ validator: address, power })),
    quorum_power: 3,
    total_power: 4,
  };
}
