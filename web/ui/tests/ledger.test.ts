import { expect, test } from 'vitest';
import { mergeBlocks } from '../src/lib/blocks';
import { votesOf } from '../src/lib/certificate';

const at = (...heights: number[]) => heights.map((height) => ({ height }));
const heights = (blocks: { height: number }[]) => blocks.map(({ height }) => height);

test('blocks are listed newest first, each once', () => {
  expect(heights(mergeBlocks(at(9, 8, 7), at(8, 7, 6), 10))).toEqual([9, 8, 7, 6]);
});

test('a list never hides a gap in the chain', () => {
  expect(heights(mergeBlocks(at(99, 98), at(8, 7), 10))).toEqual([99, 98]);
});

test('only so many blocks are kept', () => {
  expect(heights(mergeBlocks(at(5, 4), at(3, 2, 1), 3))).toEqual([5, 4, 3]);
});

test('the certificate shows every validator and every signer', () => {
  const validators = ['a', 'b'].map((address) => ({ address, power: 1 }));
  const votes = votesOf(
    [
      { validator: 'b', power: 1 },
      { validator: 'old', power: 2 },
    ],
    validators,
  );
  expect(votes).toEqual([
    { address: 'old', power: 2, signed: true },
    { address: 'a', power: 1, signed: false },
    { address: 'b', power: 1, signed: true },
  ]);
});
