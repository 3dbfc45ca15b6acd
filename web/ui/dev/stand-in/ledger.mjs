// What the stand-in answers about blocks.
import {
  LEAD_MS,
  MINUTE_MS,
  PERIOD_MS,
  SETTLE_AFTER_MS,
  auction,
  cost,
  floorPeriod,
  heightAt,
  homes,
  marketNow,
  micro,
  options,
  sha,
  timeOf,
  validators,
} from './world.mjs';

export function resultsOf(height) {
  const about = timeOf(height);
  const results = [];
  const push = (kind, of, en, ja) =>
    results.push({
      index: results.length,
      kind,
      of,
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
        { at, price: result.price, volume: result.volume },
        `Cleared ${(result.volume / 1000).toFixed(3)} kWh at ${result.price === null ? 'no price' : micro(result.price)}.`,
        `${(result.volume / 1000).toFixed(3)} kWhを約定しました。`,
      );
      for (const t of result.trades)
        push(
          'trade',
          { at, price: result.price, trade: t, amount: cost(t.wh, result.price) },
          `${name(t.seller)} sells ${(t.wh / 1000).toFixed(3)} kWh to ${name(t.buyer)}.`,
          `${name(t.seller)}から${name(t.buyer)}へ${(t.wh / 1000).toFixed(3)} kWh。`,
        );
    }
    if (result.settledHeight === height) {
      for (const home of homes)
        push(
          'settled',
          { party: home.party },
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
    results: resultsOf(height).map(({ index, kind, summary, receipt }) => ({
      index,
      kind,
      summary,
      receipt,
    })),
    signatures: validators
      .slice(0, block.signatures_count)
      .map(({ address, power }) => ({ validator: address, power })),
    quorum_power: 3,
    total_power: 4,
  };
}

export function transactionBody(hash) {
  const top = heightAt(marketNow());
  for (let height = top; height > Math.max(0, top - 2000); height -= 1) {
    const block = blockSummary(height);
    for (let index = 0; index < block.transactions_count; index += 1) {
      if (sha(`tx ${height} ${index}`) !== hash) continue;
      const transaction = blockBody(height).transactions[index];
      return {
        ...transaction,
        height,
        index,
        time_ms: block.time_ms,
        block: block.hash,
        receipt: null,
      };
    }
  }
  return null;
}

export function searchBody(id) {
  const top = heightAt(marketNow());
  const [height, index] = id.split('/').map(Number);
  if (id.includes('/')) return resultsOf(height)[index] ? [{ kind: 'result', height, index }] : [];
  const found = height >= 1 && height <= top ? [{ kind: 'block', height }] : [];
  for (let at = top; at > Math.max(0, top - 2000) && id.length >= 4; at -= 1) {
    const block = blockSummary(at);
    if (block.hash.startsWith(id)) found.push({ kind: 'block', height: at });
    for (let place = 0; place < block.transactions_count; place += 1) {
      const hash = sha(`tx ${at} ${place}`);
      if (hash.startsWith(id)) found.push({ kind: 'transaction', hash, height: at });
    }
  }
  for (const { party } of homes) if (party.startsWith(id)) found.push({ kind: 'party', party });
  return found;
}
