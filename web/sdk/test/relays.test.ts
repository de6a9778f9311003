import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Ask } from '../src/publisher.ts';
import { Relays } from '../src/relays.ts';

let asked = 0;
let fails = false;
const ask = (async () => {
  asked += 1;
  if (fails) throw new Error('not now');
  return { of: 'ice_servers', servers: [{ urls: [`turn:${asked}`] }], lifetime_ms: 10_000 };
}) as unknown as Ask;

beforeEach(() => {
  vi.useFakeTimers();
  [asked, fails] = [0, false];
});
afterEach(() => void vi.useRealTimers());

const urls = async (relays: Relays) => (await relays.servers()).flatMap((server) => server.urls);

test('servers are asked for once, and again when half the life of the credentials is over', async () => {
  const relays = new Relays(ask);
  expect([await urls(relays), await urls(relays)]).toEqual([['turn:1'], ['turn:1']]);
  vi.advanceTimersByTime(4_900);
  expect(await urls(relays)).toEqual(['turn:1']);
  vi.advanceTimersByTime(200);
  expect(await urls(relays)).toEqual(['turn:2']);
});

test('another session asks for its own, and a refusal is not remembered', async () => {
  const relays = new Relays(ask);
  await urls(relays);
  relays.reset();
  fails = true;
  expect(await urls(relays)).toEqual([]);
  fails = false;
  vi.advanceTimersByTime(1);
  expect(await urls(relays)).toEqual(['turn:3']);
});
