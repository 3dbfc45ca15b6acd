import { expect, test } from 'vitest';
import { drawTree } from '../src/lib/charts/tree';

test('a parent stands in the middle above its children, nobody on another', () => {
  const edges = [
    { zone: 1, parent: 0 },
    { zone: 2, parent: 0 },
    { zone: 3, parent: 1 },
    { zone: 4, parent: 1 },
  ];
  const { places, columns_count, depth_max } = drawTree([0, 1, 2, 3, 4], edges);
  const at = new Map(places.map((place) => [place.zone, place]));
  expect(columns_count).toBe(3);
  expect(depth_max).toBe(2);
  expect(at.get(1)?.x).toBe(((at.get(3)?.x ?? 0) + (at.get(4)?.x ?? 0)) / 2);
  expect(at.get(0)?.x).toBe(((at.get(1)?.x ?? 0) + (at.get(2)?.x ?? 0)) / 2);
  expect(new Set(places.map(({ x, depth }) => `${x} ${depth}`)).size).toBe(5);
});

test('one zone alone stands in the middle', () => {
  expect(drawTree([7], [])).toEqual({
    places: [{ zone: 7, x: 0.5, depth: 0 }],
    columns_count: 1,
    depth_max: 0,
  });
});
