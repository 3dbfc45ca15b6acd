// Opens a running dashboard in headless Chromium and checks what a person would see.
//
//   node run.mjs [http://127.0.0.1:8080]      or HIDAMARI_URL
//
// HIDAMARI_PATIENCE_S  how long to wait for the first settled period and for a new price (300)
// CHROMIUM             the browser (/usr/bin/chromium)
//
// Screenshots stay in out/. The last line is "N passed, N failed".
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { checkFlows, checkLive, checkSettlement, checkStrip, checkUse } from './behaviour.mjs';
import { checkProofs } from './proofs.mjs';
import { checkView } from './views.mjs';

const base = (process.argv[2] ?? process.env.HIDAMARI_URL ?? 'http://127.0.0.1:8080').replace(
  /\/$/,
  '',
);
const patience_ms = Number(process.env.HIDAMARI_PATIENCE_S ?? '300') * 1000;
const out = join(dirname(fileURLToPath(import.meta.url)), 'out');

const SIZES = {
  wide: { name: 'wide', width: 2560, height: 1300 },
  desktop: { name: 'desktop', width: 1280, height: 900 },
  phone: { name: 'phone', width: 390, height: 844 },
  narrow: { name: 'narrow', width: 360, height: 740 },
};
/** Every size, scheme and language, each beside several of the others: not their product. */
const LOOKS = [
  { size: SIZES.desktop, scheme: 'light', language: 'en' },
  { size: SIZES.desktop, scheme: 'dark', language: 'ja' },
  { size: SIZES.phone, scheme: 'light', language: 'ja' },
  { size: SIZES.phone, scheme: 'dark', language: 'en' },
  { size: SIZES.narrow, scheme: 'light', language: 'de' },
  { size: SIZES.wide, scheme: 'dark', language: 'de' },
];
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let passed = 0;
let failed = 0;

/** One check: counted, printed when it fails. */
function check(name, problem) {
  if (problem) {
    failed += 1;
    console.log(`FAIL  ${name}: ${problem}`);
  } else {
    passed += 1;
  }
}

async function readJson(path) {
  const response = await fetch(`${base}/api/v1${path}`);
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  return response.json();
}

/** Waits until a delivery period is settled: before that there is nothing to look at. */
async function firstSettlement() {
  const deadline = Date.now() + patience_ms;
  let last = 'no answer';
  while (Date.now() < deadline) {
    try {
      const now = await readJson('/now');
      if (now.period_start_ms != null) return;
      last = 'nothing is settled yet';
    } catch (cause) {
      last = cause.message;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error(`${base} shows no settled period after ${patience_ms / 1000} s: ${last}`);
}

async function addresses() {
  const community = await readJson('/community');
  const views = { home: '/', market: '/market', households: '/households', ledger: '/ledger', signIn: '/sign-in' };
  if (community.household_pages === 'open') {
    const households = await readJson('/households');
    const shown = households.find((household) => household.sells) ?? households[0];
    if (shown) {
      views.household = `/households/${shown.party}`;
      views.history = `/households/${shown.party}?span=month`;
      const [trade] = await readJson(`/households/${shown.party}/trades`);
      if (trade) views.trade = trade.receipt.replace('/api/v1/receipts/', '/ledger/');
    }
  }
  const auction = await readJson('/auctions/latest');
  views.block = `/ledger/${auction.height}`;
  views.receipt = `/ledger/${auction.height}/0`;
  return views;
}

async function withBrowser(run) {
  const profile = mkdtempSync(join(tmpdir(), 'hidamari-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    acceptDownloads: true,
    // It would answer for the server that is under test.
    serviceWorkers: 'block',
  });
  try {
    await run(context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function main() {
  mkdirSync(out, { recursive: true });
  await firstSettlement();
  const views = await addresses();
  await withBrowser(async (context) => {
    const { trade: _, ...looked } = views;
    for (const look of LOOKS) {
      for (const [view, path] of Object.entries(looked)) {
        await checkView({ context, base, out, check, axe, look: { ...look, view, path } });
      }
    }
    await checkProofs({ context, base, check, views });
    await checkFlows({ context, base, check });
    await checkSettlement({ context, base, check, views });
    await checkUse({ context, base, check, views });
    await checkStrip({ context, base, check });
    await checkLive({ context, base, check, patience_ms });
  });
}

try {
  await main();
} catch (cause) {
  check('the run', cause.stack ?? String(cause));
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
