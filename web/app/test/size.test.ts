import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

/** What somebody loads to call (bytes, compressed by gzip). */
const MOST = 120_000;
const dist = new URL('../dist/', import.meta.url);

function firstLoad(): string[] {
  const index = readFileSync(new URL('index.html', dist), 'utf8');
  return ['index.html', ...[...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1]!)];
}

test.skipIf(!existsSync(new URL('index.html', dist)))('the first load of the page is small, and has nothing of the library', () => {
  const files = firstLoad();
  expect(files.some((name) => name.endsWith('.js'))).toBe(true);
  const sizes = files.map((name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MOST);
  for (const name of files) expect(readFileSync(new URL(name, dist), 'utf8')).not.toContain('/api/v1/library');
});
