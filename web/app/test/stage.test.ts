import { expect, test } from 'vitest';
import type { TileView } from '../src/lib/people.ts';
import { compose, nextSpeaker, toggled } from '../src/lib/stage.ts';
import type { Layout } from '../src/lib/stage.ts';

const tile = (key: string, change: Partial<TileView> = {}): TileView => ({
  key,
  member: key.split('/')[0] ?? key,
  name: key,
  kind: key.endsWith('/screen') ? 'screen' : 'camera',
  mine: key.startsWith('me'),
  video: undefined,
  quality: undefined,
  muted: false,
  mutedByModerator: false,
  speaking: false,
  away: false,
  hand: undefined,
  ...change,
});
const [a, b, me] = [tile('a'), tile('b'), tile('me')];
const [screenOfA, ownScreen] = [tile('a/screen'), tile('me/screen')];

function keys(tiles: TileView[], layout: Layout, pinned: string[] = [], speaker?: string): string {
  const { large, others } = compose(tiles, layout, new Set(pinned), speaker);
  const names = (all: TileView[]) => all.map(({ key }) => key).sort();
  expect(names([...large, ...others])).toEqual(names(tiles));
  return `${large.map(({ key }) => key).join()}|${others.map(({ key }) => key).join()}`;
}

test('the automatic layout shows a screen large, and else everybody alike', () => {
  expect(keys([a, b, me], 'auto')).toBe('|a,b,me');
  expect(keys([a, b, me, ownScreen], 'auto')).toBe('me/screen|a,b,me');
  expect(keys([a, screenOfA, b, me, ownScreen], 'auto', [], 'b')).toBe('a/screen|a,b,me,me/screen');
});

test('in the grid all are alike, screens too', () => {
  expect(keys([a, screenOfA, me], 'grid', [], 'a')).toBe('|a,a/screen,me');
});

test('the speaker is large, somebody else before anybody has spoken, a screen before any of them', () => {
  expect(keys([a, b, me], 'speaker', [], 'b')).toBe('b|a,me');
  expect(keys([a, b, me], 'speaker')).toBe('a|b,me');
  expect(keys([a, b, me], 'speaker', [], 'gone')).toBe('a|b,me');
  expect(keys([a, screenOfA, b, me], 'speaker', [], 'b')).toBe('a/screen|a,b,me');
  expect(keys([me], 'speaker')).toBe('|me');
});

test('what is pinned is large in any layout, as many as there are', () => {
  for (const layout of ['auto', 'grid', 'speaker'] as const) {
    expect(keys([a, screenOfA, b, me], layout, ['b', 'me', 'gone'], 'a')).toBe('b,me|a,a/screen');
    expect(keys([a, b], layout, ['a', 'b'])).toBe('|a,b');
  }
});

test('the picture stays with whoever speaks, and goes to somebody else when they have finished', () => {
  const next = (now: string | undefined, ...speakers: string[]) => nextSpeaker(now, speakers, 'me', ['a', 'b']);
  expect(next(undefined, 'me')).toBeUndefined();
  expect(next(undefined, 'me', 'b', 'a')).toBe('b');
  expect(next('a', 'b', 'a')).toBe('a');
  expect(next('a', 'b')).toBe('b');
  expect(next('a')).toBe('a');
  expect(next('gone')).toBeUndefined();
});

test('a pin is put in and drawn out', () => {
  const once = toggled(new Set(), 'a');
  expect([...once]).toEqual(['a']);
  expect([...toggled(once, 'a')]).toEqual([]);
});
