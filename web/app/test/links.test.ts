import { expect, test } from 'vitest';
import { linked } from '../src/lib/links.ts';

const links = (text: string) => linked(text).flatMap(({ href }) => (href ? [href] : []));

test.each([
  ['see https://example.com/a?b=c#d.', ['https://example.com/a?b=c#d']],
  ['(https://en.wikipedia.org/wiki/Althing_(assembly))', ['https://en.wikipedia.org/wiki/Althing_(assembly)']],
  ['www.example.com, and http://127.0.0.1:8080/r/x!', ['https://www.example.com/', 'http://127.0.0.1:8080/r/x']],
  ['请看https://example.com/路径。谢谢', ['https://example.com/%E8%B7%AF%E5%BE%84']],
  ['write to ada@example.com', ['mailto:ada@example.com']],
  ['a@b', []],
  ['nothing here', []],
])('in %j the links are %j', (text, expected) => {
  expect(links(text)).toEqual(expected);
});

test.each(['javascript:alert(1)', 'data:text/html,<b>', 'file:///etc/passwd', 'https://bank.example@evil.example/', 'https://', 'vbscript:x'])('%s is no link', (text) => {
  expect(links(text)).toEqual([]);
});

test('nothing of a text is lost or doubled', () => {
  for (const text of ['a https://b.c d https://e.f.', 'https://b.c', '', '((www.a.b))', '<img src=x onerror=alert(1)> https://x.y/<b>']) {
    expect(linked(text).map(({ text }) => text).join('')).toBe(text);
  }
});
