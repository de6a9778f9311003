import { expect, test } from 'vitest';
import { beside, nextEntry } from '../src/lib/menu.ts';

const labels = ['Screenshot', 'Record', 'Raise hand', 'Statistics'];

test('arrows go round, Home and End to the ends', () => {
  expect(nextEntry('ArrowDown', -1, labels)).toBe(0);
  expect(nextEntry('ArrowDown', 3, labels)).toBe(0);
  expect(nextEntry('ArrowUp', 0, labels)).toBe(3);
  expect(nextEntry('ArrowUp', -1, labels)).toBe(3);
  expect(nextEntry('Home', 2, labels)).toBe(0);
  expect(nextEntry('End', 0, labels)).toBe(3);
});

test('a letter goes to the next entry that begins with it', () => {
  expect(nextEntry('r', 0, labels)).toBe(1);
  expect(nextEntry('R', 1, labels)).toBe(2);
  expect(nextEntry('r', 2, labels)).toBe(1);
  expect(nextEntry('s', 3, labels)).toBe(0);
  expect(nextEntry('x', 0, labels)).toBeUndefined();
});

test('keys that mean nothing in a menu lead nowhere', () => {
  for (const key of ['Enter', 'Tab', 'Escape', ' ', 'F5']) expect(nextEntry(key, 1, labels)).toBeUndefined();
  expect(nextEntry('ArrowDown', 0, [])).toBeUndefined();
});

test('a menu stands above its button, below it at the upper edge, and never beyond the window', () => {
  const window = { width: 800, height: 600 };
  const menu = { width: 240, height: 200 };
  expect(beside({ left: 400, top: 540, width: 48, height: 48 }, menu, window)).toEqual({ left: 208, top: 332 });
  expect(beside({ left: 760, top: 10, width: 32, height: 32 }, menu, window)).toEqual({ left: 552, top: 50 });
  expect(beside({ left: 4, top: 540, width: 48, height: 48 }, menu, window).left).toBe(8);
  expect(beside({ left: 400, top: 300, width: 48, height: 48 }, { width: 240, height: 580 }, window)).toEqual({ left: 208, top: 12 });
});
