import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Sources } from '../src/sources.ts';
import type { SlotPair } from '../src/wire.ts';

let named: { source: number; timestamp: number }[];
let changes: number;
let sources: Sources;

beforeEach(() => {
  vi.useFakeTimers();
  named = [];
  changes = 0;
  sources = new Sources(
    () => ({ getContributingSources: () => named }),
    () => changes++,
  );
});

afterEach(() => {
  sources.reset();
  vi.useRealTimers();
});

const slot = (member: string, video?: number): SlotPair => ({ pair: 0, member, screen: false, ...(video === undefined ? {} : { video }) });

test('the first picture of a pair is shown as it comes', () => {
  sources.follow([slot('a', 7)]);
  expect(sources.isThere(slot('a', 7))).toBe(true);
  expect(changes).toBe(0);
});

test('the next one is shown when its packets name it, and not before', () => {
  sources.follow([slot('a', 7)]);
  named = [{ source: 7, timestamp: 1_000 }];
  sources.follow([slot('b', 9)]);
  vi.advanceTimersByTime(500);
  expect(sources.isThere(slot('b', 9))).toBe(false);
  named = [
    { source: 9, timestamp: 1_600 },
    { source: 7, timestamp: 1_550 },
  ];
  vi.advanceTimersByTime(60);
  expect(sources.isThere(slot('b', 9))).toBe(true);
  expect(changes).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('whoever is shown again while the other is awaited was never away', () => {
  sources.follow([slot('a', 7)]);
  named = [{ source: 7, timestamp: 1_000 }];
  sources.follow([slot('b', 9)]);
  sources.follow([slot('a', 7)]);
  expect(sources.isThere(slot('a', 7))).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('whoever is shown again when the other has just begun is awaited like anybody else', () => {
  sources.follow([slot('a', 7)]);
  named = [{ source: 7, timestamp: 1_000 }];
  sources.follow([slot('b', 9)]);
  vi.advanceTimersByTime(60);
  named = [{ source: 9, timestamp: 1_070 }, ...named];
  sources.follow([slot('a', 7)]);
  expect(sources.isThere(slot('a', 7))).toBe(false);
  named = [{ source: 7, timestamp: 1_300 }];
  vi.advanceTimersByTime(60);
  expect(sources.isThere(slot('a', 7))).toBe(true);
});

test('a pair that was empty meanwhile still has its last picture', () => {
  sources.follow([slot('a', 7)]);
  named = [{ source: 7, timestamp: 1_000 }];
  sources.follow([slot('b')]);
  sources.follow([slot('b', 9)]);
  expect(sources.isThere(slot('b', 9))).toBe(false);
});

test('what never names itself is shown after a while', () => {
  sources.follow([slot('a', 7)]);
  sources.follow([slot('b', 9)]);
  // Told once more, as with every change of another pair: that begins no new wait.
  vi.advanceTimersByTime(2_000);
  sources.follow([slot('b', 9)]);
  vi.advanceTimersByTime(600);
  expect(sources.isThere(slot('b', 9))).toBe(true);
  expect(changes).toBe(1);
});
