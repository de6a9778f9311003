import type { Call } from '@althing/sdk';
import { beforeEach, expect, test } from 'vitest';
import { Draft } from '../src/lib/draft.svelte.ts';

/** As much of a call as lines are said to. */
class Room {
  readonly asked: string[] = [];
  answer: (error?: Error) => void = () => undefined;

  say(text: string): Promise<void> {
    this.asked.push(text);
    return new Promise((resolve, reject) => (this.answer = (error) => (error ? reject(error) : resolve())));
  }

  async answers(error?: Error): Promise<void> {
    this.answer(error);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

let room: Room;
let draft: Draft;

beforeEach(() => {
  room = new Room();
  draft = new Draft();
  draft.follow(room as unknown as Call);
});

function send(text: string): Promise<unknown> {
  draft.text = text;
  return draft.send().catch((error: unknown) => error);
}

const waiting = () => draft.waiting.map(({ text }) => text);

test('lines that are written faster than the server takes them are said one after the other, in their order', async () => {
  const all = Promise.all(['one', ' two ', '  ', 'three'].map(send));
  expect(room.asked).toEqual(['one']);
  expect(waiting()).toEqual(['one', 'two', 'three']);
  await room.answers();
  expect(room.asked).toEqual(['one', 'two']);
  await room.answers();
  await room.answers();
  expect(room.asked).toEqual(['one', 'two', 'three']);
  expect(waiting()).toEqual([]);
  await all;
});

test('what is refused, and what waits behind it, stands in the entry again, before what has been written since', async () => {
  const first = send('one');
  void send('two');
  draft.text = 'thr';
  const refusal = new Error('no');
  await room.answers(refusal);
  expect(await first).toBe(refusal);
  expect(draft.text).toBe('one\ntwo\nthr');
  expect(waiting()).toEqual([]);
  void send('again');
  expect(room.asked).toEqual(['one', 'again']);
});

test('as many lines wait as may, and the next one stays where it was written', () => {
  for (let line = 1; line <= 16; line++) void send(`${line}`);
  expect(draft.takesMore).toBe(false);
  void send('17');
  expect(draft.text).toBe('17');
  expect(waiting()).toHaveLength(16);
});

test.each([['taken', undefined], ['refused', new Error('no')]])('nothing of one call is said, or stands, in the next one, when what was said in it is %s', async (_, answer) => {
  const first = send('one');
  void send('two');
  draft.text = 'thr';
  const next = new Room();
  draft.follow(next as unknown as Call);
  expect([draft.text, waiting()]).toEqual(['', []]);
  void send('three');
  await room.answers(answer);
  expect(await first).toBeUndefined();
  expect([draft.text, room.asked, next.asked, waiting()]).toEqual(['', ['one'], ['three'], ['three']]);
  await next.answers();
  expect(waiting()).toEqual([]);
});
