/** What is shown, as a file for a spreadsheet. */

export const SEPARATORS = ['comma', 'semicolon', 'tab'] as const;
export type Separator = (typeof SEPARATORS)[number];

const SIGNS: Record<Separator, string> = { comma: ',', semicolon: ';', tab: '\t' };
/** Tells spreadsheets that the file is UTF-8. */
const BYTE_ORDER_MARK = '\ufeff';

/** A figure stands as a number or as a decimal text; words are words. */
export type Cell = { figure: string | number | null } | { words: string };

/**
 * The rows below their headings.
 *
 * Where a semicolon separates, figures have a decimal comma, as spreadsheets expect there. Words
 * that a spreadsheet would take for a formula are kept from it by an apostrophe.
 */
export function writeCsv(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  separator: Separator,
): string {
  const sign = SIGNS[separator];
  const quoted = (text: string) =>
    /["\r\n]/.test(text) || text.includes(sign) ? `"${text.replaceAll('"', '""')}"` : text;
  const written = (cell: Cell): string => {
    if ('words' in cell) return quoted(harmless(cell.words));
    const text = String(cell.figure ?? '');
    return quoted(separator === 'semicolon' ? text.replace('.', ',') : text);
  };
  const heads = headings.map((words) => written({ words }));
  const lines = [heads, ...rows.map((row) => row.map(written))];
  return BYTE_ORDER_MARK + lines.map((line) => `${line.join(sign)}\r\n`).join('');
}

function harmless(words: string): string {
  return /^[=+\-@\t\r]/.test(words) ? `'${words}` : words;
}
