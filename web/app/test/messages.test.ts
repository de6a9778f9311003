import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (locale: string) => JSON.parse(readFileSync(new URL(`../messages/${locale}.json`, import.meta.url), 'utf8')) as Record<string, string>;
const [en, zh] = [read('en'), read('zh-CN')];
const source = new URL('../src/', import.meta.url);
const code = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(svelte|ts)$/.test(name) && !name.startsWith('paraglide'))
  .map((name) => readFileSync(new URL(name, source), 'utf8'))
  .join('\n');

test('both languages say the same things, about the same values', () => {
  const values = (messages: Record<string, string>) =>
    Object.entries(messages).map(([key, text]) => [key, [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort().join()]);
  expect(values(zh)).toEqual(values(en));
});

test('nothing is translated that the page never says', () => {
  const unused = Object.keys(en).filter((key) => !key.startsWith('$') && !new RegExp(`\\bm\\.${key}\\b`).test(code));
  expect(unused).toEqual([]);
});
