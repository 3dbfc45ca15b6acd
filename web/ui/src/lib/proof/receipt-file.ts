/** A receipt as it stands in its file, which has one spelling only. */
import { fromHex } from './bytes';

export interface CertificateFile {
  height: number;
  round: number;
  block: string;
  signatures: { validator: string; signature: string }[];
}

export interface ValidatorFile {
  key: string;
  power: number;
}

export interface HandoverFile {
  header: string;
  certificate: CertificateFile;
  validators: ValidatorFile[];
}

export interface ReceiptFile {
  format: 'hidamari/receipt/2';
  kind: 'result' | 'transaction' | 'balance';
  leaf: string;
  salt?: string;
  index: number;
  size: number;
  path: string[];
  header: string;
  certificate: CertificateFile;
  handovers: HandoverFile[];
}

/** Version, chain, height, time, and six hashes. */
const HEADER_LENGTH = 2 + 32 + 8 + 8 + 6 * 32;

type Check = (value: unknown) => boolean;

const whole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const hex =
  (length?: number): Check =>
  (value) =>
    typeof value === 'string' && fromHex(value, length) !== null;
const many =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
/** Exactly these fields, in this order. */
const record =
  (fields: Record<string, Check>): Check =>
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    const names = Object.keys(fields);
    const found = Object.entries(value);
    return (
      found.length === names.length &&
      found.every(([name, part], at) => name === names[at] && fields[name]?.(part))
    );
  };

const certificate = record({
  height: whole,
  round: whole,
  block: hex(32),
  signatures: many(record({ validator: hex(20), signature: hex(64) })),
});
const handover = record({
  header: hex(HEADER_LENGTH),
  certificate,
  validators: many(record({ key: hex(32), power: whole })),
});
const receipt = (salted: boolean) =>
  record({
    format: (value) => value === 'hidamari/receipt/2',
    kind: (value) => (salted ? value === 'result' || value === 'transaction' : value === 'balance'),
    leaf: hex(),
    ...(salted && { salt: hex(16) }),
    index: whole,
    size: whole,
    path: many(hex(32)),
    header: hex(HEADER_LENGTH),
    certificate,
    handovers: many(handover),
  });

/** Reads the file; `null` if it differs from the one way of writing it in a byte. */
export function readReceiptFile(text: string): ReceiptFile | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!receipt(true)(value) && !receipt(false)(value)) return null;
  return `${JSON.stringify(value, null, 2)}\n` === text ? (value as ReceiptFile) : null;
}
