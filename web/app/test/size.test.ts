import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const dist = new URL('../dist/', import.meta.url);
const index = existsSync(new URL('index.html', dist)) ? readFileSync(new URL('index.html', dist), 'utf8') : '';

/** What the browser loads before anything is shown: what the page names, and what that imports at once. */
function firstLoad(): Map<string, string> {
  const found = new Map<string, string>([['index.html', index]]);
  const wanted = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, name]) => name ?? '');
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    if (found.has(name)) continue;
    const text = readFileSync(new URL(name, dist), 'utf8');
    found.set(name, text);
    for (const [, other] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)) wanted.push(`assets/${other}`);
  }
  return found;
}

test.skipIf(index === '')('the first load has at most 120 kB, compressed', () => {
  const files = [...firstLoad()];
  expect(files.length).toBeGreaterThanOrEqual(3);
  const bytes = files.reduce((sum, [, text]) => sum + gzipSync(text, { level: 9 }).length, 0);
  expect(bytes).toBeLessThanOrEqual(120_000);
  expect(bytes, 'it is a page').toBeGreaterThan(20_000);
  for (const [, text] of files) expect(text, 'nothing of the library').not.toContain('/api/v1/library');
});
