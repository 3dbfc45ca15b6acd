/**
 * Exact decimals. Money and prices arrive as decimal strings and are rounded here and nowhere else:
 * half to even, on integers, as the ledger rounds.
 */

interface Decimal {
  /** The value times 10^scale. */
  units: bigint;
  scale: number;
}

function parse(text: string): Decimal | null {
  const found = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!found) return null;
  const [, sign, whole = '', fraction = ''] = found;
  const magnitude = BigInt(whole + fraction);
  return { units: sign === '-' ? -magnitude : magnitude, scale: fraction.length };
}

function print({ units, scale }: Decimal): string {
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = scale > 0 ? `.${digits.slice(-scale)}` : '';
  return `${negative ? '-' : ''}${whole}${fraction}`;
}

function rescale({ units, scale }: Decimal, digits: number): Decimal {
  if (scale <= digits) return { units: units * 10n ** BigInt(digits - scale), scale: digits };
  const divisor = 10n ** BigInt(scale - digits);
  const magnitude = units < 0n ? -units : units;
  const rest = (magnitude % divisor) * 2n;
  let quotient = magnitude / divisor;
  if (rest > divisor || (rest === divisor && quotient % 2n === 1n)) quotient += 1n;
  return { units: units < 0n ? -quotient : quotient, scale: digits };
}

/** Rounds a decimal string half to even to `digits` places; `null` if it is not a decimal. */
export function roundHalfEven(text: string, digits: number): string | null {
  const decimal = parse(text);
  return decimal && print(rescale(decimal, digits));
}

/** `a - b`, exactly; `null` if one of them is not a decimal. */
export function subtract(a: string, b: string): string | null {
  const [left, right] = [parse(a), parse(b)];
  if (!left || !right) return null;
  const scale = Math.max(left.scale, right.scale);
  return print({ units: rescale(left, scale).units - rescale(right, scale).units, scale });
}

/** -1, 0 or 1; 0 also for text that is not a decimal. */
export function signOf(text: string): -1 | 0 | 1 {
  const units = parse(text)?.units ?? 0n;
  return units === 0n ? 0 : units < 0n ? -1 : 1;
}

/** A whole number of units as an exact decimal: `scaled(1283, 3)` is "1.283". */
export function scaled(units: number, scale: number): string {
  return print({ units: BigInt(Math.trunc(units)), scale });
}
