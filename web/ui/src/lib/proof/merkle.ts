/** Trees of RFC 6962 over SHA-256; they are not padded. */
import { concat, sha256, u64, type Bytes } from './bytes';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const HEAD = Uint8Array.of(2);

/** One step up the tree. */
export interface PathStep {
  /** The hash beside the way, as the proof gives it. */
  beside: Bytes;
  /** On which side of the way it stands. */
  side: 'left' | 'right';
  /** What both hash to. */
  parent: Bytes;
}

/** A leaf's hash; `salt` stands before its bytes where leaves are salted. */
export function leafHash(bytes: Uint8Array, salt: Uint8Array = new Uint8Array()): Promise<Bytes> {
  return sha256(LEAF, salt, bytes);
}

/**
 * Walks from a leaf to its root as RFC 9162, section 2.1.3.2, does.
 *
 * `null` if the tree of this size has no such leaf or no such path to it.
 */
export async function walkPath(
  leaf: Bytes,
  index: number,
  size: number,
  path: readonly Bytes[],
): Promise<PathStep[] | null> {
  if (index >= size) return null;
  // Sizes may pass 32 bits: no shifting.
  let [node, last] = [index, size - 1];
  let hash = leaf;
  const steps: PathStep[] = [];
  const up = () => ([node, last] = [Math.floor(node / 2), Math.floor(last / 2)]);
  for (const beside of path) {
    if (last === 0) return null;
    const left = node % 2 === 1 || node === last;
    hash = left ? await sha256(NODE, beside, hash) : await sha256(NODE, hash, beside);
    steps.push({ beside, side: left ? 'left' : 'right', parent: hash });
    if (left) while (node % 2 === 0 && node !== 0) up();
    up();
  }
  return last === 0 ? steps : null;
}

/** What a header carries of a tree: its root bound to its size. */
export function treeHead(size: number, root: Bytes): Promise<Bytes> {
  return sha256(concat(HEAD, u64(size, 'big')), root);
}
