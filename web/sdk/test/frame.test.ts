import { expect, test } from 'vitest';
import { importSecret, openBytes, Opener, OVERHEAD, Sealer } from '../src/e2ee/frame.ts';

const bytes = (length: number, seed = 1) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed) & 0xff);
const secret = (seed: number) => importSecret(bytes(16, seed));

async function opener(seed: number, ...members: string[]): Promise<Opener> {
  const opener = new Opener(await secret(seed));
  opener.follow(members);
  return opener;
}

test.each([
  ['video', true, 10],
  ['video', false, 3],
  ['audio', false, 1],
] as const)('of a frame of %s (key frame: %s) %d bytes stay open, and the rest comes back', async (kind, isKey, open) => {
  expect(openBytes(kind, isKey)).toBe(open);
  const frame = bytes(500);
  const sealed = await new Sealer(await secret(1), 'ada').seal(frame, open);
  expect(sealed.length).toBe(frame.length + OVERHEAD);
  expect(sealed.slice(0, open)).toEqual(frame.slice(0, open));
  expect(sealed.slice(open, 30)).not.toEqual(frame.slice(open, 30));
  expect(await (await opener(1, 'ben', 'ada')).open(sealed)).toEqual({ is: 'open', member: 'ada', frame });
});

test('frames shorter than what stays open, and empty ones, come back as well', async () => {
  const [sealer, reader] = [new Sealer(await secret(1), 'ada'), await opener(1, 'ada')];
  for (const length of [0, 1, 2, 3, 9, 10, 11]) {
    const opened = await reader.open(await sealer.seal(bytes(length), 10));
    expect(opened).toEqual({ is: 'open', member: 'ada', frame: bytes(length) });
  }
});

test('with another secret nothing is read, and it is said of whom', async () => {
  const sealed = await new Sealer(await secret(1), 'ada').seal(bytes(100), 3);
  expect(await (await opener(2, 'ada')).open(sealed)).toEqual({ is: 'unreadable', member: 'ada' });
});

test('a frame of somebody who is not there, or that is not sealed, is nobody’s', async () => {
  const sealed = await new Sealer(await secret(1), 'mallory').seal(bytes(100), 3);
  const reader = await opener(1, 'ada');
  expect(await reader.open(sealed)).toEqual({ is: 'foreign' });
  for (const length of [0, 1, 33, 34, 35, 200]) expect(await reader.open(bytes(length))).toEqual({ is: 'foreign' });
});

test('no byte can be changed, not even of those that are open', async () => {
  const [sealer, reader] = [new Sealer(await secret(1), 'ada'), await opener(1, 'ada')];
  const sealed = await sealer.seal(bytes(20), 3);
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect((await reader.open(changed)).is, `byte ${at}`).not.toBe('open');
  }
  expect((await reader.open(sealed)).is).toBe('open');
});

test('nobody’s frame can be passed off as another one’s', async () => {
  const reader = await opener(1, 'ada', 'ben');
  const ada = await new Sealer(await secret(1), 'ada').seal(bytes(50), 3);
  const ben = await new Sealer(await secret(1), 'ben').seal(bytes(50), 3);
  // With Ben's short name in the trailer.
  const forged = ada.slice();
  forged.set(ben.slice(-6, -2), forged.length - 6);
  expect(await reader.open(forged)).toEqual({ is: 'unreadable', member: 'ben' });
});

test('two sessions of one member, and two frames of one session, never look alike', async () => {
  const shared = await secret(1);
  const [one, two] = [new Sealer(shared, 'ada'), new Sealer(shared, 'ada')];
  const frames = await Promise.all([one.seal(bytes(50), 3), one.seal(bytes(50), 3), two.seal(bytes(50), 3)]);
  expect(new Set(frames.map((frame) => frame.slice(3, 53).join())).size).toBe(3);
  const reader = await opener(1, 'ada');
  for (const frame of frames) expect((await reader.open(frame)).is).toBe('open');
});

// Three hundred keys are derived: some seconds on a busy machine.
test('however many sessions there were, few keys are held', { timeout: 60_000 }, async () => {
  const reader = await opener(1, 'ada');
  const shared = await secret(1);
  for (let session = 0; session < 300; session++) expect((await reader.open(await new Sealer(shared, 'ada').seal(bytes(20), 1))).is).toBe('open');
});
