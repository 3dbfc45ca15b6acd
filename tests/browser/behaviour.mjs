// What the page does: its figures add up, it can be used, it lives.
import { openPage, visit } from './views.mjs';

const DESKTOP = { name: 'desktop', width: 1280, height: 900 };
const PHONE = { name: 'phone', width: 390, height: 844 };
const CLOCK_PATIENCE_MS = 90_000;

const textOf = (page, selector) => page.locator(selector).first().innerText();

/** Runs one check in a page of its own; anything thrown is its failure. */
async function inPage({ context, check }, name, size, run) {
  const { page, errors } = await openPage(context, { size });
  try {
    const problem = await run(page);
    check(name, problem || errors.join('; '));
  } catch (cause) {
    check(name, cause.message);
  } finally {
    await page.close();
  }
}

/** The flows that are shown sum up to what the homes took and what was given. */
export async function checkFlows({ context, base, check }) {
  for (const size of [DESKTOP, PHONE]) {
    await inPage({ context, check }, `the flows balance (${size.name})`, size, async (page) => {
      await visit(page, `${base}/?lang=en`);
      const { flows, imported_wh, exported_wh } = await page.evaluate(() => {
        const list = document.querySelector('[data-imported-wh]');
        const rows = [...list.querySelectorAll('li[data-wh]')];
        return {
          imported_wh: Number(list.dataset.importedWh),
          exported_wh: Number(list.dataset.exportedWh),
          flows: rows.map((row) => ({
            ...row.dataset,
            // What a person reads, in kWh to the Wh.
            shown_wh: Math.round(
              parseFloat(row.querySelector('b').innerText.replaceAll(',', '')) * 1000,
            ),
          })),
        };
      });
      const sum = (rows) => rows.reduce((total, row) => total + row.shown_wh, 0);
      const misread = flows.find((flow) => flow.shown_wh !== Number(flow.wh));
      if (misread) return `${misread.from} to ${misread.to} shows ${misread.shown_wh} Wh`;
      const taken_wh = sum(flows.filter((flow) => flow.to === 'homes'));
      const given_wh = sum(flows.filter((flow) => flow.from !== 'grid'));
      if (taken_wh !== imported_wh) return `homes took ${imported_wh} Wh, shown are ${taken_wh}`;
      return given_wh !== exported_wh && `${exported_wh} Wh were given, shown are ${given_wh}`;
    });
  }
}

/** The bill's lines come to its result; certificates, zones and the tariff are there to be read. */
export async function checkSettlement({ context, base, check, views }) {
  const json = async (page, path) => (await page.request.get(`${base}/api/v1${path}`)).json();
  if (views.household) {
    await inPage({ context, check }, 'every bill adds up', DESKTOP, async (page) => {
      await visit(page, `${base}${views.household}?lang=en`);
      const bills = await page.evaluate(() =>
        [...document.querySelectorAll('table[data-net]')].map((table) => ({
          net: table.dataset.net,
          lines: [...table.querySelectorAll('tr[data-amount]')].map((row) => row.dataset.amount),
          words: table.innerText,
        })),
      );
      if (bills.length < 2) return `${bills.length} bills are shown, of the day and of a period`;
      // Six places: exact as whole millionths.
      const micros = (text) => BigInt(text.replace('.', ''));
      const wrong = bills.find(
        ({ net, lines }) => lines.reduce((sum, line) => sum + micros(line), 0n) !== micros(net),
      );
      if (wrong) return `the lines ${wrong.lines} do not come to ${wrong.net}`;
      const unnamed = bills.find(({ words }) => words.includes('undefined'));
      return unnamed && `a line has no name: ${unnamed.words}`;
    });

    await inPage({ context, check }, 'certificates are told in words', DESKTOP, async (page) => {
      await visit(page, `${base}${views.household}?lang=en`);
      const { certified } = await json(page, `${views.household.replace(/\?.*/, '')}`);
      const told = await textOf(page, '[data-certified]');
      const many = certified.received.length + certified.delivered.length;
      if (many === 0) return !told.includes('Nothing') && `"${told}" though nothing is certified`;
      return !/certified .+ neighbours\./.test(told) && `it reads "${told}"`;
    });
  }

  await inPage({ context, check }, 'zones and lines are those of the auction', PHONE, async (page) => {
    await visit(page, `${base}/market?lang=en`);
    const { zones } = await json(page, '/community');
    if (zones.length < 2) return '';
    const labels = await page.locator('[data-zones] tbody th').allInnerTexts();
    const missing = zones.find(({ label }) => !labels.some((text) => text.includes(label)));
    if (missing) return `${missing.label} has no row among ${labels.join(', ')}`;
    const lines = await page.locator('[data-lines] tbody tr').count();
    return lines !== zones.length - 1 && `${lines} lines between ${zones.length} zones`;
  });

  await inPage({ context, check }, 'the tariff in force is marked', DESKTOP, async (page) => {
    await visit(page, `${base}/?lang=en`);
    const { today } = await json(page, '/tariff');
    const [all, marked] = await Promise.all([
      page.locator('[data-spans] li').count(),
      page.locator('[data-spans] li[aria-current="time"]').count(),
    ]);
    if (marked !== 1) return `${marked} spans are marked as running`;
    return all !== today.length && `${all} of ${today.length} spans are shown`;
  });
}

