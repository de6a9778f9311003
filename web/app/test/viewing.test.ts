import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Viewing } from '../src/lib/viewing.ts';
import type { Shown } from '../src/lib/viewing.ts';

type Entries = { target: unknown; contentRect?: object; isIntersecting?: boolean }[];

/** A page as far as it can be seen from here. */
const page = {
  visibilityState: 'visible',
  pictureInPictureElement: null as unknown,
  listeners: new Map<string, () => void>(),
  sizes: (_: Entries): void => undefined,
  sight: (_: Entries): void => undefined,
};
let reports: string[];
let viewing: Viewing;

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(page, { visibilityState: 'visible', pictureInPictureElement: null, listeners: new Map() });
  const addEventListener = (name: string, listener: () => void) => page.listeners.set(name, listener);
  const observer = (kind: 'sizes' | 'sight') =>
    class {
      observe = () => undefined;
      unobserve = () => undefined;
      constructor(callback: (entries: Entries) => void) {
        page[kind] = callback;
      }
    };
  vi.stubGlobal('document', Object.assign(page, { addEventListener }));
  vi.stubGlobal('addEventListener', addEventListener);
  vi.stubGlobal('ResizeObserver', observer('sizes'));
  vi.stubGlobal('IntersectionObserver', observer('sight'));
  reports = [];
  viewing = new Viewing((member, screen, size, priority) => {
    reports.push(`${member}${screen ? "'s screen" : ''} ${size === 'hidden' ? size : `${size.width}×${size.height}`}${priority === 'normal' ? '' : ` ${priority}`}`);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const camera = (member: string): Shown => ({ member, screen: false, priority: 'normal' });

function tile(shown: Shown, video?: unknown) {
  const element = { contains: (other: unknown) => other === video } as unknown as Element;
  const close = viewing.watch(element, shown);
  return {
    close,
    sized: (width: number, height: number) => page.sizes([{ target: element, contentRect: { width, height } }]),
    seen: (isIntersecting: boolean) => page.sight([{ target: element, isIntersecting }]),
  };
}

function turn(visibilityState: 'visible' | 'hidden') {
  page.visibilityState = visibilityState;
  page.listeners.get('visibilitychange')?.();
}

/** A tile in a window of its own. */
function tileApart(shown: Shown) {
  let size: (entries: Entries) => void = () => undefined;
  class ResizeObserver {
    observe = () => undefined;
    disconnect = () => (size = () => undefined);
    constructor(callback: (entries: Entries) => void) {
      size = callback;
    }
  }
  const element = { contains: () => false, ownerDocument: { defaultView: { ResizeObserver } } } as unknown as Element;
  const close = viewing.watch(element, shown);
  return { close, sized: (width: number, height: number) => size([{ target: element, contentRect: { width, height } }]) };
}

/** What was reported since the last time. */
function reported(): string[] {
  return reports.splice(0);
}

test('a tile is reported once its size and whether it is in sight are known', () => {
  const { sized, seen } = tile({ member: 'a', screen: true, priority: 'high' });
  sized(640, 360);
  expect(reported()).toEqual([]);
  seen(true);
  expect(reported()).toEqual(["a's screen 640×360 high"]);
});

test('what is scrolled away is hidden, and has its size when it is back', () => {
  const { sized, seen } = tile(camera('a'));
  sized(640, 360);
  seen(true);
  seen(false);
  seen(true);
  expect(reported()).toEqual(['a 640×360', 'a hidden', 'a 640×360']);
});

test('a page in the background shows nothing after a while, and everything at once when it is back', () => {
  const { sized, seen } = tile(camera('a'));
  sized(640, 360);
  seen(true);
  reported();
  turn('hidden');
  vi.advanceTimersByTime(4900);
  turn('visible');
  vi.advanceTimersByTime(60_000);
  expect(reported()).toEqual([]);
  turn('hidden');
  vi.advanceTimersByTime(5000);
  expect(reported()).toEqual(['a hidden']);
  turn('visible');
  expect(reported()).toEqual(['a 640×360']);
});

test('a tile that comes while the page is in the background is hidden, though nobody has measured it', () => {
  tile(camera('a'));
  turn('hidden');
  vi.advanceTimersByTime(5000);
  tile(camera('b'));
  expect(reported()).toEqual(['a hidden', 'b hidden']);
});

test('a picture in a window of its own is seen wherever the page is', () => {
  const video = {};
  const { sized, seen } = tile(camera('a'), video);
  sized(640, 360);
  seen(true);
  reported();
  page.pictureInPictureElement = video;
  page.listeners.get('enterpictureinpicture')?.();
  seen(false);
  turn('hidden');
  vi.advanceTimersByTime(5000);
  expect(new Set(reported())).toEqual(new Set(['a 640×360']));
  page.pictureInPictureElement = null;
  page.listeners.get('leavepictureinpicture')?.();
  expect(reported()).toEqual(['a hidden']);
});

test('pictures go on in the background while they are recorded, and stop when they are not', () => {
  const { sized, seen } = tile(camera('a'));
  sized(640, 360);
  seen(true);
  const done = viewing.stayAwake();
  turn('hidden');
  vi.advanceTimersByTime(60_000);
  expect(reports).not.toContain('a hidden');
  done();
  vi.advanceTimersByTime(5000);
  expect(reports.at(-1)).toBe('a hidden');
  const again = viewing.stayAwake();
  expect(reports.at(-1)).toBe('a 640×360');
  again();
});

test('a tile that moves to another place of the page is not hidden in between', () => {
  const first = tile(camera('a'));
  first.sized(640, 360);
  first.seen(true);
  const second = tile(camera('a'));
  first.close();
  second.sized(160, 90);
  second.seen(true);
  expect(reported()).toEqual(['a 640×360', 'a 160×90']);
  second.close();
  expect(reported()).toEqual(['a hidden']);
});

test('in a window of its own a tile is seen while the page is in the background', () => {
  const { sized, seen } = tile(camera('a'));
  sized(640, 360);
  seen(true);
  const small = tileApart(camera('a'));
  small.sized(320, 180);
  reported();
  turn('hidden');
  vi.advanceTimersByTime(10_000);
  expect(reported().at(-1)).toBe('a 320×180');
  small.close();
  expect(reported()).toEqual(['a hidden']);
});
