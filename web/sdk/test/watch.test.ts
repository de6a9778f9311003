import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ConnectionWatch } from '../src/watch.ts';

let done: string[];
let watch: ConnectionWatch;

beforeEach(() => {
  vi.useFakeTimers();
  done = [];
  watch = new ConnectionWatch({ restartIce: () => done.push('restart'), renew: () => done.push('renew') }, { patience: 1000, restart: 6000 });
});

afterEach(() => vi.useRealTimers());

test('a short loss of the path is waited for', () => {
  watch.update('connected', 'connected');
  watch.update('disconnected', 'disconnected');
  vi.advanceTimersByTime(900);
  watch.update('connected', 'connected');
  vi.advanceTimersByTime(60_000);
  expect(done).toEqual([]);
});

test('a longer one restarts ICE, once', () => {
  watch.update('disconnected', 'disconnected');
  vi.advanceTimersByTime(1000);
  watch.update('failed', 'failed');
  vi.advanceTimersByTime(60_000);
  expect(done).toEqual(['restart']);
});

test('a restart that leads nowhere is followed by a new connection', () => {
  watch.update('failed', 'failed');
  watch.answered();
  vi.advanceTimersByTime(5999);
  expect(done).toEqual(['restart']);
  vi.advanceTimersByTime(1);
  expect(done).toEqual(['restart', 'renew']);
});

test('a restart that succeeds is the end of it, and the next loss begins anew', () => {
  watch.update('failed', 'failed');
  watch.answered();
  watch.update('connected', 'connected');
  vi.advanceTimersByTime(60_000);
  watch.update('failed', 'failed');
  expect(done).toEqual(['restart', 'restart']);
});

test('the old path coming back before the answer does not lead to a new connection', () => {
  watch.update('failed', 'failed');
  watch.update('connected', 'connected');
  watch.answered();
  vi.advanceTimersByTime(60_000);
  expect(done).toEqual(['restart']);
});

test('a restart waits for its answer as long as signaling is away', () => {
  watch.update('failed', 'failed');
  vi.advanceTimersByTime(600_000);
  expect(done).toEqual(['restart']);
});

test('a failed handshake needs a new connection at once', () => {
  watch.update('failed', 'connected');
  expect(done).toEqual(['renew']);
});

test('a server that hears nothing makes ICE restart although the browser sees no loss', () => {
  watch.update('connected', 'connected');
  watch.unheard();
  watch.unheard();
  expect(done).toEqual(['restart']);
});

test('a stopped watch does nothing', () => {
  watch.update('disconnected', 'disconnected');
  watch.stop();
  vi.advanceTimersByTime(60_000);
  expect(done).toEqual([]);
});
