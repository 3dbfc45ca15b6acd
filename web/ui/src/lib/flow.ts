/** The flow picture: which flows are drawn, and where their curves run. */

export type Source = 'solar' | 'battery' | 'other' | 'grid';
export type Sink = 'homes' | 'grid';
export type NodeId = Source | Sink;

export interface Flow {
  from: Source;
  to: Sink;
  energy_wh: number;
}

export interface FlowNode {
  id: NodeId;
  gives_wh: number;
  takes_wh: number;
}

export interface FlowSelection {
  nodes: FlowNode[];
  drawn: Flow[];
  /** Flows too small to see; their energy is still in the nodes' figures. */
  leftOut: Flow[];
}

/** A flow below this share of all energy is named in words, not drawn. */
export const SHARE_MIN = 0.01;

export const sumOf = (flows: readonly Flow[]): number =>
  flows.reduce((total, flow) => total + flow.energy_wh, 0);

/** Chooses what to draw. Drawn and left-out flows together are all flows: nothing gets lost. */
export function selectFlows(flows: readonly Flow[]): FlowSelection {
  const merged = new Map<string, Flow>();
  for (const flow of flows) {
    if (flow.energy_wh <= 0) continue;
    const key = `${flow.from}>${flow.to}`;
    const known = merged.get(key);
    merged.set(key, { ...flow, energy_wh: flow.energy_wh + (known?.energy_wh ?? 0) });
  }
  const all = [...merged.values()].sort((a, b) => b.energy_wh - a.energy_wh);
  const least_wh = sumOf(all) * SHARE_MIN;
  const ids: NodeId[] = ['solar', 'battery', 'other', 'homes', 'grid'];
  const nodes = ids
    .map((id) => ({
      id,
      gives_wh: sumOf(all.filter((flow) => flow.from === id)),
      takes_wh: sumOf(all.filter((flow) => flow.to === id)),
    }))
    .filter((node) => node.id !== 'other' || node.gives_wh > 0);
  return {
    nodes,
    drawn: all.filter((flow) => flow.energy_wh >= least_wh),
    leftOut: all.filter((flow) => flow.energy_wh < least_wh),
  };
}

export interface Point {
  x: number;
  y: number;
}

export interface PlacedNode extends Point {
  r: number;
  /** Where the name stands: always outside of the circle. */
  label: Point & { anchor: 'start' | 'middle' | 'end' };
}

export interface Stage {
  width: number;
  height: number;
  nodes: Record<NodeId, PlacedNode>;
}

/** A node named above (a negative distance) or below its circle. */
const node = (x: number, y: number, r: number, labelDy: number): PlacedNode => ({
  x,
  y,
  r,
  label: { x, y: y + labelDy, anchor: 'middle' },
});

/** A node named at its right. */
const nodeNamedRight = (x: number, y: number, r: number): PlacedNode => ({
  x,
  y,
  r,
  label: { x: x + r + 12, y: y - 2, anchor: 'start' },
});

/** A node named at its left. */
const nodeNamedLeft = (x: number, y: number, r: number): PlacedNode => ({
  x,
  y,
  r,
  label: { x: x - r - 10, y: y - 2, anchor: 'end' },
});

/** For a wide page: sources left, homes in the middle, the grid right. */
export const WIDE: Stage = {
  width: 800,
  height: 430,
  nodes: {
    solar: node(104, 92, 38, 60),
    battery: node(104, 318, 38, 60),
    other: nodeNamedLeft(164, 205, 26),
    homes: node(385, 200, 52, 76),
    grid: nodeNamedRight(618, 200, 38),
  },
};

/** For a phone: sources above, homes in the middle, the grid below. */
export const TALL: Stage = {
  width: 360,
  height: 500,
  nodes: {
    solar: node(76, 92, 32, -56),
    battery: node(284, 92, 32, -56),
    other: node(180, 80, 26, -64),
    homes: nodeNamedRight(146, 258, 40),
    grid: node(166, 420, 32, 52),
  },
};

