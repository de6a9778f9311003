import { expect, test } from 'vitest';
import { settle } from '../src/lib/background/mask.ts';
import { Rate } from '../src/lib/background/rate.ts';

/** How many pictures of a camera of so many a second are taken in ten seconds. */
function taken(perSecond: number, most: number, from = 0): number {
  const rate = new Rate(most);
  return Array.from({ length: 10 * perSecond }, (_, index) => rate.takes(from + index / perSecond)).filter(Boolean).length;
}

test.each([
  [30, 240],
  [60, 240],
  [25, 240],
  [24, 240],
  [15, 150],
  [5, 50],
])('of %i pictures a second 24 are taken at most, and fewer only where fewer come', (perSecond, expected) => {
  expect(Math.abs(taken(perSecond, 24) - expected)).toBeLessThanOrEqual(2);
  expect(Math.abs(taken(perSecond, 24, 1e6) - expected)).toBeLessThanOrEqual(2);
});

test('a pause is not made good, and a clock that is set back stops nothing', () => {
  const rate = new Rate(10);
  expect([0, 0.05, 0.1, 9, 9.01, 9.02].map((at) => rate.takes(at))).toEqual([true, false, true, true, false, false]);
  expect(rate.takes(1)).toBe(true);
  expect(rate.takes(1.05)).toBe(false);
});

test('what is surely the background becomes clear, what is surely a person opaque, and a mask does not jump', () => {
  const settled = new Float32Array(3);
  const rgba = new Uint8ClampedArray(12);
  const alpha = () => [rgba[3], rgba[7], rgba[11]];
  settle(Float32Array.of(0, 1, 0.5), settled, rgba);
  const [first] = [alpha()];
  expect(first[0]).toBe(0);
  expect(first[1]).toBeGreaterThan(100);
  for (let turn = 0; turn < 8; turn++) settle(Float32Array.of(0.1, 0.95, 0.5), settled, rgba);
  expect(alpha()[0]).toBe(0);
  expect(alpha()[1]).toBe(255);
  expect(alpha()[2]).toBeGreaterThan(80);
  expect(alpha()[2]).toBeLessThan(150);
  settle(Float32Array.of(1, 0, 0.5), settled, rgba);
  expect(alpha()[0]).toBeLessThan(255);
  expect(alpha()[1]).toBeGreaterThan(0);
});
