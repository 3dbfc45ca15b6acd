// What the stand-in answers about one household.
import { auction, cost, dayPeriods, homeInPeriod, micro, sum, zones } from './world.mjs';

function linesOf(rows) {
  const total = (of) => sum(rows, of);
  const lines = [
    ['sold', total((row) => row.sold), total((row) => row.tradeIncome)],
    ['bought', total((row) => row.bought), -total((row) => row.tradeCost)],
    ['fed_in', total((row) => row.exported - row.sold), total((row) => row.supplierIncome)],
    ['supplied', total((row) => row.imported - row.bought), -total((row) => row.supplierCost)],
  ];
  return lines
    .filter(([, energy_wh, amount]) => energy_wh || amount)
    .map(([kind, energy_wh, amount]) => ({ kind, energy_wh, amount: micro(amount) }));
}

export function householdBody(home, date) {
  const rows = dayPeriods(date).map((at) => homeInPeriod(home, at));
  const total = (name) => sum(rows, (row) => row[name]);
  return {
    party: home.party,
    zone_label: zones[home.zone].label,
    date,
    totals: {
      imported_wh: total('imported'),
      exported_wh: total('exported'),
      bought_wh: total('bought'),
      sold_wh: total('sold'),
      lines: linesOf(rows),
      net: micro(total('net')),
      net_grid_only: micro(total('gridOnly')),
      saved: micro(total('net') - total('gridOnly')),
    },
    certified: {
      received: [{ origin: 'solar', energy_wh: total('bought') }].filter((one) => one.energy_wh),
      delivered: [{ origin: 'solar', energy_wh: total('sold') }].filter((one) => one.energy_wh),
    },
    estimated_count: rows.filter((row) => row.estimated).length,
    periods: rows.map((row) => ({
      period_start_ms: row.at,
      imported_wh: row.imported,
      exported_wh: row.exported,
      bought_wh: row.bought,
      sold_wh: row.sold,
      price: row.price === null ? null : micro(row.price),
      lines: linesOf([row]),
      net: micro(row.net),
      estimated: row.estimated,
    })),
    balance: micro(total('net') + 12_345_678),
  };
}

function pathOf({ seller, buyer }) {
  const inside = seller.zone === buyer.zone;
  const way = inside ? [seller.zone] : [seller.zone, 0, buyer.zone];
  return way.map((id) => zones[id].label);
}

export function tradesBody(home, date) {
  return dayPeriods(date)
    .reverse()
    .flatMap((at) =>
      auction(at)
        .trades.map((trade, index) => ({ trade, index, at }))
        .filter(({ trade }) => trade.buyer === home || trade.seller === home)
        .map(({ trade, index }) => ({
          period_start_ms: at,
          side: trade.buyer === home ? 'buy' : 'sell',
          energy_wh: trade.wh,
          seller_price: micro(auction(at).price),
          buyer_price: micro(auction(at).price),
          amount: micro(cost(trade.wh, auction(at).price)),
          charge: '0.000000',
          rent: '0.000000',
          path: pathOf(trade),
          counterparty: (trade.buyer === home ? trade.seller : trade.buyer).party,
          origin: trade.seller.battery ? 'battery' : 'solar',
          state: 'settled',
          height: auction(at).height,
          receipt: `/api/v1/receipts/${auction(at).height}/${index + 1}`,
        })),
    );
}

export function ordersBody(home, date) {
  return dayPeriods(date)
    .reverse()
    .flatMap((at) => {
      const result = auction(at);
      return [...result.bids.map((o) => ['buy', o]), ...result.offers.map((o) => ['sell', o])]
        .filter(([, order]) => order.home === home)
        .map(([side, order]) => {
          const filled = sum(
            result.trades.filter((t) => (side === 'buy' ? t.buyer : t.seller) === home),
            (t) => t.wh,
          );
          const price = result.price === null ? null : micro(result.price);
          const [reason, en, ja] = answer(order, filled, price);
          return {
            period_start_ms: at,
            side,
            ordered_wh: order.wh,
            filled_wh: filled,
            price,
            reason,
            answer: { en, ja },
            height: result.height,
          };
        });
    });
}

export function answer(order, filled, price) {
  const kwh = (wh) => `${(wh / 1000).toFixed(3)} kWh`;
  if (filled === order.wh) {
    return [
      'filled',
      `All ${kwh(filled)} traded at ${price}.`,
      `${kwh(filled)}すべてが${price}で約定しました。`,
    ];
  }
  if (price === null) {
    return [
      'no_trade',
      'Nothing traded: no bid reached any offer.',
      '約定なし:買いと売りの価格が折り合いませんでした。',
    ];
  }
  const limit = micro(order.limit);
  if (!filled) {
    return [
      'limit_not_reached',
      `Nothing traded: your limit ${limit} did not reach the clearing price ${price}.`,
      `約定なし:指値${limit}が約定価格${price}に届きませんでした。`,
    ];
  }
  return [
    'shared_at_margin',
    `${kwh(filled)} of ${kwh(order.wh)} traded at ${price}: there was not enough for all.`,
    `${kwh(order.wh)}のうち${kwh(filled)}が${price}で約定しました。`,
  ];
}
