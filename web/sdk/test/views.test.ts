import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AlthingError } from '../src/errors.ts';
import { Views } from '../src/views.ts';
import type { MemberInfo, OkResult, Request, Source, TrackInfo } from '../src/wire.ts';

let views: Views;
/** What was told, as `track:width×height`, with the priority when it is not the usual one. */
let told: string[][];
let answer: (request: Request) => Promise<OkResult | undefined>;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  answer = () => Promise.resolve(undefined);
  views = new Views((request) => {
    if (request.type !== 'view') throw new Error(`nobody expects ${request.type}`);
    told.push(request.tiles.map(({ track, width, height, priority }) => `${track}:${width}×${height}${priority === 'normal' ? '' : ` ${priority}`}`));
    return answer(request);
  });
  views.follow([member('a', 1), member('b', 2)]);
});

afterEach(() => {
  views.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function member(id: string, camera?: number, screen?: number): MemberInfo {
  const info = (source: Source, track: number): TrackInfo => ({ track, source, muted: false, muted_by_moderator: false });
  const tracks = [...(camera === undefined ? [] : [info('camera', camera)]), ...(screen === undefined ? [] : [info('screen', screen)])];
  return { member: id, name: id, moderator: false, away: false, tracks };
}

const show = (id: string, width: number, height: number, priority: 'low' | 'normal' | 'high' = 'normal') => views.show(id, false, { width, height }, priority);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('what is said at the same time is told in one message, in steps of 16 pixels of the display', async () => {
  vi.stubGlobal('devicePixelRatio', 1.5);
  show('a', 320, 180);
  views.show('b', false, 'hidden', 'low');
  await pass(0);
  expect(told).toEqual([['1:480×272', '2:0×0 low']]);
});

test('what is known already is not told again', async () => {
  show('a', 320, 180);
  await pass(1000);
  show('a', 319, 177);
  show('a', 320, 180);
  await pass(10_000);
  expect(told).toEqual([['1:320×192']]);
});

test('larger is told at once, smaller when it stays so for a second', async () => {
  show('a', 320, 180);
  await pass(2000);
  show('a', 160, 90);
  await pass(900);
  show('a', 640, 360);
  await pass(0);
  expect(told).toEqual([['1:320×192'], ['1:640×368']]);
  await pass(5000);
  views.show('a', false, 'hidden', 'normal');
  await pass(900);
  expect(told.length).toBe(2);
  await pass(100);
  expect(told[2]).toEqual(['1:0×0']);
  await pass(1000);
  show('a', 16, 16);
  await pass(0);
  expect(told[3]).toEqual(['1:16×16']);
});

test('a tile that shrinks step by step is told after a second, as it is then', async () => {
  show('a', 640, 368);
  await pass(1000);
  for (let width = 624; width > 0; width -= 16) {
    show('a', width, 160);
    await pass(100);
  }
  await pass(5000);
  expect(told[1]).toEqual(['1:480×160']);
  expect(told.length).toBe(5);
  expect(told.at(-1)).toEqual(['1:16×160']);
});

test('what matters more is told at once, what matters less later', async () => {
  show('a', 320, 180);
  await pass(1000);
  show('a', 160, 90, 'high');
  await pass(0);
  show('a', 160, 90, 'normal');
  await pass(900);
  expect(told).toEqual([['1:320×192'], ['1:160×96 high']]);
  await pass(200);
  expect(told[2]).toEqual(['1:160×96']);
});

test('messages are a quarter of a second apart', async () => {
  show('a', 16, 16);
  await pass(0);
  for (let width = 32; width <= 1600; width += 16) {
    show('a', width, 16);
    await pass(10);
  }
  expect(told.length).toBe(4);
  await pass(250);
  expect(told.at(-1)).toEqual(['1:1600×16']);
});

test('one message is under way at a time', async () => {
  let settle: (result: undefined) => void = () => undefined;
  answer = () => new Promise((resolve) => (settle = resolve));
  show('a', 16, 16);
  await pass(0);
  show('b', 16, 16);
  await pass(60_000);
  expect(told).toEqual([['1:16×16']]);
  settle(undefined);
  await pass(0);
  expect(told[1]).toEqual(['2:16×16']);
});

test('of many tiles, no message has more than the server takes', async () => {
  const people = Array.from({ length: 100 }, (_, i) => member(`m${i}`, 100 + i));
  views.follow(people);
  for (const { member: id } of people) show(id, 160, 90);
  await pass(500);
  expect(told.map((tiles) => tiles.length)).toEqual([64, 36]);
});

test('what is said of somebody without a track is told when they publish, also when they publish again', async () => {
  show('c', 320, 180);
  views.show('c', true, { width: 1600, height: 900 }, 'high');
  await pass(1000);
  expect(told).toEqual([]);
  views.follow([member('c', 3)]);
  await pass(500);
  views.follow([member('c', 5, 4)]);
  await pass(500);
  expect(told).toEqual([['3:320×192'], ['5:320×192', '4:1600×912 high']]);
});

test('whoever has gone is forgotten with their tile', async () => {
  show('a', 320, 180);
  await pass(1000);
  views.show('a', false, 'hidden', 'normal');
  views.follow([]);
  views.follow([member('a', 7)]);
  await pass(5000);
  expect(told).toEqual([['1:320×192']]);
});

test('whoever goes and comes back before their tile does is told again', async () => {
  show('a', 320, 180);
  await pass(1000);
  views.follow([]);
  views.follow([member('a', 7)]);
  await pass(0);
  expect(told[1]).toEqual(['7:320×192']);
});

test('a new session is told all of it, whatever was under way', async () => {
  answer = () => new Promise(() => undefined);
  show('a', 320, 180);
  show('b', 640, 360);
  await pass(1000);
  answer = () => Promise.resolve(undefined);
  views.reset();
  await pass(0);
  expect(told).toEqual([
    ['1:320×192', '2:640×368'],
    ['1:320×192', '2:640×368'],
  ]);
});

test('what is refused for now is told again after a while', async () => {
  answer = () => Promise.reject(new AlthingError('rate_limited', 'slower', true));
  show('a', 320, 180);
  await pass(10);
  answer = () => Promise.resolve(undefined);
  await pass(900);
  expect(told.length).toBe(1);
  await pass(200);
  expect(told).toEqual([['1:320×192'], ['1:320×192']]);
});

test('a server that does not know of views is not asked again in this session', async () => {
  answer = () => Promise.reject(new AlthingError('unknown_message', 'what?'));
  show('a', 320, 180);
  await pass(1000);
  show('a', 640, 360);
  await pass(10_000);
  expect(told.length).toBe(1);
  views.reset();
  await pass(0);
  expect(told.length).toBe(2);
});

test('nothing is told after the end', async () => {
  show('a', 320, 180);
  views.close();
  await pass(10_000);
  show('b', 320, 180);
  await pass(10_000);
  expect(told).toEqual([]);
});
