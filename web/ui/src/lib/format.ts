import { roundHalfEven, scaled, signOf } from './decimal';

export type Language = 'en' | 'ja' | 'de';

/** What figures and times are written for. */
export interface Place {
  language: Language;
  /** ISO 4217. */
  currency: string;
  /** IANA name of the community's time zone. */
  timeZone: string;
}

/** Stands where there is no figure. */
export const NONE = '–';

const LOCALES: Record<Language, string> = { en: 'en-GB', ja: 'ja-JP', de: 'de-DE' };
const MEGAWATT_HOURS_FROM_WH = 10_000_000;

export type Formats = ReturnType<typeof makeFormats>;

/** Everything that turns figures into text, for one language, currency and time zone. */
export function makeFormats({ language, currency, timeZone }: Place) {
  const locale = LOCALES[language];
  const minorDigits = currencyDigits(locale, currency);
  const at = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { ...options, timeZone });
  const time = at({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const seconds = at({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const day = at({ weekday: 'short', day: 'numeric', month: 'short' });
  // A date is a date everywhere: written at noon UTC, in UTC.
  const fullDate = new Intl.DateTimeFormat(locale, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  });
  const shortDate = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    timeZone: 'UTC',
  });
  const month = at({ month: 'short' });
  const dayOfMonth = at({ day: 'numeric' });
  const isoDay = new Intl.DateTimeFormat('en-CA', {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    timeZone,
  });
  const counts = new Intl.NumberFormat(locale);
  const ratios = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 });
  const money = (digits: number, signed: boolean) =>
    moneyWriter({ locale, currency, digits, signed });
  const total = money(minorDigits, false);
  const signedTotal = money(minorDigits, true);
  const fine = money(minorDigits + 2, false);
  const signedFine = money(minorDigits + 2, true);

  return {
    /** An amount to the currency's own places: a day's total. */
    amount: total,
    /** The same with its sign, also when positive. */
    signedAmount: signedTotal,
    /** An amount two places finer: one trade's. */
    fineAmount: fine,
    signedFineAmount: signedFine,
    /** A price per kWh, without its unit. */
    price: fine,
    /** Energy to 10 Wh (10 kWh from 10 MWh up). */
    energy: (energy_wh: number | null | undefined) => writeEnergy(locale, energy_wh, 2),
    /** Energy to the Wh, so that what is shown adds up. */
    exactEnergy: (energy_wh: number | null | undefined) => writeEnergy(locale, energy_wh, 3),
    percent: (ratio: number | null | undefined) => (ratio == null ? NONE : ratios.format(ratio)),
    count: (count: number | null | undefined) => (count == null ? NONE : counts.format(count)),
    time: (at_ms: number) => time.format(at_ms),
    timeWithSeconds: (at_ms: number) => seconds.format(at_ms),
    day: (at_ms: number) => day.format(at_ms),
    dayAndTime: (at_ms: number) => `${day.format(at_ms)} ${time.format(at_ms)}`,
    /** A half-open period of the day, 14:15–14:30, that never breaks at its dash. */
    period: (start_ms: number, end_ms: number) =>
      `${time.format(start_ms)}\u2060–\u2060${time.format(end_ms)}`,
    /** A local date (YYYY-MM-DD) in full. */
    date: (date: string) => fullDate.format(Date.parse(`${date}T12:00:00Z`)),
    /** A local date (YYYY-MM-DD), short. */
    shortDate: (date: string) => shortDate.format(Date.parse(`${date}T12:00:00Z`)),
    /** The local month of an instant. */
    month: (at_ms: number) => month.format(at_ms),
    /** The local day of the month of an instant. */
    dayOfMonth: (at_ms: number) => dayOfMonth.format(at_ms),
    /** The local date (YYYY-MM-DD) of an instant. */
    localDate: (at_ms: number) => isoDay.format(at_ms),
    /** The local hour of the day, with its fraction: 0 to 24. */
    hourOfDay: (at_ms: number) => hourOfDay(at_ms, timeZone),
  };
}

function currencyDigits(locale: string, currency: string): number {
  const style = { style: 'currency', currency } as const;
  return new Intl.NumberFormat(locale, style).resolvedOptions().maximumFractionDigits ?? 2;
}

interface MoneyStyle {
  locale: string;
  currency: string;
  digits: number;
  signed: boolean;
}

function moneyWriter({ locale, currency, digits, signed }: MoneyStyle) {
  const fractions = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const signDisplay = signed ? 'exceptZero' : 'negative';
  // In Japanese running text the unit follows the number: 31.50円, not a full-width yen sign.
  const suffix = currency === 'JPY' && locale === 'ja-JP' ? '円' : '';
  const style = suffix
    ? ({ ...fractions, signDisplay } as const)
    : ({
        ...fractions,
        signDisplay,
        style: 'currency',
        currency,
        currencyDisplay: 'narrowSymbol',
      } as const);
  const writer = new Intl.NumberFormat(locale, style);
  return (text: string | null | undefined): string => {
    const rounded = text == null ? null : roundHalfEven(text, digits);
    if (rounded === null) return NONE;
    // A rounded negative zero would print as "-0.00".
    const shown = signOf(rounded) === 0 ? rounded.replace('-', '') : rounded;
    return writer.format(shown as Intl.StringNumericLiteral).replace('-', '−') + suffix;
  };
}

function writeEnergy(locale: string, energy_wh: number | null | undefined, digits: number): string {
  if (energy_wh == null) return NONE;
  const large = Math.abs(energy_wh) >= MEGAWATT_HOURS_FROM_WH;
  const exact = scaled(energy_wh, large ? 6 : 3);
  const writer = new Intl.NumberFormat(locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  const rounded = roundHalfEven(exact, digits) ?? exact;
  const number = writer.format(rounded as Intl.StringNumericLiteral);
  return `${number} ${large ? 'MWh' : 'kWh'}`;
}

function hourOfDay(at_ms: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-GB', {
    hour: 'numeric',
    minute: 'numeric',
    hourCycle: 'h23',
    timeZone,
  }).formatToParts(at_ms);
  const part = (type: string) => Number(parts.find((found) => found.type === type)?.value ?? 0);
  return part('hour') + part('minute') / 60;
}
