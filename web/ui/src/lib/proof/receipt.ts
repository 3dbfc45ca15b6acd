/**
 * Checks a receipt in this browser as `hidamari verify receipt` does, step by step.
 *
 * Nothing that the dashboard says is believed but the anchor, which is pinned (see pin.ts).
 */
import { fromHex, equal, type Bytes } from './bytes';
import {
  checkCertificate,
  followHandovers,
  readHeader,
  type Anchor,
  type CheckedCertificate,
  type Header,
  type HandoverProblem,
} from './certified';
import { readLeaf, type Leaf } from './leaf';
import { leafHash, treeHead, walkPath, type PathStep } from './merkle';
import { readReceiptFile, type ReceiptFile } from './receipt-file';

export const STEPS = ['file', 'leaf', 'path', 'header', 'handovers', 'certificate'] as const;
export type Step = (typeof STEPS)[number];

/** What was found out; what stands behind the first step that fails is `null`. */
export interface CheckedReceipt {
  /** The first step that fails; `null` if the receipt holds. */
  failed: Step | null;
  file: ReceiptFile | null;
  /** What a result's leaf says; `null` too for transactions and balances. */
  leaf: Leaf | null;
  leaf_hash: Bytes | null;
  path: PathStep[] | null;
  /** What the header carries of the tree. */
  head: Bytes | null;
  header: Header | null;
  handover_problem: HandoverProblem | null;
  certificate: CheckedCertificate | null;
}

/** Whether this browser can check receipts: over plain http it can on this machine only. */
export function canCheck(): boolean {
  return typeof crypto !== 'undefined' && crypto.subtle !== undefined;
}

export async function checkReceipt(text: string, anchor: Anchor): Promise<CheckedReceipt> {
  const found: CheckedReceipt = {
    failed: null,
    file: readReceiptFile(text),
    leaf: null,
    leaf_hash: null,
    path: null,
    head: null,
    header: null,
    handover_problem: null,
    certificate: null,
  };
  const fail = (failed: Step): CheckedReceipt => ({ ...found, failed });
  const { file } = found;
  if (!file) return fail('file');

  const bytes = fromHex(file.leaf) ?? new Uint8Array();
  if (file.kind === 'result') {
    found.leaf = readLeaf(bytes);
    if (!found.leaf) return fail('leaf');
  }
  found.leaf_hash = await leafHash(bytes, fromHex(file.salt ?? '') ?? new Uint8Array());

  found.header = await readHeader(file.header);
  const beside = file.path.map((hash) => fromHex(hash) ?? new Uint8Array());
  found.path = await walkPath(found.leaf_hash, file.index, file.size, beside);
  if (!found.path) return fail('path');
  found.head = await treeHead(file.size, found.path.at(-1)?.parent ?? found.leaf_hash);
  const root = fromHex(found.header.roots[file.kind]) ?? new Uint8Array();
  if (!equal(found.head, root)) return fail('path');

  if (found.header.chain !== anchor.chain_id) return fail('header');

  const succession = await followHandovers(anchor, file.handovers, found.header.height);
  if ('problem' in succession) {
    found.handover_problem = succession.problem;
    return fail('handovers');
  }

  const { validators } = succession;
  found.certificate = await checkCertificate(found.header, file.certificate, validators);
  return found.certificate.holds ? found : fail('certificate');
}
