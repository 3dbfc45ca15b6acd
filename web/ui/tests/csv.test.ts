import { expect, test } from 'vitest';
import { writeCsv } from '../src/lib/csv';

const rows = [[{ words: 'a "b"; c,d' }, { figure: '-1.250000' }, { figure: null }]];

test('begins with the mark of UTF-8 and ends every line as RFC 4180 has it', () => {
  expect(writeCsv(['日付', 'x', 'y'], [], 'comma')).toBe('\ufeff日付,x,y\r\n');
});

test('quotes what the separator would tear apart', () => {
  expect(writeCsv([], rows, 'comma')).toContain('"a ""b""; c,d",-1.250000,\r\n');
  expect(writeCsv([], rows, 'tab')).toContain('"a ""b""; c,d"\t-1.250000\t\r\n');
});

test('a semicolon goes with a decimal comma', () => {
  expect(writeCsv([], rows, 'semicolon')).toContain('"a ""b""; c,d";-1,250000;\r\n');
});

test.each(['=1+1', '+1', '-1', '@x', '\tx', '\rx'])('words like %j are no formula', (words) => {
  const [, line = ''] = writeCsv(['h'], [[{ words }]], 'comma').split('\r\n');
  expect(line.replace(/^"/, '').startsWith("'")).toBe(true);
});
