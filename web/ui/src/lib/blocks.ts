interface Numbered {
  height: number;
}

/**
 * One list of blocks, newest first, each height once; `fresh` wins over `known`.
 *
 * Stops at the first gap in the heights: a list with a hole would pass for a chain.
 */
export function mergeBlocks<B extends Numbered>(
  fresh: readonly B[],
  known: readonly B[],
  kept_max: number,
): B[] {
  const byHeight = new Map<number, B>();
  for (const block of [...known, ...fresh]) byHeight.set(block.height, block);
  const sorted = [...byHeight.values()].sort((a, b) => b.height - a.height);
  const gap = sorted.findIndex((block, index) => {
    const later = sorted[index - 1];
    return later !== undefined && later.height !== block.height + 1;
  });
  return sorted.slice(0, Math.min(gap < 0 ? sorted.length : gap, kept_max));
}
