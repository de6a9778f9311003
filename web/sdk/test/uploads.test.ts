import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Backoff } from '../src/backoff.ts';
import { forgetUpload, upload } from '../src/uploads.ts';
import { Tus } from './tus.ts';

let tus: Tus;
beforeEach(async () => void (tus = await Tus.start()));
afterEach(() => tus.stop());

const bytes = randomBytes(250_000);
const file = new Blob([bytes]);
const options = () => ({ url: tus.url, chunk: 64 * 1024, backoff: new Backoff({ first: 2, most: 5 }) });

test('a file arrives whole, in chunks, with what is said of it and its progress', async () => {
  const seen: number[] = [];
  const item = await upload(file, { ...options(), metadata: { room: 'hall', title: '通话' }, onprogress: (sent) => seen.push(sent) });
  expect(item).toBe('it-1');
  expect(tus.only.bytes.equals(bytes)).toBe(true);
  expect(tus.only.metadata).toBe(`room aGFsbA==,title ${Buffer.from('通话').toString('base64')}`);
  expect(seen).toEqual([0, 65_536, 131_072, 196_608, 250_000]);
  expect(tus.requests).toEqual(['POST', 'PATCH', 'PATCH', 'PATCH', 'PATCH']);
});

test('what is cut goes on from where the server is', async () => {
  tus.cut = (chunk) => (chunk === 1 ? 10_000 : undefined);
  await upload(file, options());
  expect(tus.only.bytes.equals(bytes)).toBe(true);
  expect(tus.requests).toContain('HEAD');
});

test('a chunk whose answer was lost is not sent twice', async () => {
  tus.loses = (chunk) => chunk === 2;
  await upload(file, options());
  expect(tus.only.bytes.equals(bytes)).toBe(true);
});

test('a last answer that was lost is asked for', async () => {
  tus.loses = (chunk) => chunk === 3;
  expect(await upload(file, options())).toBe('it-1');
  expect(tus.only.bytes.equals(bytes)).toBe(true);
});

test('after a reload it goes on at its address', async () => {
  const [ending, places] = [new AbortController(), [] as string[]];
  const first = upload(file, { ...options(), signal: ending.signal, onlocation: (place) => places.push(place), onprogress: (sent) => sent > 100_000 && ending.abort() });
  await expect(first).rejects.toThrow();
  const had = tus.only.bytes.length;
  expect(had).toBeGreaterThan(100_000);
  expect(had).toBeLessThan(bytes.length);
  tus.requests.length = 0;
  await upload(file, { ...options(), location: places[0] });
  expect(tus.only.bytes.equals(bytes)).toBe(true);
  expect(tus.requests).toEqual(['HEAD', 'PATCH', 'PATCH']);
});

test('one that the server has forgotten is begun anew', async () => {
  expect(await upload(file, { ...options(), location: `${tus.url}/99` })).toBe('it-1');
  expect(tus.requests.slice(0, 2)).toEqual(['HEAD', 'POST']);
  expect(tus.only.bytes.equals(bytes)).toBe(true);
});

test('what is refused is said in the words of the server, and not tried again', async () => {
  tus.refuse = () => ({ status: 413, body: { title: 'Too large', detail: 'a file has at most 1 MiB' } });
  await expect(upload(file, options())).rejects.toMatchObject({ code: 'upload_refused', message: 'a file has at most 1 MiB', retryable: false, cause: { status: 413 } });
  expect(tus.requests).toEqual(['POST']);
});

test('where there is no room, it is not tried again', async () => {
  tus.refuse = () => ({ status: 507, body: { title: 'No room' } });
  await expect(upload(file, options())).rejects.toMatchObject({ code: 'upload_refused', message: 'No room' });
  expect(tus.requests).toEqual(['POST']);
});

test('a token that is not right is refused, the right one is taken', async () => {
  tus.token = 'secret';
  await expect(upload(file, { ...options(), token: 'other' })).rejects.toMatchObject({ code: 'upload_refused', message: 'no token' });
  expect(await upload(file, { ...options(), token: 'secret' })).toBe('it-1');
});

test('a server that fails is asked again, but not for ever', async () => {
  let failures = 3;
  tus.refuse = () => (failures-- > 0 ? { status: 503 } : undefined);
  await upload(file, options());
  expect(tus.only.bytes.equals(bytes)).toBe(true);
  tus.refuse = () => ({ status: 503 });
  await expect(upload(file, { ...options(), attempts: 4 })).rejects.toMatchObject({ code: 'upload_failed' });
});

test('a server that loses every upload comes to an end, too', async () => {
  tus.refuse = (request) => (request.method === 'PATCH' ? (tus.uploads.clear(), { status: 404 }) : undefined);
  await expect(upload(file, { ...options(), attempts: 3 })).rejects.toMatchObject({ code: 'upload_failed' });
});

test('the token goes to no other server', async () => {
  const elsewhere = await Tus.start();
  try {
    tus.refuse = () => ({ status: 201, location: `${elsewhere.url}/1` });
    await expect(upload(file, { ...options(), token: 'secret' })).rejects.toMatchObject({ code: 'protocol' });
    expect(elsewhere.requests).toEqual([]);
  } finally {
    elsewhere.stop();
  }
});

test('an upload is taken back', async () => {
  const ending = new AbortController();
  let place = '';
  await expect(upload(file, { ...options(), signal: ending.signal, onlocation: (location) => (place = location), onprogress: (sent) => sent > 0 && ending.abort() })).rejects.toThrow();
  await forgetUpload(place, undefined);
  expect(tus.uploads.size).toBe(0);
});
