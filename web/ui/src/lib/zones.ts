/** What an auction decided about the zones and the lines between them, ready to be shown. */

interface Zone {
  price: string | null;
}

interface Edge {
  flow_wh: number;
  capacity_up_wh: number | null;
  capacity_down_wh: number | null;
}

/** Whether an auction found different prices in different zones. */
export function hasSeveralPrices(zones: readonly Zone[]): boolean {
  return new Set(zones.flatMap((zone) => (zone.price === null ? [] : [zone.price]))).size > 1;
}

/** The most that may flow over an edge in the direction of its flow; `null` without a limit. */
export function capacityInUse(edge: Edge): number | null {
  if (edge.flow_wh > 0) return edge.capacity_up_wh;
  if (edge.flow_wh < 0) return edge.capacity_down_wh;
  return null;
}

/**
 * How long an edge's bar is, 0 to 1: its flow against what may flow, or where there is no limit
 * against the largest flow of all.
 */
export function flowShare(edge: Edge, edges: readonly Edge[]): number {
  const flow_wh = Math.abs(edge.flow_wh);
  const largest_wh = Math.max(...edges.map((other) => Math.abs(other.flow_wh)));
  const whole_wh = capacityInUse(edge) ?? largest_wh;
  return whole_wh > 0 ? Math.min(1, flow_wh / whole_wh) : 0;
}
