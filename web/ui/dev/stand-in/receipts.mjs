// Real proofs of made-up results: trees, headers and signatures as docs/formats.md has them.
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { resultsOf } from './ledger.mjs';
import { genesisMs, sha, timeOf } from './world.mjs';

const hash = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const ascii = (text) => Buffer.from(text, 'latin1');
const hex = (text) => Buffer.from(text, 'hex');
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const i64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
};
const PKCS8 = hex('302e020100300506032b657004220420');

const keys = Array.from({ length: 4 }, (_, index) => {
  const secret = createPrivateKey({
    key: Buffer.concat([PKCS8, hex(sha(`key ${index}`))]),
    format: 'der',
    type: 'pkcs8',
  });
  const key = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { secret, key, address: hash(key).subarray(0, 20) };
}).sort((a, b) => Buffer.compare(a.address, b.address));

export const chainId = sha('chain');
export const anchorBody = () => ({
  chain_id: chainId,
  validators: keys.map(({ key }) => ({ key: key.toString('hex'), power: 1 })),
});

function treeRoot(leaves) {
  if (leaves.length === 1) return leaves[0];
  const k = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
  return hash(Buffer.of(1), treeRoot(leaves.slice(0, k)), treeRoot(leaves.slice(k)));
}

function treePath(leaves, index) {
  if (leaves.length === 1) return [];
  const k = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k
    ? [...treePath(left, index), treeRoot(right)]
    : [...treePath(right, index - k), treeRoot(left)];
}

const period = (at) => Buffer.concat([i64(at), Buffer.of(15)]);

function leafOf({ kind, of }) {
  if (kind === 'trade') {
    const { at, price, amount, trade } = of;
    return Buffer.concat([
      Buffer.of(2),
      period(at),
      Buffer.of(0),
      hex(trade.seller.party),
      hex(trade.buyer.party),
      hex(sha('offer')),
      hex(sha('bid')),
      ...[trade.wh, price, price, amount, amount, 0, 0].map(i64),
      Buffer.alloc(6),
      Buffer.of(0),
    ]);
  }
  if (kind === 'clearing') {
    const price = of.price === null ? Buffer.of(0) : Buffer.concat([Buffer.of(1), i64(of.price)]);
    return Buffer.concat([Buffer.of(1), period(of.at), Buffer.of(0), price, i64(of.volume)]);
  }
  return Buffer.concat([Buffer.of(4), hex(of.party)]);
}

/** The file of one result of a block. */
export function receiptText(height, index) {
  const results = resultsOf(height);
  if (!results[index]) return null;
  const salt = (place) => hex(sha(`salt ${height} ${place}`)).subarray(0, 16);
  const bytes = results.map(leafOf);
  const leaves = bytes.map((leaf, place) => hash(Buffer.of(0), salt(place), leaf));
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(leaves.length));
  const validators = Buffer.concat([
    u32(keys.length),
    ...keys.flatMap(({ key }) => [key, i64(1)]),
  ]);
  const header = Buffer.concat([
    Buffer.of(2, 0),
    hex(chainId),
    i64(height),
    i64(timeOf(height)),
    hex(sha(`block ${height - 1}`)),
    hex(sha(`tx ${height}`)),
    hex(sha(`state ${height}`)),
    hash(Buffer.of(2), size, treeRoot(leaves)),
    hash(ascii('hidamari/validators/1'), validators),
    hex(sha(`salts ${height} ${genesisMs}`)),
  ]);
  const block = hash(ascii('hidamari/header/2'), header);
  const vote = ({ address }) =>
    Buffer.concat([
      Buffer.of(15),
      ascii('hidamari/vote/1'),
      hex(chainId),
      Buffer.of(2),
      i64(height),
      u32(0),
      Buffer.of(1),
      block,
      address,
    ]);
  const file = {
    format: 'hidamari/receipt/2',
    kind: 'result',
    leaf: bytes[index].toString('hex'),
    salt: salt(index).toString('hex'),
    index,
    size: leaves.length,
    path: treePath(leaves, index).map((one) => one.toString('hex')),
    header: header.toString('hex'),
    certificate: {
      height,
      round: 0,
      block: block.toString('hex'),
      signatures: keys.slice(0, 3).map((one) => ({
        validator: one.address.toString('hex'),
        signature: sign(null, vote(one), one.secret).toString('hex'),
      })),
    },
    handovers: [],
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}
