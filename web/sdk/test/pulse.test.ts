import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pulse } from '../src/pulse.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function scene() {
  const at = { audio: undefined as number | undefined, video: undefined as number | undefined };
  const receiver = (kind: 'audio' | 'video') => ({ getSynchronizationSources: () => (at[kind] === undefined ? [] : [{ timestamp: at[kind] }]) });
  const suspect = vi.fn();
  const pulse = new Pulse(() => [receiver('audio'), receiver('video')], suspect);
  pulse.start();
  return { at, suspect, pulse };
}

test('where nothing ever came, nothing is missed', () => {
  const { suspect, pulse } = scene();
  vi.advanceTimersByTime(60_000);
  expect(suspect).not.toHaveBeenCalled();
  expect(pulse.isSilent).toBe(false);
});

test('what has come and comes no longer is missed once, and again when it has come meanwhile', () => {
  const { at, suspect, pulse } = scene();
  at.audio = 1;
  vi.advanceTimersByTime(1000);
  expect(pulse.isSilent).toBe(false);
  vi.advanceTimersByTime(10_000);
  expect(suspect).toHaveBeenCalledTimes(1);
  expect(pulse.isSilent).toBe(true);
  at.audio = 2;
  expect(pulse.isSilent).toBe(false);
  vi.advanceTimersByTime(10_000);
  expect(suspect).toHaveBeenCalledTimes(2);
});

test('one source is enough: a camera that is turned off is not missed', () => {
  const { at, suspect } = scene();
  at.video = 1;
  for (let time = 1; time < 40; time++) {
    at.audio = time;
    vi.advanceTimersByTime(500);
  }
  expect(suspect).not.toHaveBeenCalled();
});

test('a connection that is new owes nothing', () => {
  const { at, suspect, pulse } = scene();
  at.audio = 5;
  vi.advanceTimersByTime(1000);
  pulse.reset();
  at.audio = undefined;
  vi.advanceTimersByTime(10_000);
  expect(suspect).not.toHaveBeenCalled();
  pulse.stop();
});

test('after a lost socket little silence says enough, and none says that all is well', async () => {
  const { at, pulse } = scene();
  at.audio = 1;
  vi.advanceTimersByTime(100);
  expect(pulse.isSilent).toBe(false);
  let stopped = pulse.hasStopped();
  await vi.advanceTimersByTimeAsync(500);
  expect(await stopped).toBe(true);
  at.audio = 2;
  stopped = pulse.hasStopped();
  at.audio = 3;
  await vi.advanceTimersByTimeAsync(100);
  at.audio = 4;
  await vi.advanceTimersByTimeAsync(500);
  at.audio = 5;
  expect(await stopped).toBe(false);
});
