import { describe, expect, test } from 'vitest';
import { curveOf, lineWidth, selectFlows, sumOf, TALL, WIDE, type Flow } from '../src/lib/flow';

const flows: Flow[] = [
  { from: 'solar', to: 'homes', energy_wh: 1200 },
  { from: 'battery', to: 'homes', energy_wh: 300 },
  { from: 'grid', to: 'homes', energy_wh: 500 },
  { from: 'solar', to: 'grid', energy_wh: 800 },
  { from: 'battery', to: 'grid', energy_wh: 4 },
  { from: 'other', to: 'homes', energy_wh: 0 },
];

describe('the selection of flows', () => {
  const { drawn, leftOut, nodes } = selectFlows(flows);
  const node = (id: string) => nodes.find((candidate) => candidate.id === id);

  test('loses no energy: drawn and left out together are all', () => {
    expect(sumOf(drawn) + sumOf(leftOut)).toBe(sumOf(flows));
  });

  test('leaves out what is too small to see, and names it', () => {
    expect(leftOut).toEqual([{ from: 'battery', to: 'grid', energy_wh: 4 }]);
  });

  test('balances: what the sources give is what homes and grid take', () => {
    const given = nodes.reduce((total, { gives_wh }) => total + gives_wh, 0);
    const taken = nodes.reduce((total, { takes_wh }) => total + takes_wh, 0);
    expect(given).toBe(taken);
    expect(node('homes')?.takes_wh).toBe(2000);
    expect(node('battery')?.gives_wh).toBe(304);
    expect(node('grid')).toEqual({ id: 'grid', gives_wh: 500, takes_wh: 804 });
  });

  test('shows other sources only when there are some', () => {
    expect(node('other')).toBeUndefined();
    const some = selectFlows([{ from: 'other', to: 'homes', energy_wh: 5 }]);
    expect(some.nodes.some(({ id }) => id === 'other')).toBe(true);
  });

  test('adds up flows between the same two nodes', () => {
    const twice = selectFlows([...flows, { from: 'solar', to: 'homes', energy_wh: 50 }]);
    expect(twice.drawn[0]).toEqual({ from: 'solar', to: 'homes', energy_wh: 1250 });
  });

  test('of nothing is nothing', () => {
    expect(selectFlows([]).drawn).toEqual([]);
  });
});

describe.each([
  ['wide', WIDE],
  ['tall', TALL],
])('on the %s stage', (_, stage) => {
  test.each(flows.map((flow) => [`${flow.from} to ${flow.to}`, flow] as const))(
    'the figure of %s lies inside the picture and outside of every circle',
    (_name, flow) => {
      const { label } = curveOf(stage, flow, 8);
      expect(label.x).toBeGreaterThan(44);
      expect(label.x).toBeLessThan(stage.width - 44);
      expect(label.y).toBeGreaterThan(13);
      expect(label.y).toBeLessThan(stage.height - 13);
      for (const { x, y, r } of Object.values(stage.nodes)) {
        if (flow.from !== 'other' && r === stage.nodes.other.r) continue;
        expect(Math.hypot(label.x - x, label.y - y)).toBeGreaterThan(r + 8);
      }
    },
  );

  test('names stand outside of their circles', () => {
    for (const { x, y, r, label } of Object.values(stage.nodes)) {
      expect(Math.hypot(label.x - x, label.y - y)).toBeGreaterThan(r);
    }
  });
});

test('more energy is a wider line, and the widest is bounded', () => {
  expect(lineWidth(100, 400)).toBeLessThan(lineWidth(200, 400));
  expect(lineWidth(400, 400)).toBe(10);
  expect(lineWidth(0, 0)).toBe(2.5);
});