/** Links, keyboard, preferences, tables and receipts work. */
export async function checkUse({ context, base, check, views }) {
  await inPage({ context, check }, 'areas open without a reload', DESKTOP, async (page) => {
    await visit(page, `${base}/?lang=en`);
    await page.evaluate(() => (window.sameDocument = true));
    for (const area of ['market', 'households', 'ledger']) {
      await page.click(`nav a[href="/${area}"]`);
      await page.waitForFunction(
        (wanted) =>
          location.pathname === `/${wanted}` &&
          document.querySelector('nav a[aria-current]')?.getAttribute('href') === `/${wanted}` &&
          document.activeElement?.tagName === 'H1',
        area,
        { timeout: 10_000 },
      );
    }
    await page.goBack();
    await page.waitForFunction(() => location.pathname === '/households');
    return !(await page.evaluate(() => window.sameDocument)) && 'the page was loaded anew';
  });

  await inPage(
    { context, check },
    'the first Tab offers to skip to the content',
    DESKTOP,
    async (page) => {
      await visit(page, `${base}/?lang=en`);
      await page.keyboard.press('Tab');
      const target = await page.evaluate(() => document.activeElement?.getAttribute('href'));
      return target !== '#content' && `focus is on ${target}`;
    },
  );

  await inPage({ context, check }, 'language and theme are remembered', DESKTOP, async (page) => {
    await visit(page, `${base}/`);
    await page.click('button[popovertarget="menu"]');
    await page.check('input[name="language"][value="ja"]');
    await page.check('input[name="theme"][value="dark"]');
    await visit(page, `${base}/ledger`);
    const { lang, theme } = await page.evaluate(() => ({
      lang: document.documentElement.lang,
      theme: document.documentElement.dataset.theme,
    }));
    await page.evaluate(() => localStorage.clear());
    return (lang !== 'ja' || theme !== 'dark') && `lang ${lang}, theme ${theme}`;
  });

  await inPage(
    { context, check },
    'the arrow keys move along the price chart',
    DESKTOP,
    async (page) => {
      await visit(page, `${base}/market?lang=en`);
      const chart = page.getByRole('slider').first();
      await chart.focus();
      await page.keyboard.press('Home');
      const first = await chart.getAttribute('aria-valuetext');
      await page.keyboard.press('End');
      const last = await chart.getAttribute('aria-valuetext');
      const many = Number(await chart.getAttribute('aria-valuemax')) > 0;
      return many && first === last && `both ends read "${first}"`;
    },
  );

  await inPage(
    { context, check },
    'a table stands behind the price chart',
    DESKTOP,
    async (page) => {
      await visit(page, `${base}/market?lang=en`);
      await page.click('details summary');
      const rows = await page.locator('details[open] tbody tr').count();
      return rows === 0 && 'it has no rows';
    },
  );

  if (views.household) {
    await inPage({ context, check }, 'a receipt can be saved', DESKTOP, (page) =>
      saveReceipt(page, base),
    );
  }
}

/** Whatever the strip has to say, what lies below it stays where it is. */
export async function checkStrip({ context, base, check }) {
  for (const size of [DESKTOP, PHONE]) {
    await inPage({ context, check }, `a halt moves nothing (${size.name})`, size, async (page) => {
      const top = () => page.locator('h1').evaluate((title) => title.getBoundingClientRect().top);
      await visit(page, `${base}/?lang=en`);
      const calm = await top();
      const status = await (await page.request.get(`${base}/api/v1/status`)).json();
      const words = 'Two of four validators do not answer: trading stands still until they do.';
      const halted = { ...status, state: 'halted', detail: { en: words, ja: words, de: words } };
      await page.route('**/api/v1/events', (route) =>
        route.fulfill({
          contentType: 'text/event-stream',
          body: `event: status\ndata: ${JSON.stringify(halted)}\n\n`,
        }),
      );
      await visit(page, `${base}/?lang=en`);
      await page.locator('[data-state] [role="status"] .sentence').waitFor({ timeout: 10_000 });
      const troubled = await top();
      return troubled !== calm && `the title stands at ${troubled} instead of ${calm}`;
    });
  }
}

async function saveReceipt(page, base) {
  // The latest auction's block holds receipts of its clearing, whoever traded.
  const auction = await (await page.request.get(`${base}/api/v1/auctions/latest`)).json();
  await visit(page, `${base}/ledger/${auction.height}/0?lang=en`);
  const link = page.locator('a[download][href^="/api/v1/receipts/"]').first();
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  const failure = await download.failure();
  return failure && `the download failed: ${failure}`;
}

/** Height, clock and price change in the open page, through the event stream alone. */
export async function checkLive({ context, base, check, patience_ms }) {
  const { page, errors } = await openPage(context, { size: DESKTOP });
  try {
    await visit(page, `${base}/?lang=en`);
    await page.evaluate(() => (window.sameDocument = true));
    const changes = async (what, timeout_ms) => {
      const selector = `[data-live="${what}"]`;
      const before = await textOf(page, selector);
      await page
        .waitForFunction(
          ([where, old]) => document.querySelector(where)?.innerText !== old,
          [selector, before],
          { timeout: timeout_ms },
        )
        .then(
          () => check(`the ${what} changes live`, ''),
          () => check(`the ${what} changes live`, `it is still ${before}`),
        );
    };
    await changes('height', CLOCK_PATIENCE_MS);
    await changes('clock', CLOCK_PATIENCE_MS);
    await changes('price', patience_ms);
    const same = await page.evaluate(() => window.sameDocument === true);
    check('all that without a reload', !same && 'the page was loaded anew');
    check('no console errors while living', errors.join('; '));
  } catch (cause) {
    check('the page lives', cause.message);
  } finally {
    await page.close();
  }
}
