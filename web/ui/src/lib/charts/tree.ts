/** Places of the grid's zones in a drawing of the feeder tree, root at the top. */

export interface TreeEdge {
  zone: number;
  parent: number;
}

export interface TreePlace {
  zone: number;
  /** Column, in units of a leaf's width, of the zone's middle. */
  x: number;
  /** How many edges lie above it. */
  depth: number;
}

export interface TreeDrawing {
  places: TreePlace[];
  /** How many leaves stand side by side. */
  columns_count: number;
  depth_max: number;
}

/** Leaves side by side, everything above in the middle of what is below it. */
export function drawTree(zones: readonly number[], edges: readonly TreeEdge[]): TreeDrawing {
  const below = new Map<number, number[]>();
  for (const { zone, parent } of edges) below.set(parent, [...(below.get(parent) ?? []), zone]);
  const hasParent = new Set(edges.map((edge) => edge.zone));
  const places: TreePlace[] = [];
  let next = 0;
  let depth_max = 0;
  const place = (zone: number, depth: number): number => {
    depth_max = Math.max(depth_max, depth);
    const children = (below.get(zone) ?? []).map((child) => place(child, depth + 1));
    const [first, last] = [children[0], children.at(-1)];
    const x = first === undefined || last === undefined ? next++ + 0.5 : (first + last) / 2;
    places.push({ zone, x, depth });
    return x;
  };
  for (const zone of zones) if (!hasParent.has(zone)) place(zone, 0);
  return { places, columns_count: Math.max(1, next), depth_max };
}
