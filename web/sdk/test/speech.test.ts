import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { givenTo, heardBy, Speech } from '../src/speech.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function scene() {
  const levels = new Map<string, number | undefined>();
  const told = vi.fn();
  const speech = new Speech<string>(() => [...levels.keys()].map((id) => [id, () => levels.get(id)] as const), told);
  speech.start();
  return { levels, told, speech };
}

test('a click is no speech, a word is, and a pause between words does not end it', async () => {
  const { levels, told, speech } = scene();
  levels.set('ada', 0.5);
  await vi.advanceTimersByTimeAsync(200);
  levels.set('ada', 0.001);
  await vi.advanceTimersByTimeAsync(1000);
  expect(told).not.toHaveBeenCalled();
  levels.set('ada', 0.1);
  await vi.advanceTimersByTimeAsync(400);
  expect(speech.speakers).toEqual(['ada']);
  levels.set('ada', 0);
  await vi.advanceTimersByTimeAsync(600);
  expect(speech.speakers).toEqual(['ada']);
  await vi.advanceTimersByTimeAsync(600);
  expect(speech.speakers).toEqual([]);
  expect(told).toHaveBeenCalledTimes(2);
});

test('the louder one comes first, and who is louder alone is no news', async () => {
  const { levels, told, speech } = scene();
  levels.set('ada', 0.1).set('ben', 0.3);
  await vi.advanceTimersByTimeAsync(400);
  expect(speech.speakers).toEqual(['ben', 'ada']);
  levels.set('ada', 0.9);
  await vi.advanceTimersByTimeAsync(2000);
  expect(told).toHaveBeenCalledTimes(1);
  levels.delete('ben');
  await vi.advanceTimersByTimeAsync(200);
  expect(speech.speakers).toEqual(['ada']);
});

test('a browser that does not say how loud it is, and one that fails, are silent', async () => {
  const { levels, speech, told } = scene();
  levels.set('ada', undefined);
  await vi.advanceTimersByTimeAsync(2000);
  const failing = new Speech<string>(() => [['ben', () => Promise.reject(new Error('gone'))]], told);
  failing.start();
  await vi.advanceTimersByTimeAsync(2000);
  expect([speech.speakers, failing.speakers]).toEqual([[], []]);
  expect(told).not.toHaveBeenCalled();
});

test('what has been stopped tells nothing any more', async () => {
  const { levels, speech, told } = scene();
  levels.set('ada', 0.5);
  await vi.advanceTimersByTimeAsync(400);
  speech.stop();
  expect(speech.speakers).toEqual([]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(told).toHaveBeenCalledTimes(1);
});

test('sound that has stopped coming is silence, however loud the last of it was', () => {
  const source = { timestamp: 1, audioLevel: 0.5 };
  const level = heardBy({ getSynchronizationSources: () => [source] as unknown as RTCRtpSynchronizationSource[] });
  expect([level(), level()]).toEqual([0.5, 0]);
  source.timestamp = 2;
  expect(level()).toBe(0.5);
});

test('the own voice is as loud as what its sender is given', async () => {
  const reports = new Map([['a', { type: 'outbound-rtp' }], ['b', { type: 'media-source', audioLevel: 0.25 }]]);
  expect(await givenTo({ getStats: () => Promise.resolve(reports as unknown as RTCStatsReport) })()).toBe(0.25);
  expect(await givenTo({ getStats: () => Promise.resolve(new Map() as unknown as RTCStatsReport) })()).toBeUndefined();
});
