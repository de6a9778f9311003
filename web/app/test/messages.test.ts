import { readFileSync, readdirSync } from 'node:fs';
import { parse } from 'svelte/compiler';
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

/** What is called the same in every language. */
const NAMES = ['Althing'];
/** Attributes that people read, or hear. */
const SPOKEN = ['aria-label', 'aria-description', 'aria-roledescription', 'aria-valuetext', 'alt', 'title', 'placeholder', 'label'];

/** Words of a component's markup that are no messages. */
function hardCoded(markup: string): string[] {
  const found: string[] = [];
  const look = (node: unknown, attribute?: string): void => {
    if (Array.isArray(node)) for (const each of node) look(each, attribute);
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
    const { type, name, data } = node as Record<string, unknown>;
    if (type === 'Text' && /\p{L}/u.test(String(data)) && !NAMES.includes(String(data).trim()) && (attribute === undefined || SPOKEN.includes(attribute))) found.push(String(data).trim());
    for (const [key, value] of Object.entries(node)) if (key !== 'metadata') look(value, type === 'Attribute' ? String(name) : attribute);
  };
  look(parse(markup, { modern: true }).fragment);
  return found;
}

test('words in markup are found, wherever people meet them', () => {
  expect(hardCoded('<p>Hello</p><b title="Bye" class="x">{m.ok()}</b>{#if a}<i>·</i>{:else}你好{/if}<p>Althing</p>')).toEqual(['Hello', 'Bye', '你好']);
});

test('no component says anything that is not in the messages', () => {
  const components = new URL('components/', source);
  for (const name of readdirSync(components)) expect(hardCoded(readFileSync(new URL(name, components), 'utf8')), name).toEqual([]);
});
