// What the page proves: true receipts hold, false ones give a cross at the step that fails.
import { openPage, visit } from './views.mjs';

const DESKTOP = { name: 'desktop', width: 1280, height: 900 };

const flipped = (hex, at) =>
  hex.slice(0, at) + (parseInt(hex[at], 16) ^ 1).toString(16) + hex.slice(at + 1);

/** Each falsehood with the step that must fail. */
const FALSEHOODS = [
  ['leaf', 'path', (file) => (file.leaf = flipped(file.leaf, file.leaf.length - 1))],
  ['salt', 'path', (file) => (file.salt = flipped(file.salt, 3))],
  ['header', 'certificate', (file) => (file.header = flipped(file.header, 90))],
  ['chain', 'header', (file) => (file.header = flipped(file.header, 10))],
  [
    'signature',
    'certificate',
    ({ certificate }) => {
      const [first] = certificate.signatures;
      first.signature = flipped(first.signature, 30);
    },
  ],
  ['quorum', 'certificate', ({ certificate }) => certificate.signatures.splice(1)],
];

async function verdict(page, address) {
  await visit(page, address);
  const shown = page.locator('[data-verdict]');
  await shown.waitFor({ timeout: 20_000 });
  const { verdict: found, failed } = await shown.evaluate((card) => ({ ...card.dataset }));
  const crosses = await page
    .locator('[data-outcome="fails"]')
    .evaluateAll((steps) => steps.map((step) => step.dataset.step));
  return { found, failed, crosses };
}

async function inPage({ context, check }, name, run) {
  const { page, errors } = await openPage(context, { size: DESKTOP });
  try {
    check(name, (await run(page)) || errors.join('; '));
  } catch (cause) {
    check(name, cause.message);
  } finally {
    await page.close();
  }
}

export async function checkProofs({ context, base, check, views }) {
  const address = `${base}${views.receipt}?lang=en`;
  await inPage({ context, check }, 'a true receipt holds', async (page) => {
    const { found, failed } = await verdict(page, address);
    return found !== 'holds' && `the verdict is ${found}, at ${failed}`;
  });
  for (const [what, step, change] of FALSEHOODS) {
    await inPage({ context, check }, `a receipt with another ${what} gives a cross`, async (page) => {
      await page.route('**/api/v1/receipts/**', async (route) => {
        const file = await (await route.fetch()).json();
        change(file);
        await route.fulfill({
          contentType: 'application/json',
          body: `${JSON.stringify(file, null, 2)}\n`,
        });
      });
      const { found, failed, crosses } = await verdict(page, address);
      if (found !== 'fails' || failed !== step) return `the verdict is ${found}, at ${failed}`;
      return crosses.join() !== step && `the crosses stand at ${crosses.join()}`;
    });
  }
  if (views.trade) {
    await inPage({ context, check }, 'a row that differs from its proof gives a cross', async (page) => {
      await page.route('**/api/v1/households/*/trades?**', async (route) => {
        const rows = await (await route.fetch()).json();
        for (const row of rows) row.energy_wh += 1;
        await route.fulfill({ json: rows });
      });
      const { found, failed } = await verdict(page, `${base}${views.trade}?lang=en`);
      return (found !== 'fails' || failed !== 'row') && `the verdict is ${found}, at ${failed}`;
    });
    await inPage({ context, check }, 'a true row is the one that is proved', async (page) => {
      const { found, failed } = await verdict(page, `${base}${views.trade}?lang=en`);
      return found !== 'holds' && `the verdict is ${found}, at ${failed}`;
    });
  }
  await inPage({ context, check }, 'the search finds a block by its hash', async (page) => {
    const [block] = await (await page.request.get(`${base}/api/v1/blocks?count=1`)).json();
    await visit(page, `${base}/ledger?lang=en`);
    await page.fill('#search', block.hash);
    await page.press('#search', 'Enter');
    await page.waitForURL(`**/ledger/${block.height}`, { timeout: 10_000 });
    return '';
  });
}
