/** What a result's leaf says, read from its bytes. */
import { BorshReader, NotBorsh } from './bytes';

const MICROS = 6;

export interface TradeLeaf {
  kind: 'trade';
  period_start_ms: number;
  seller: string;
  buyer: string;
  energy_wh: number;
  seller_price: string;
  buyer_price: string;
  seller_amount: string;
  buyer_amount: string;
  charge: string;
  rent: string;
}

export interface AnswerLeaf {
  kind: 'answer';
  period_start_ms: number;
  party: string;
  side: 'buy' | 'sell';
  ordered_wh: number;
  filled_wh: number;
  price: string | null;
}

export interface ClearingLeaf {
  kind: 'clearing';
  period_start_ms: number;
  gate: number;
  price: string | null;
  volume_wh: number;
}

/** A leaf that the page shows as no row of figures: its bytes are proved, not compared. */
export interface OtherLeaf {
  kind: 'settled' | 'posting' | 'community_settled' | 'certificate';
}

export type Leaf = TradeLeaf | AnswerLeaf | ClearingLeaf | OtherLeaf;

const OTHERS: Record<number, OtherLeaf['kind']> = {
  4: 'settled',
  5: 'posting',
  6: 'community_settled',
  7: 'certificate',
};

/** Reads a result's leaf; `null` if nothing is written like this. */
export function readLeaf(bytes: Uint8Array): Leaf | null {
  const reader = new BorshReader(bytes);
  try {
    const tag = reader.u8();
    if (tag === 1) return readClearing(reader);
    if (tag === 2) return readTrade(reader);
    if (tag === 3) return readAnswer(reader);
    const kind = OTHERS[tag];
    return kind ? { kind } : null;
  } catch (cause) {
    if (cause instanceof NotBorsh) return null;
    throw cause;
  }
}

function readClearing(reader: BorshReader): ClearingLeaf {
  const period_start_ms = periodStart(reader);
  const gate = reader.u8();
  const price = reader.option(() => decimal(reader.i64()));
  return { kind: 'clearing', period_start_ms, gate, price, volume_wh: Number(reader.i64()) };
}

function readTrade(reader: BorshReader): TradeLeaf | null {
  const period_start_ms = periodStart(reader);
  reader.u8();
  const [seller, buyer] = [reader.hex(16), reader.hex(16)];
  reader.take(64);
  const energy_wh = Number(reader.i64());
  const [seller_price, buyer_price] = [decimal(reader.i64()), decimal(reader.i64())];
  const [seller_amount, buyer_amount] = [decimal(reader.i64()), decimal(reader.i64())];
  const [charge, rent] = [decimal(reader.i64()), decimal(reader.i64())];
  reader.take(6);
  reader.option(() => reader.u8());
  if (!reader.atEnd) return null;
  return {
    kind: 'trade',
    period_start_ms,
    seller,
    buyer,
    energy_wh,
    seller_price,
    buyer_price,
    seller_amount,
    buyer_amount,
    charge,
    rent,
  };
}

function readAnswer(reader: BorshReader): AnswerLeaf {
  reader.take(32);
  const party = reader.hex(16);
  const side = reader.u8() === 1 ? 'buy' : 'sell';
  const period_start_ms = periodStart(reader);
  reader.u8();
  const [ordered_wh, filled_wh] = [Number(reader.i64()), Number(reader.i64())];
  const price = reader.option(() => decimal(reader.i64()));
  return { kind: 'answer', period_start_ms, party, side, ordered_wh, filled_wh, price };
}

function periodStart(reader: BorshReader): number {
  const start_ms = Number(reader.i64());
  reader.u8();
  return start_ms;
}

/** Micro-units as the API writes them: with six places. */
function decimal(micros: bigint): string {
  const digits = String(micros < 0n ? -micros : micros).padStart(MICROS + 1, '0');
  return `${micros < 0n ? '-' : ''}${digits.slice(0, -MICROS)}.${digits.slice(-MICROS)}`;
}
