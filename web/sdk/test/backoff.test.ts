import { expect, test } from 'vitest';
import { Backoff } from '../src/backoff.ts';

test('waits double up to the bound', () => {
  const backoff = new Backoff({ first: 100, most: 1000, random: () => 0.999999 });
  expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
});

test('each wait lies between half of its bound and all of it', () => {
  for (const random of [0, 0.25, 0.5, 0.999]) {
    const backoff = new Backoff({ first: 400, most: 5000, random: () => random });
    const wait = backoff.next();
    expect(wait).toBeGreaterThanOrEqual(200);
    expect(wait).toBeLessThanOrEqual(400);
  }
});

test('a reset begins with the shortest wait', () => {
  const backoff = new Backoff({ first: 100, most: 1000, random: () => 0 });
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(50);
});

test('a thousand attempts do not overflow', () => {
  const backoff = new Backoff({ first: 100, most: 1000, random: () => 0 });
  for (let i = 0; i < 1000; i++) backoff.next();
  expect(backoff.next()).toBe(500);
});
