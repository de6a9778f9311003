import { AlthingError } from '@althing/sdk';
import { expect, test } from 'vitest';
import { Clock, shown } from '../src/lib/capture/clock.ts';
import { begin, BLANK, blur, draw, extend, headOf, isSomething, lineWidth, pixelsBetween, redo, undo } from '../src/lib/capture/drawing.ts';
import { fileName, sizeText } from '../src/lib/capture/files.ts';
import { composition, enlargement, fit } from '../src/lib/capture/places.ts';
import { uploadProblem } from '../src/lib/capture/problem.ts';
import { shortened } from '../src/lib/capture/tiles.ts';
import { endingOf, typeFor } from '../src/lib/capture/types.ts';

const ink = { colour: '#e5252a', width: 4 };
const line = begin('arrow', { x: 0, y: 0 }, ink);

test('what was drawn is taken back and comes again; what is drawn after that is all there is', () => {
  const two = draw(draw(BLANK, line), extend(line, { x: 9, y: 9 }));
  expect(undo(two).shapes).toEqual([line]);
  expect(redo(undo(two))).toEqual(two);
  expect(redo(two)).toBe(two);
  expect(undo(BLANK)).toBe(BLANK);
  expect(redo(draw(undo(two), line)).shapes).toEqual([line, line]);
});

test('a click is a point of the pen, and nothing of the other tools', () => {
  expect(isSomething(begin('pen', { x: 5, y: 5 }, ink))).toBe(true);
  for (const tool of ['rectangle', 'arrow', 'mosaic'] as const) {
    const shape = begin(tool, { x: 5, y: 5 }, ink);
    expect(isSomething(shape)).toBe(false);
    expect(isSomething(extend(shape, { x: 50, y: 20 }))).toBe(true);
  }
  expect(isSomething({ tool: 'text', at: { x: 0, y: 0 }, text: ' \n', ...ink })).toBe(false);
});

test('a mosaic leaves nothing of what was there but the mean of each block, also at the edges', () => {
  const [width, height, block] = [10, 7, 4];
  const pixels = Uint8ClampedArray.from({ length: width * height * 4 }, (_, index) => (index % 4 === 3 ? 255 : (index * 31) % 256));
  const before = pixels.slice();
  blur(pixels, width, height, block);
  const at = (data: Uint8ClampedArray, x: number, y: number) => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)];
  for (const [left, top, right, bottom] of [[0, 0, 4, 4], [8, 4, 10, 7]] as const) {
    const inside: (readonly [number, number])[] = [];
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) inside.push([x, y]);
    const mean = [0, 1, 2, 3].map((part) => inside.reduce((sum, [x, y]) => sum + (at(before, x, y)[part] ?? 0), 0) / inside.length);
    for (const [x, y] of inside) at(pixels, x, y).forEach((value, part) => expect(Math.abs(value - (mean[part] ?? 0))).toBeLessThanOrEqual(0.5));
  }
});

test('a mosaic covers whole pixels, inside of the picture only', () => {
  expect(pixelsBetween({ x: 8.7, y: 9.2 }, { x: 2.4, y: -3 }, { width: 100, height: 50 })).toEqual({ left: 2, top: 0, width: 7, height: 10 });
  expect(pixelsBetween({ x: 90, y: 40 }, { x: 500, y: 500 }, { width: 100, height: 50 })).toEqual({ left: 90, top: 40, width: 10, height: 10 });
});

test('the head of an arrow is behind its point and not longer than the arrow', () => {
  for (const point of headOf({ x: 0, y: 0 }, { x: 100, y: 0 }, 4)) expect(point.x).toBeCloseTo(100 - 20 * Math.cos(0.5));
  for (const point of headOf({ x: 0, y: 0 }, { x: 3, y: 4 }, 40)) expect(Math.hypot(point.x - 3, point.y - 4)).toBeCloseTo(5);
});

test('lines are the same share of every picture', () => {
  expect(lineWidth(1, { width: 1280, height: 720 })).toBe(6);
  expect(lineWidth(1, { width: 2560, height: 1440 })).toBe(12);
  expect(lineWidth(0, { width: 160, height: 90 })).toBe(2);
});

test('pictures fill their box or are whole in it, as they are on the page', () => {
  const box = { left: 10, top: 20, width: 100, height: 100 };
  expect(fit({ width: 200, height: 100 }, box, true).to).toEqual({ left: 10, top: 45, width: 100, height: 50 });
  expect(fit({ width: 200, height: 100 }, box, false)).toEqual({ from: { left: 50, top: 0, width: 100, height: 100 }, to: box });
});

