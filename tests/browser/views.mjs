// One view at one size, in one colour scheme and one language.
import { join } from 'node:path';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'];
const LAYOUT_SHIFT_MAX = 0.02;
/** What shows that a view has its data: nothing waits any more. */
const SETTLED = () =>
  !!document.querySelector('h1') && !document.querySelector('[aria-busy="true"]');

/** Opens a page that collects its console errors. */
export async function openPage(context, { size, scheme = 'light' }) {
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  await page.setViewportSize({ width: size.width, height: size.height });
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'no-preference' });
  await page.addInitScript(() => {
    window.layoutShifts = [];
    const nameOf = (node) => {
      const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
      if (!element) return 'something that is gone';
      const words = (element.textContent ?? '').replace(/\s+/g, ' ').trim().slice(0, 30);
      return `${element.tagName.toLowerCase()} "${words}"`;
    };
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        if (hadRecentInput) continue;
        const moved = sources.map(
          ({ node, previousRect: before, currentRect: after }) =>
            `${nameOf(node)} from ${Math.round(before.y)} to ${Math.round(after.y)}`,
        );
        window.layoutShifts.push({ value, moved });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  return { page, errors };
}

/** Goes to an address and waits for its data. */
export async function visit(page, address) {
  await page.goto(address, { waitUntil: 'load' });
  await page.waitForFunction(SETTLED, null, { timeout: 20_000 });
  await page.waitForTimeout(400);
}

/** What moved, if all that moved is more than a person should bear. */
async function jumps(page) {
  const shifts = await page.evaluate(() => window.layoutShifts);
  const sum = shifts.reduce((total, { value }) => total + value, 0);
  if (sum <= LAYOUT_SHIFT_MAX) return '';
  const told = shifts.map(({ value, moved }) => `${value.toFixed(3)}: ${moved.join(', ')}`);
  return `layout shift ${sum.toFixed(3)} (${told.join('; ')})`;
}

/** Console, accessibility, width, language, scheme, layout shift; and a screenshot to look at. */
export async function checkView({ context, base, out, check, axe, look }) {
  const { view, path, size, scheme, language } = look;
  const name = `${view}-${size.name}-${scheme}-${language}`;
  const { page, errors } = await openPage(context, { size, scheme });
  try {
    await visit(page, `${base}${path}${path.includes('?') ? '&' : '?'}lang=${language}`);
    check(`${name}: nothing jumps`, await jumps(page));

    const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    check(`${name}: fits the width`, width[0] > width[1] && `${width[0]} px in ${width[1]} px`);

    const shown = await page.evaluate(() => document.documentElement.lang);
    check(`${name}: is in its language`, shown !== language && `lang is ${shown}`);

    await page.evaluate(axe.source);
    const violations = await page.evaluate(async (values) => {
      const { violations } = await window.axe.run(document, {
        runOnly: { type: 'tag', values },
      });
      return violations.map(({ id, nodes }) => {
        const where = nodes.slice(0, 3).map((node) => `${node.target}: ${node.failureSummary}`);
        return `${id} (${nodes.length}) ${where.join(' | ')}`;
      });
    }, RULES);
    check(`${name}: accessible`, violations.join('; '));

    await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
    check(`${name}: no console errors`, errors.join('; '));
  } catch (cause) {
    await page.screenshot({ path: join(out, `${name}-failed.png`) }).catch(() => {});
    check(`${name}: opens`, `${cause.message}; console: ${errors.join('; ')}`);
  } finally {
    await page.close();
  }
}
