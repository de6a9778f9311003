import { Emitter } from '@althing/sdk';
import type { Call, CallEvents, DataOptions, MemberInfo } from '@althing/sdk';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Witness } from '../src/lib/witness.svelte.ts';

/** As much of a call as there is to hear and to say. */
class Heard extends Emitter<CallEvents> {
  readonly sent: [string, DataOptions][] = [];

  hear<K extends keyof CallEvents>(name: K, value: CallEvents[K]): void {
    this.emit(name, value);
  }

  async sendData(payload: string, options: DataOptions): Promise<void> {
    this.sent.push([payload, options]);
  }
}

let call: Heard;
let witness: Witness;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  call = new Heard();
  witness = new Witness();
  told = [];
  witness.follow(call as unknown as Call, (member, what) => told.push(`${member} ${what}`));
});
afterEach(() => vi.useRealTimers());

const says = (from: string, payload: string, topic = 'althing.recording') => call.hear('data', { from, topic, payload });
const known = () => [...witness.by].map(([member, { what }]) => `${member} ${what}`);

test('who records is known and told once, however often it is said, until it is over', () => {
  says('ben', '{"recording":"call"}');
  says('ben', '{"recording":"call"}');
  expect([known(), told]).toEqual([['ben call'], ['ben call']]);
  says('ben', '{"recording":"audio"}');
  expect([known(), told]).toEqual([['ben audio'], ['ben call', 'ben audio']]);
  says('ben', '{"recording":null}');
  expect(known()).toEqual([]);
});

test('whoever says it no longer, or has gone, is forgotten', () => {
  says('ben', '{"recording":"call"}');
  says('cleo', '{"recording":"screen"}');
  call.hear('memberLeft', { member: { member: 'cleo' } as MemberInfo, reason: 'left' });
  expect(known()).toEqual(['ben call']);
  vi.advanceTimersByTime(15_000);
  says('ben', '{"recording":"call"}');
  vi.advanceTimersByTime(15_000);
  expect(known()).toEqual(['ben call']);
  vi.advanceTimersByTime(15_000);
  expect(known()).toEqual([]);
  expect(told).toEqual(['ben call', 'cleo screen']);
});

test('what is something else, or nonsense, is nothing', () => {
  says('ben', '{"recording":"call"}', 'game');
  for (const payload of ['', 'null', '[]', '7', '{"recording":"everything"}', '{"recording":{}}', '{']) says('ben', payload);
  call.hear('data', { from: 'ben', topic: 'althing.recording', payload: new Uint8Array([1]) });
  expect([known(), told]).toEqual([[], []]);
});

test('what is said is what is heard', async () => {
  await witness.say(call as unknown as Call, 'audio', ['ben']);
  await witness.say(call as unknown as Call, undefined);
  expect(call.sent).toEqual([
    ['{"recording":"audio"}', { topic: 'althing.recording', to: ['ben'] }],
    ['{"recording":null}', { topic: 'althing.recording', to: [] }],
  ]);
});
