import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Library } from '../src/library.ts';

let close = () => {};
afterEach(() => close());

interface Asked {
  method: string | undefined;
  url: string | undefined;
  token: string | undefined;
  body: string;
}

/** A server that answers everything alike, and what it was asked. */
async function answering(status: number, body: unknown, type = 'application/json') {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let text = '';
    request.on('data', (part) => (text += String(part)));
    request.on('end', () => {
      asked.push({ method: request.method, url: request.url, token: request.headers.authorization, body: text });
      response.writeHead(status, { 'content-type': type });
      response.end(status === 204 ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => void server.close();
  return { asked, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('each request names its room and carries its token', async () => {
  const { asked, origin } = await answering(200, { items: [] });
  const library = new Library({ origin, room: 'hall', token: 'a.b.c' });
  await library.list();
  await library.list({ after: 'x y', limit: 20, kind: 'audio' });
  await library.get('one/two');
  await library.rename('one', 'A title');
  await library.share('one', 3600);
  await library.mixDown('one', 'mp4');
  await library.mixdowns('one');
  await library.unmix('one', 'mp4');
  expect(asked.map(({ method, url, body }) => `${method} ${url} ${body}`.trim())).toEqual([
    'GET /api/v1/library?room=hall',
    'GET /api/v1/library?room=hall&after=x+y&limit=20&kind=audio',
    'GET /api/v1/library/one%2Ftwo?room=hall',
    'PATCH /api/v1/library/one?room=hall {"title":"A title"}',
    'POST /api/v1/library/one/share?room=hall {"seconds":3600}',
    'POST /api/v1/library/one/mixdown?room=hall {"film":"mp4"}',
    'GET /api/v1/library/one/mixdown?room=hall',
    'DELETE /api/v1/library/one/mixdown?room=hall&film=mp4',
  ]);
  expect(new Set(asked.map(({ token }) => token))).toEqual(new Set(['Bearer a.b.c']));
});

test('what was deleted has no answer', async () => {
  const { asked, origin } = await answering(204, undefined);
  expect(await new Library({ origin, room: 'hall' }).delete('one')).toBeUndefined();
  expect(asked).toEqual([{ method: 'DELETE', url: '/api/v1/library/one?room=hall', token: undefined, body: '' }]);
});

test('an address that was signed is told neither room nor token', async () => {
  const { asked, origin } = await answering(200, []);
  const library = new Library({ origin, room: 'hall', token: 'secret' });
  await library.shared('one', { expires: '17', signature: 'ab' });
  await library.chat('/api/v1/library/one/chat?expires=1&signature=c');
  expect(asked.map(({ url, token }) => [url, token])).toEqual([
    ['/api/v1/library/shared/one?expires=17&signature=ab', undefined],
    ['/api/v1/library/one/chat?expires=1&signature=c', undefined],
  ]);
});

test('no other server is asked, whatever an item says', async () => {
  const { asked, origin } = await answering(200, []);
  const library = new Library({ origin, room: 'hall', token: 'secret' });
  await expect(library.chat('https://elsewhere.example/chat')).rejects.toMatchObject({ code: 'foreign' });
  await expect(library.chat('//elsewhere.example/chat')).rejects.toMatchObject({ code: 'foreign' });
  expect(asked).toEqual([]);
});

test('a refusal says its status, its code and its words', async () => {
  const { origin } = await answering(403, { type: 'about:blank', title: 'Forbidden', status: 403, code: 'forbidden', detail: 'the token lacks the grant' }, 'application/problem+json');
  await expect(new Library({ origin, room: 'hall' }).list()).rejects.toMatchObject({ status: 403, code: 'forbidden', message: 'the token lacks the grant' });
});

test('what is not of a library is told as such', async () => {
  const page = await answering(200, '<!doctype html>', 'text/html');
  await expect(new Library({ origin: page.origin }).list()).rejects.toMatchObject({ status: 200, code: 'protocol' });
  close();
  const proxy = await answering(502, 'bad gateway', 'text/plain');
  await expect(new Library({ origin: proxy.origin }).list()).rejects.toMatchObject({ status: 502, code: '', message: 'Bad Gateway' });
  close();
  await expect(new Library({ origin: 'http://127.0.0.1:9' }).list()).rejects.toMatchObject({ status: 0, code: 'connection_lost' });
});
