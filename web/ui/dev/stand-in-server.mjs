// A stand-in for the dashboard's API, for working on the page without a running neighbourhood.
// Everything it serves is made up, but shaped like web/openapi.json and consistent in itself.
// It is never part of a build. Usage:
//   node dev/stand-in-server.mjs [--port 8090] [--speed 60] [--dist DIR] [--currency EUR|JPY]
//        [--state live|catching_up|halted|waiting] [--closed] [--empty]
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import {
  auctionBody,
  communityBody,
  nowBody,
  pricesBody,
  statusBody,
  tariffBody,
} from './stand-in/community.mjs';
import { householdBody, ordersBody, tradesBody } from './stand-in/household.mjs';
import { historyBody } from './stand-in/history.mjs';
import { blockBody, blockSummary, searchBody, transactionBody } from './stand-in/ledger.mjs';
import { anchorBody, receiptText } from './stand-in/receipts.mjs';
import {
  auction,
  cleared,
  dayOf,
  heightAt,
  homes,
  lastCleared,
  lastSettled,
  marketNow,
  options,
  zones,
} from './stand-in/world.mjs';

const problem = (status, title, detail) => ({
  status,
  body: { type: 'about:blank', title, status, detail },
});
const closed = () =>
  problem(
    401,
    'Unauthorized',
    'Sign in first: households by the link that `hidamari agent sign-in` prints.',
  );
const missing = (detail) => problem(404, 'Not found', detail);
const ok = (body) => ({ status: 200, body });

function answerTo(path, query) {
  const parts = path.slice('/api/v1/'.length).split('/');
  const [area, id, sub] = parts;
  const date = query.get('date') ?? dayOf(marketNow());
  if (area === 'community') return ok(communityBody());
  if (area === 'session') {
    return ok({
      role: 'public',
      party: null,
      operator: null,
      ends_at_ms: null,
      idle_at_ms: null,
      confirmed_until_ms: null,
    });
  }
  if (area === 'status') return ok(statusBody());
  if (area === 'now') return ok(nowBody());
  if (area === 'tariff') return ok(tariffBody());
  if (area === 'prices') return ok(pricesBody(query));
  if (area === 'auctions') {
    if (options.empty)
      return missing('No auction has been held yet; the first one follows at the next gate.');
    return ok(auctionBody(id === 'latest' ? lastCleared() : Number(id)));
  }
  if (area === 'households') {
    if (options.closed) return closed();
    if (!id)
      return ok(
        homes.map((h) => ({
          party: h.party,
          zone: h.zone,
          zone_label: zones[h.zone].label,
          sells: h.solarKw > 0,
          has_battery_origin: h.battery,
        })),
      );
    const home = homes.find((candidate) => candidate.party === id);
    if (!home) return missing('No household has this identifier; choose one from the list.');
    if (sub === 'history') return ok(historyBody(home, query.get('span') ?? 'day', date));
    if (sub === 'trades') return ok(tradesBody(home, date));
    if (sub === 'orders') return ok(ordersBody(home, date));
    return ok(householdBody(home, date));
  }
  if (area === 'blocks') {
    const top = heightAt(marketNow());
    if (id)
      return Number(id) >= 1 && Number(id) <= top
        ? ok(blockBody(Number(id)))
        : missing(`There is no block ${id} yet; the newest is ${top}.`);
    const before = Math.min(Number(query.get('before') ?? top + 1), top + 1);
    const count = Math.min(Number(query.get('count') ?? 25), before - 1);
    return ok(Array.from({ length: count }, (_, i) => blockSummary(before - 1 - i)));
  }
  if (area === 'validators') return ok(anchorBody());
  if (area === 'search') return ok(searchBody(query.get('id') ?? ''));
  if (area === 'transactions') {
    const found = transactionBody(id);
    return found ? ok(found) : missing('No block carries this transaction.');
  }
  if (area === 'receipts') {
    const text = receiptText(Number(id), Number(sub));
    return text ? { status: 200, text } : missing('This block has no such result.');
  }
  return missing('There is nothing at this address.');
}

function openStream(request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let id = 0;
  let seen = { height: heightAt(marketNow()), cleared: lastCleared(), settled: lastSettled() };
  const send = (event, data) =>
    response.write(`id: ${(id += 1)}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
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
    if (top.settled > seen.settled && !options.empty)
      send('settled', { period_start_ms: top.settled });
    seen = top;
  }, 250);
  request.on('close', () => {
    clearInterval(timer);
    clearInterval(statusTimer);
  });
}

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain',
};
function serveFile(path, response) {
  const wanted = join(options.dist, normalize(path));
  const file =
    existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(options.dist, 'index.html');
  response.writeHead(200, {
    'content-type': `${TYPES[extname(file)] ?? 'application/octet-stream'}; charset=utf-8`,
    'content-security-policy':
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
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
    const { status, body, text } = answerTo(url.pathname, url.searchParams);
    const headers = {
      'content-type': status === 200 ? 'application/json' : 'application/problem+json',
    };
    if (url.pathname.includes('/receipts/'))
      headers['content-disposition'] = 'attachment; filename="receipt.json"';
    response.writeHead(status, headers);
    return response.end(text ?? JSON.stringify(body));
  }
  if (options.dist) return serveFile(url.pathname, response);
  response.writeHead(404).end();
}).listen(Number(options.port), '127.0.0.1', () => {
  process.stdout.write(`stand-in API on http://127.0.0.1:${options.port}\n`);
});
