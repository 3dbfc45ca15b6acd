/** The anchor of trust, kept in this browser from its first visit on. */
import type { Anchor } from './certified';

const KEY = 'hidamari.anchor';

export interface Pinned {
  anchor: Anchor;
  /** When it was pinned, real time. */
  since_ms: number;
  /** Whether the dashboard names another chain or other validators now. */
  contradicted: boolean;
}

/**
 * Pins what the dashboard says on the first visit, and holds to it on every later one.
 *
 * A dashboard that is changed afterwards cannot bring validators of its own: what it says then is
 * only compared. Where storage is switched off each visit is the first.
 */
export function pin(said: Anchor, storage: Pick<Storage, 'getItem' | 'setItem'>, now_ms: number): Pinned {
  const found = remembered(storage);
  if (found) {
    const contradicted = JSON.stringify(found.anchor) !== JSON.stringify(said);
    return { ...found, contradicted };
  }
  try {
    storage.setItem(KEY, JSON.stringify({ anchor: said, since_ms: now_ms }));
  } catch {
    // It merely is not remembered.
  }
  return { anchor: said, since_ms: now_ms, contradicted: false };
}

/** Pins anew, after a person has compared the community's chain with what the operator told. */
export function pinAnew(said: Anchor, storage: Pick<Storage, 'setItem'>, now_ms: number): void {
  storage.setItem(KEY, JSON.stringify({ anchor: said, since_ms: now_ms }));
}

function remembered(storage: Pick<Storage, 'getItem'>): Omit<Pinned, 'contradicted'> | null {
  try {
    const found: unknown = JSON.parse(storage.getItem(KEY) ?? 'null');
    const { anchor, since_ms } = found as Omit<Pinned, 'contradicted'>;
    const sound = typeof anchor.chain_id === 'string' && Array.isArray(anchor.validators);
    return sound && typeof since_ms === 'number' ? { anchor, since_ms } : null;
  } catch {
    return null;
  }
}
