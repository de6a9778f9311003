import { expect, test } from 'vitest';
import { importSecret } from '../src/e2ee/frame.ts';
import { isSealed, roomFor, TextSeal } from '../src/e2ee/text.ts';

const seal = (seed: number) => new TextSeal(importSecret(new Uint8Array(16).fill(seed)));

test('a sealed text is read by whoever has the secret, as its sender’s', async () => {
  const sealed = await seal(1).seal('grüß dich, 你好', 'ada');
  expect(isSealed(sealed)).toBe(true);
  expect(sealed).not.toContain('dich');
  expect(await seal(1).open(sealed, 'ada')).toBe('grüß dich, 你好');
  expect(await seal(1).open(sealed, 'ben'), 'nobody says it in another one’s name').toBeUndefined();
  expect(await seal(2).open(sealed, 'ada')).toBeUndefined();
  expect(await seal(1).seal('the same', 'ada')).not.toBe(await seal(1).seal('the same', 'ada'));
});

test.each(['', 'plain', 'althing-sealed:1:', 'althing-sealed:1:%%%', 'althing-sealed:1:AAAA'])('%j is not opened', async (text) => {
  expect(await seal(1).open(text, 'ada')).toBeUndefined();
});

test('a text of as many bytes as there is room for fits, sealed', async () => {
  for (const most of [4096, 4095, 1000, 100]) {
    const sealed = await seal(1).seal('x'.repeat(roomFor(most)), 'ada');
    expect(sealed.length).toBeLessThanOrEqual(most);
    expect(sealed.length).toBeGreaterThan(most - 5);
  }
  expect(roomFor(10)).toBe(0);
});
