import { expect, test } from 'vitest';
import { WebmIndex } from '../src/lib/capture/webm.ts';
import type { Part } from '../src/lib/capture/webm.ts';
import { box, find, live, number, tree } from './webm.ts';
import type { Frame } from './webm.ts';

/** Three clusters of a second: a key picture each, one every 100 ms, sound every 60. */
function call(): { time: number; frames: Frame[] }[] {
  return [0, 1000, 2000].map((time) => {
    const pictures = Array.from({ length: 10 }, (_, index): Frame => ({ track: 1, time: time + index * 100, key: index === 0, size: 300 }));
    const sounds = Array.from({ length: 16 }, (_, index): Frame => ({ track: 2, time: time + index * 60, key: true }));
    return { time, frames: [...pictures, ...sounds].sort((one, other) => one.time - other.time) };
  });
}

function put(raw: Uint8Array, parts: Part[] | undefined): Uint8Array {
  return new Uint8Array(Buffer.concat((parts ?? []).map((part) => (part instanceof Uint8Array ? part : raw.subarray(part.from, part.to)))));
}

function mended(raw: Uint8Array, piece: number): { file: Uint8Array; index: WebmIndex } {
  const index = new WebmIndex();
  for (let at = 0; at < raw.length; at += piece) index.feed(raw.subarray(at, at + piece));
  return { file: put(raw, index.parts()), index };
}

const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;

test.each([1, 7, 100, 4096, 1 << 20])('a recording that came in pieces of %i bytes has its length and its index', (piece) => {
  const raw = live(['video', 'audio'], call());
  const { file, index } = mended(raw, piece);
  expect(index.length).toBe(3000);
  const all = tree(file);
  expect(all.map((node) => node.id)).toEqual([0x1a45dfa3, SEGMENT]);
  const duration = find(all, SEGMENT, 0x1549a966, 0x4489)[0];
  expect(new DataView(file.buffer, duration?.content, 8).getFloat64(0)).toBe(3000);
  expect(find(all, SEGMENT, 0x1549a966, 0x2ad7b1)).toHaveLength(1);
  const clusters = find(all, SEGMENT, CLUSTER);
  expect(clusters.map((cluster) => number(file, cluster.children[0]))).toEqual([0, 1000, 2000]);
  expect(clusters.map((cluster) => cluster.children.length)).toEqual([27, 27, 27]);
});

test('each place of the index is that of a key picture', () => {
  const raw = live(['video', 'audio'], call());
  const { file } = mended(raw, 333);
  const all = tree(file);
  const segment = all[1]?.content ?? 0;
  const clusters = find(all, SEGMENT, CLUSTER);
  const cues = find(all, SEGMENT, 0x1c53bb6b, 0xbb);
  expect(cues.map((cue) => number(file, find([cue], 0xbb, 0xb3)[0]))).toEqual([0, 1000, 2000]);
  for (const cue of cues) {
    const cluster = clusters.find((node) => node.start === segment + number(file, find([cue], 0xbb, 0xb7, 0xf1)[0]));
    const block = cluster?.children.find((node) => node.start === cluster.content + number(file, find([cue], 0xbb, 0xb7, 0xf0)[0]));
    expect(block?.id).toBe(0xa3);
    expect([...file.subarray(block?.content, (block?.content ?? 0) + 4)]).toEqual([0x81, 0, 0, 0x80]);
  }
  const places = find(all, SEGMENT, 0x114d9b74, 0x4dbb).map((seek) => [number(file, find([seek], 0x4dbb, 0x53ab)[0]), segment + number(file, find([seek], 0x4dbb, 0x53ac)[0])]);
  for (const [id, start] of places) expect(find(all, SEGMENT, id ?? 0)[0]?.start).toBe(start);
});

test('sound alone can be sought each second', () => {
  const frames = Array.from({ length: 100 }, (_, index): Frame => ({ track: 1, time: index * 60, key: true }));
  const raw = live(['audio'], [{ time: 0, frames }]);
  const { file, index } = mended(raw, 64);
  expect(index.length).toBe(6000);
  const times = find(tree(file), SEGMENT, 0x1c53bb6b, 0xbb, 0xb3).map((time) => number(file, time));
  expect(times[0]).toBe(0);
  expect(times.length).toBe(6);
});

test('a picture that came late before the end does not make the end later', () => {
  const frames = [0, 33, 66, 1500].map((time): Frame => ({ track: 1, time, key: time === 0 }));
  expect(mended(live(['video'], [{ time: 0, frames }]), 64).index.length).toBe(1533);
});

test('it is known how far pictures are behind', () => {
  const frames = [
    { track: 1, time: 0, key: true },
    { track: 2, time: 0, key: true },
    { track: 2, time: 900, key: true },
  ];
  expect(mended(live(['video', 'audio'], [{ time: 0, frames }]), 64).index.lag).toBe(900);
  expect(mended(live(['audio'], [{ time: 0, frames: [{ track: 1, time: 900, key: true }] }]), 64).index.lag).toBe(0);
  expect(mended(live(['video'], [{ time: 0, frames: [{ track: 1, time: 900, key: true }] }]), 64).index.lag).toBe(0);
});

test('clusters of known size are taken as well', () => {
  const raw = live(['video', 'audio'], call(), true);
  const { file } = mended(raw, 50);
  expect(find(tree(file), SEGMENT, CLUSTER).map((cluster) => cluster.children.length)).toEqual([27, 27, 27]);
});

test('what a crash has cut anywhere is whole again, without the rest of its last block', () => {
  const raw = live(['video', 'audio'], call());
  const first = tree(put(raw, mended(raw, raw.length).index.parts()))[1]?.content ?? 0;
  let last = 0;
  for (let cut = first + 500; cut < raw.length; cut += 17) {
    const { file, index } = mended(raw.subarray(0, cut), 97);
    const all = tree(file);
    const blocks = find(all, SEGMENT, CLUSTER, 0xa3);
    expect(blocks.length).toBeGreaterThanOrEqual(last);
    last = blocks.length;
    for (const cue of find(all, SEGMENT, 0x1c53bb6b, 0xbb, 0xb7, 0xf1)) expect(find(all, SEGMENT, CLUSTER).map((node) => node.start - (all[1]?.content ?? 0))).toContain(number(file, cue));
    expect(index.length).toBeLessThanOrEqual(3000);
  }
  expect(last).toBeGreaterThan(70);
});

test('what is no WebM, or has nothing in it, is left as it is', () => {
  for (const raw of [new Uint8Array(0), new Uint8Array(1000), Uint8Array.from({ length: 1000 }, (_, index) => index & 0xff), live(['video'], []), box(0x1a45dfa3, 1, 2, 3)]) {
    expect(mended(raw, 100).index.parts()).toBeUndefined();
  }
});

test('what is broken in its middle is kept up to there', () => {
  const raw = live(['video', 'audio'], call());
  const whole = mended(raw, raw.length).index.parts() ?? [];
  const third = whole.at(-1) as { from: number };
  const broken = raw.slice();
  broken.fill(0, third.from - 12);
  const { file } = mended(broken, 200);
  expect(find(tree(file), SEGMENT, CLUSTER).map((cluster) => cluster.children.length)).toEqual([27, 27]);
});
