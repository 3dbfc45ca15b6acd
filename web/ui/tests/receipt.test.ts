import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { validatorsHash, type Anchor } from '../src/lib/proof/certified';
import { fromHex, toHex, type Bytes } from '../src/lib/proof/bytes';
import { readLeaf } from '../src/lib/proof/leaf';
import { walkPath } from '../src/lib/proof/merkle';
import { pin } from '../src/lib/proof/pin';
import { checkReceipt, type CheckedReceipt, type Step } from '../src/lib/proof/receipt';
import type { ReceiptFile } from '../src/lib/proof/receipt-file';
import { compareTrade } from '../src/lib/proof/row';

const golden = (name: string) =>
  readFileSync(new URL(`../../../tests/golden/${name}`, import.meta.url), 'utf8');

/** The numbers of docs/formats.md. */
const known = new Map(
  golden('canonical_bytes.txt')
    .split('\n')
    .map((line) => line.split(' = ') as [string, string]),
);

const anchor: Anchor = {
  chain_id: known.get('genesis.chain_id') ?? '',
  validators: [...golden('genesis.toml').matchAll(/\[\[validators\]\]\nkey = "(\w+)"\npower = (\d+)/g)]
    .map(([, key = '', power]) => ({ key, power: Number(power) })),
};

/** Each receipt is checked against the chain that it names, with the golden validators. */
const anchorOf = (text: string): Anchor => ({
  ...anchor,
  chain_id: (JSON.parse(text) as ReceiptFile).header.slice(4, 68),
});

const FILES = [
  'receipt.json',
  'receipt_transaction.json',
  'receipt_handovers.json',
  'receipt_balance.json',
];

test('the anchor is that of the documented genesis', async () => {
  expect(await validatorsHash(anchor.validators)).toBe(known.get('validators.hash'));
});

test.each(FILES)('%s holds', async (name) => {
  const text = golden(name);
  const checked = await checkReceipt(text, anchorOf(text));
  expect(checked.failed).toBeNull();
  expect(checked.certificate?.votes.every((vote) => vote.holds)).toBe(true);
});

test('the header, its hash and the leaf are those of the documented numbers', async () => {
  const checked = await checkReceipt(golden('receipt.json'), anchor);
  expect(toHex(checked.leaf_hash ?? new Uint8Array())).toBe(known.get('leaf.1.hash'));
  expect(toHex(checked.head ?? new Uint8Array())).toBe(known.get('block.2.results_root'));
  expect(checked.leaf).toMatchObject({ kind: 'trade', energy_wh: 600, seller_price: '0.300000' });
});

/** The golden receipt with one thing changed, spelt as a receipt is. */
function tampered(change: (file: ReceiptFile) => void): string {
  const file = JSON.parse(golden('receipt.json')) as ReceiptFile;
  change(file);
  return `${JSON.stringify(file, null, 2)}\n`;
}

const flip = (hex: string, at = 0) => {
  const digit = (parseInt(hex[at] ?? '0', 16) ^ 1).toString(16);
  return hex.slice(0, at) + digit + hex.slice(at + 1);
};

const TAMPERED: [string, Step, (file: ReceiptFile) => void][] = [
  ['a figure of the leaf', 'path', (file) => (file.leaf = flip(file.leaf, file.leaf.length - 40))],
  ['the kind of the leaf', 'leaf', (file) => (file.leaf = `99${file.leaf.slice(2)}`)],
  ['the salt', 'path', (file) => (file.salt = flip(file.salt ?? ''))],
  ['the index', 'path', (file) => (file.index = 0)],
  ['the size', 'path', (file) => (file.size += 1)],
  ['a hash of the path', 'path', (file) => (file.path[1] = flip(file.path[1] ?? ''))],
  ['a path that is too short', 'path', (file) => void file.path.pop()],
  ['the header', 'path', (file) => (file.header = flip(file.header, 300))],
  ['the chain', 'header', (file) => (file.header = flip(file.header, 10))],
  ['the time of the block', 'certificate', (file) => (file.header = flip(file.header, 90))],
  ['the round', 'certificate', (file) => (file.certificate.round += 1)],
  ['the block', 'certificate', (file) => (file.certificate.block = flip(file.certificate.block))],
  [
    'a signature',
    'certificate',
    ({ certificate }) => {
      const [first] = certificate.signatures;
      if (first) first.signature = flip(first.signature, 20);
    },
  ],
  [
    'a signature less than the quorum',
    'certificate',
    (file) => void file.certificate.signatures.pop(),
  ],
  [
    'a vote counted twice',
    'certificate',
    ({ certificate }) => {
      certificate.signatures[2] = certificate.signatures[0] ?? { validator: '', signature: '' };
    },
  ],
];

test.each(TAMPERED)('%s: the step %s fails', async (_, step, change) => {
  expect((await checkReceipt(tampered(change), anchor)).failed).toBe(step);
});

test('a chain of its own with validators of its own proves nothing', async () => {
  const stranger = { ...anchor, validators: anchor.validators.map((one) => ({ ...one })) };
  const [first] = stranger.validators;
  if (first) first.key = flip(first.key, 3);
  const checked: CheckedReceipt = await checkReceipt(golden('receipt.json'), stranger);
  expect(checked.failed).toBe('certificate');
  expect(checked.certificate?.problem).toBe('stranger');
});

