import { expect, test } from 'vitest';
import { de } from '../src/lib/i18n/de';
import { en } from '../src/lib/i18n/en';
import { ja } from '../src/lib/i18n/ja';

type Tree = { [key: string]: string | Tree | ((...figures: string[]) => string) };

/** Every message with its path, functions called with recognisable figures. */
function flatten(tree: Tree, path = ''): [string, string][] {
  return Object.entries(tree).flatMap(([key, value]): [string, string][] => {
    const name = path ? `${path}.${key}` : key;
    if (typeof value === 'string') return [[name, value]];
    if (typeof value === 'object') return flatten(value, name);
    const figures = Array.from({ length: value.length }, (_, index) => `#${index}#`);
    return [[name, value(...figures)]];
  });
}

const english = new Map(flatten(en));
const japanese = new Map(flatten(ja));
const german = new Map(flatten(de));

test('all languages have the same messages', () => {
  for (const other of [japanese, german]) {
    expect([...other.keys()].sort()).toEqual([...english.keys()].sort());
  }
});

test('no message is empty', () => {
  for (const [name, text] of [...english, ...japanese, ...german]) expect(text.trim(), name).not.toBe('');
});

test('no figure gets lost in translation', () => {
  const figures = (text: string) => (text.match(/#\d#/g) ?? []).sort();
  for (const [name, text] of english) {
    expect(figures(japanese.get(name) ?? ''), name).toEqual(figures(text));
    expect(figures(german.get(name) ?? ''), name).toEqual(figures(text));
  }
});

test('German is German', () => {
  const sentences = [...german].filter(([, text]) => text.split(' ').length > 5);
  expect(sentences.length).toBeGreaterThan(40);
  for (const [name, text] of sentences) expect(text, name).not.toBe(english.get(name));
});

test('Japanese is Japanese', () => {
  for (const [name, text] of japanese) expect(text, name).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
});