export interface Curve {
  path: string;
  /** The arrow's head, a closed path. */
  head: string;
  /** A point on the curve for the flow's figure. */
  label: Point;
}

/** The curve of one flow on a stage. */
export function curveOf(stage: Stage, flow: Flow, width: number): Curve {
  const [from, to] = [stage.nodes[flow.from], stage.nodes[flow.to]];
  const bends = controlPoints(stage, flow);
  const start = awayFrom(from, bends[0], from.r + 4);
  const tip = awayFrom(to, bends[1], to.r + 5);
  const size = 7 + width * 0.9;
  const end = awayFrom(to, bends[1], to.r + 5 + size * 0.8);
  const at = (t: number) => bezier([start, bends[0], bends[1], end], t);
  const path = `M${xy(start)}C${xy(bends[0])} ${xy(bends[1])} ${xy(end)}`;
  return { path, head: arrowHead(bends[1], tip, size), label: at(labelPosition(stage, flow)) };
}

function controlPoints(stage: Stage, { from, to }: Flow): [Point, Point] {
  const [a, b] = [stage.nodes[from], stage.nodes[to]];
  const tall = stage.height > stage.width;
  if (to === 'grid') {
    // Around the homes: on the side where the source stands.
    if (tall) {
      const x = from === 'solar' ? 22 : stage.width - 16;
      return [
        { x, y: a.y + 120 },
        { x, y: b.y - 20 },
      ];
    }
    const y = from === 'solar' ? 8 : stage.height - 6;
    return [
      { x: a.x + 190, y },
      { x: b.x - 60, y },
    ];
  }
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  return tall
    ? [
        { x: a.x, y: a.y + dy * 0.5 },
        { x: b.x - dx * 0.28, y: a.y + dy * 0.55 },
      ]
    : [
        { x: a.x + dx * 0.5, y: a.y },
        { x: a.x + dx * 0.55, y: b.y - dy * 0.28 },
      ];
}

/** How far along its curve a flow's figure stands: clear of the nodes' names and other figures. */
function labelPosition(stage: Stage, { from, to }: Flow): number {
  const tall = stage.height > stage.width;
  if (to === 'grid') return from === 'other' ? 0.74 : tall ? 0.62 : 0.5;
  if (from === 'other') return tall ? 0.18 : 0.38;
  if (from === 'grid') return 0.5;
  return 0.46;
}

function bezier([p0, p1, p2, p3]: [Point, Point, Point, Point], t: number): Point {
  const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t ** 2, t ** 3];
  const mix = (pick: (point: Point) => number) =>
    a * pick(p0) + b * pick(p1) + c * pick(p2) + d * pick(p3);
  return { x: mix((point) => point.x), y: mix((point) => point.y) };
}

function awayFrom(center: Point, towards: Point, distance: number): Point {
  const length = Math.hypot(towards.x - center.x, towards.y - center.y) || 1;
  return {
    x: center.x + ((towards.x - center.x) / length) * distance,
    y: center.y + ((towards.y - center.y) / length) * distance,
  };
}

function arrowHead(from: Point, tip: Point, size: number): string {
  const back = awayFrom(tip, from, size);
  const [nx, ny] = [(back.y - tip.y) * 0.62, (tip.x - back.x) * 0.62];
  const left = { x: back.x + nx, y: back.y + ny };
  const right = { x: back.x - nx, y: back.y - ny };
  return `M${xy(tip)}L${xy(left)}L${xy(right)}Z`;
}

const xy = ({ x, y }: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;

/** A flow's line width in the picture's units: its area says the energy. */
export function lineWidth(energy_wh: number, largest_wh: number): number {
  return largest_wh > 0 ? 2.5 + 7.5 * Math.sqrt(energy_wh / largest_wh) : 2.5;
}