test('validators after a change are those that the old ones certified', async () => {
  const text = golden('receipt_handovers.json');
  const file = JSON.parse(text) as ReceiptFile;
  const retold = (change: (file: ReceiptFile) => void) => {
    const copy = structuredClone(file);
    change(copy);
    return checkReceipt(`${JSON.stringify(copy, null, 2)}\n`, anchorOf(text));
  };
  const less = await retold((copy) => void copy.handovers.pop());
  expect(less.failed).toBe('certificate');
  const swapped = await retold((copy) => void copy.handovers.reverse());
  expect(swapped.failed).toBe('handovers');
  const powerful = await retold((copy) => {
    const one = copy.handovers[0]?.validators[0];
    if (one) one.power += 1;
  });
  expect([powerful.failed, powerful.handover_problem]).toEqual(['handovers', 'other_validators']);
});

/** One receipt byte by byte; of the others, which differ in their root alone, one byte in seven. */
test.each(FILES.map((name) => [name, name === 'receipt.json' ? 1 : 7] as const))(
  'every flipped byte of %s fails (one in %i)',
  async (name, stride) => {
    const bytes = new TextEncoder().encode(golden(name));
    const trusted = anchorOf(golden(name));
    const decoder = new TextDecoder();
    const places = Array.from({ length: Math.ceil(bytes.length / stride) }, (_, at) => at * stride);
    const held = await Promise.all(
      places.map(async (at) => {
        const changed = bytes.slice();
        // The lowest bit turns one digit into another.
        changed[at] = (changed[at] ?? 0) ^ 1;
        const { failed } = await checkReceipt(decoder.decode(changed), trusted);
        return failed === null ? at : -1;
      }),
    );
    expect(held.filter((at) => at >= 0)).toEqual([]);
  },
  120_000,
);

// The definitions of RFC 6962, section 2.1, written down as they stand: an oracle.
const hashed = (...parts: Uint8Array[]) =>
  new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest());
const split = (size: number) => 2 ** Math.ceil(Math.log2(size) - 1);

function rootOf(part: Bytes[]): Bytes {
  if (part.length === 1) return part[0] as Bytes;
  const k = split(part.length);
  return hashed(Uint8Array.of(1), rootOf(part.slice(0, k)), rootOf(part.slice(k)));
}

function pathTo(part: Bytes[], index: number): Bytes[] {
  if (part.length === 1) return [];
  const k = split(part.length);
  const [left, right] = [part.slice(0, k), part.slice(k)];
  if (index < k) return [...pathTo(left, index), rootOf(right)];
  return [...pathTo(right, index - k), rootOf(left)];
}

test('paths lead to the root in trees of every size, as RFC 9162 has it', async () => {
  const leaves = Array.from({ length: 39 }, (_, at) => hashed(Uint8Array.of(0, at)));
  const walks = leaves.flatMap((_, last) =>
    Array.from({ length: last + 1 }, async (_, index) => {
      const part = leaves.slice(0, last + 1);
      const leaf = part[index] as Bytes;
      const path = pathTo(part, index);
      const steps = await walkPath(leaf, index, part.length, path);
      expect(toHex(steps?.at(-1)?.parent ?? leaf), `${index} of ${part.length}`).toBe(
        toHex(rootOf(part)),
      );
      expect(await walkPath(leaf, index, part.length, [...path, leaf])).toBeNull();
      expect(await walkPath(leaf, part.length, part.length, path)).toBeNull();
    }),
  );
  await Promise.all(walks);
  expect(walks).toHaveLength(780);
}, 60_000);

test('a row that says something else than its leaf is told apart, figure by figure', () => {
  const leaf = readLeaf(fromHex(known.get('leaf.1.bytes') ?? '') ?? new Uint8Array());
  if (leaf?.kind !== 'trade') throw new Error('the golden leaf is a trade');
  const row = {
    energy_wh: leaf.energy_wh,
    seller_price: leaf.seller_price,
    buyer_price: leaf.buyer_price,
    amount: leaf.buyer_amount,
    charge: leaf.charge,
    rent: leaf.rent,
    counterparty: leaf.seller,
  };
  const differing = (changed: Partial<typeof row>) =>
    compareTrade(leaf, { ...row, ...changed })
      .filter((one) => one.proved !== one.shown)
      .map((one) => one.name);
  expect(differing({})).toEqual([]);
  expect(differing({ energy_wh: 601 })).toEqual(['energy']);
  expect(differing({ amount: '0.000001' })).toEqual(['amount']);
  expect(differing({ seller_price: '0.1', counterparty: 'x' })).toEqual([
    'sellerPrice',
    'counterparty',
  ]);
});

test('the first visit pins; what the dashboard says later is only compared', () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
  expect(pin(anchor, storage, 1000).contradicted).toBe(false);
  const other = { ...anchor, chain_id: 'ff'.repeat(32) };
  expect(pin(other, storage, 2000)).toEqual({ anchor, since_ms: 1000, contradicted: true });
  expect(pin(anchor, storage, 3000)).toEqual({ anchor, since_ms: 1000, contradicted: false });
});
