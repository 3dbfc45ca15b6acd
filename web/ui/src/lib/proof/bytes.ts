/** Bytes as the ledger writes them: hexadecimal digits, borsh's integers, SHA-256. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** The bytes of lower-case hexadecimal digits; `null` if the text is anything else. */
export function fromHex(text: string, length?: number): Bytes | null {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) return null;
  if (length !== undefined && text.length !== length * 2) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = parseInt(text.slice(at * 2, at * 2 + 2), 16);
  }
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The bytes of ASCII text, without a length. */
export function ascii(text: string): Bytes {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

export function u32(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Eight bytes: least significant first, as borsh has them, or last. */
export function u64(value: number | bigint, order: 'little' | 'big' = 'little'): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), order === 'little');
  return bytes;
}

export async function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', concat(...parts)));
}

/** The bytes end before the value does, or no value is written like this. */
export class NotBorsh extends Error {}

/** Reads borsh values one behind the other. */
export class BorshReader {
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new NotBorsh(`there are no ${length} bytes left`);
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  hex(length: number): string {
    return toHex(this.take(length));
  }

  u8(): number {
    return this.#view(1).getUint8(0);
  }

  u16(): number {
    return this.#view(2).getUint16(0, true);
  }

  u32(): number {
    return this.#view(4).getUint32(0, true);
  }

  u64(): bigint {
    return this.#view(8).getBigUint64(0, true);
  }

  i64(): bigint {
    return this.#view(8).getBigInt64(0, true);
  }

  /** A value that may be absent. */
  option<T>(read: () => T): T | null {
    const tag = this.u8();
    if (tag > 1) throw new NotBorsh(`an option begins with 0 or 1, not with ${tag}`);
    return tag === 0 ? null : read();
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  #view(length: number): DataView {
    const part = this.take(length);
    return new DataView(part.buffer, part.byteOffset, length);
  }
}