test('a stage is taken as large as its sharpest picture is, within what browsers draw', () => {
  const stage = { width: 800, height: 500 };
  const box = { left: 0, top: 0, width: 320, height: 180 };
  expect(enlargement(stage, [])).toBe(1);
  expect(enlargement(stage, [{ picture: { width: 160, height: 90 }, box, contain: false }])).toBe(1);
  const sharp = { picture: { width: 1280, height: 720 }, box, contain: false };
  expect(enlargement(stage, [sharp, { picture: { width: 640, height: 360 }, box, contain: true }])).toBe(4);
  const huge = enlargement({ width: 4000, height: 3000 }, [sharp]);
  expect(4000 * huge).toBeLessThanOrEqual(8192);
  expect(4000 * 3000 * huge * huge).toBeLessThanOrEqual(32 * 1024 * 1024 + 1);
});

test.each([1, 2, 3, 5, 9, 12, 25, 50])('%i people are all on a recorded stage, none over another, beside a screen as well', (count) => {
  const size = { width: 1280, height: 720 };
  for (const large of [undefined, 0, count - 1]) {
    const boxes = composition(count, large, size);
    expect(boxes).toHaveLength(count);
    for (const [index, box] of boxes.entries()) {
      expect(box.width).toBeGreaterThan(0);
      expect(box.left).toBeGreaterThanOrEqual(0);
      expect(box.top).toBeGreaterThanOrEqual(0);
      expect(box.left + box.width).toBeLessThanOrEqual(size.width);
      expect(box.top + box.height).toBeLessThanOrEqual(size.height);
      for (const other of boxes.slice(index + 1)) {
        const apart = other.left >= box.left + box.width || box.left >= other.left + other.width || other.top >= box.top + box.height || box.top >= other.top + other.height;
        expect(apart).toBe(true);
      }
    }
    if (large !== undefined && count > 1) expect(boxes[large]?.width).toBeGreaterThan(900);
  }
});

test('names are cut to where they are, whole letters only', () => {
  const measure = (text: string) => [...text].length * 10;
  expect(shortened('Ada', 30, measure)).toBe('Ada');
  expect(shortened('Ada Lovelace', 60, measure)).toBe('Ada L…');
  expect(shortened('Ada Lovelace', 50, measure)).toBe('Ada…');
  expect(shortened('😀😀😀', 20, measure)).toBe('😀…');
  expect(shortened('Ada', 5, measure)).toBe('');
});

test('the clock stands while nothing is recorded', () => {
  let now = 1000;
  const clock = new Clock(() => now);
  clock.start();
  now = 3500;
  clock.stop();
  now = 9000;
  expect(clock.elapsed).toBe(2500);
  clock.start();
  clock.start();
  now = 9500;
  expect(clock.elapsed).toBe(3000);
  expect([0, 61_999, 3_600_000, 36_061_000].map(shown)).toEqual(['0:00', '1:01', '1:00:00', '10:01:01']);
});

test('a browser records in the best type that it has', () => {
  const all = () => true;
  expect([typeFor('audio', all), typeFor('call', all)]).toEqual(['audio/webm;codecs=opus', 'video/webm;codecs=vp8,opus']);
  const onlyMp4 = (type: string) => type.includes('mp4');
  expect([typeFor('audio', onlyMp4), endingOf('audio/mp4')]).toEqual(['audio/mp4', 'm4a']);
  expect(endingOf(typeFor('screen', onlyMp4) ?? '')).toBe('mp4');
  expect(typeFor('call', () => false)).toBeUndefined();
});

test('files have names that sort and that every system takes', () => {
  expect(fileName('team: α/β', new Date(2026, 0, 5, 9, 3, 7), 'png')).toBe('team_-2026-01-05-090307.png');
  expect(fileName('hall', new Date(2026, 10, 25, 19, 33, 57), 'webm')).toBe('hall-2026-11-25-193357.webm');
  expect([sizeText(1_234, 'en'), sizeText(45_600_000, 'en'), sizeText(1_500_000_000, 'zh-CN')]).toEqual(['1.2 kB', '46 MB', '1.5 GB']);
});

test('why a file is not in the library is said in the language of the page, with what to do about it', () => {
  const refused = (code: string) => uploadProblem(new AlthingError('upload_refused', 'as the server says it', false, { cause: { status: 507, code } }));
  expect(refused('library_full')).toMatch(/Delete something/);
  expect(refused('no_room')).toMatch(/on this device/);
  expect(refused('limit_exceeded')).toMatch(/larger/);
  expect(refused('forbidden')).toMatch(/invitation/);
  expect(refused('malformed')).toBe('Something went wrong: as the server says it');
  expect(uploadProblem(new AlthingError('upload_failed', 'Failed to fetch', true))).toMatch(/cannot be reached/);
  expect(uploadProblem(new AlthingError('upload_failed', 'too many', true, { cause: { status: 503, code: 'full' } }))).toMatch(/Try again/);
});
