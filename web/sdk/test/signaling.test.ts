import { afterEach, beforeEach, expect, test } from 'vitest';
import { Signaling } from '../src/signaling.ts';
import type { SignalingState } from '../src/signaling.ts';
import type { Event } from '../src/wire.ts';
import { answerOf, joined, Server, webSocket } from './server.ts';

let server: Server;
let open: Signaling[];

beforeEach(async () => {
  server = await Server.start();
  open = [];
});

afterEach(async () => {
  for (const signaling of open) signaling.leaveNow();
  await server.stop();
});

function start(more = {}): Signaling {
  const signaling = new Signaling({ url: server.url, webSocket, requestTimeoutMs: 500, pingTimeoutMs: 100, backoff: { first: 10, most: 40 }, ...more });
  open.push(signaling);
  return signaling;
}

function reaches(signaling: Signaling, wanted: SignalingState): Promise<void> {
  return new Promise((resolve) => {
    if (signaling.state === wanted) return resolve();
    const off = signaling.on('state', (state) => {
      if (state !== wanted) return;
      off();
      resolve();
    });
  });
}

const join = { room: 'hall', name: 'Me' };
const somebody: Event = { type: 'speakers', members: ['somebody'] };

test('joining says hello first, asks for the subprotocol, and returns the room', async () => {
  const signaling = start();
  expect((await signaling.join(join)).room).toBe('hall');
  expect(server.types()).toEqual(['hello', 'join']);
  expect(server.subprotocol).toBe('althing.v1');
  expect(signaling.welcome?.features.development).toBe(true);
});

test('a refused join ends the session with the code of the server', async () => {
  server.reply = (request) => (request.type === 'join' ? { error: 'token_expired' } : answerOf(request));
  const signaling = start();
  await expect(signaling.join(join)).rejects.toMatchObject({ code: 'token_expired' });
  expect(signaling.state).toBe('closed');
});

test('a server that is not there is told as a lost connection', async () => {
  const signaling = start({ url: 'ws://127.0.0.1:1/ws' });
  await expect(signaling.join(join)).rejects.toMatchObject({ code: 'connection_lost', retryable: true });
});

test('answers find their requests in whatever order they come', async () => {
  const signaling = start();
  await signaling.join(join);
  server.reply = () => 'silence';
  const first = signaling.request({ type: 'ping' });
  const second = signaling.request({ type: 'chat', text: 'hi' });
  await expect.poll(() => server.types().length).toBe(4);
  server.socket?.send(JSON.stringify({ type: 'ok', id: 4, result: { of: 'said', number: 7, at: 1 } }));
  server.socket?.send(JSON.stringify({ type: 'error', id: 3, code: 'rate_limited', message: 'slower', retryable: true }));
  expect(await second).toMatchObject({ number: 7 });
  await expect(first).rejects.toMatchObject({ code: 'rate_limited', retryable: true });
});

test('a request without an answer fails in time', async () => {
  server.reply = (request) => (request.type === 'chat' ? 'silence' : answerOf(request));
  const signaling = start();
  await signaling.join(join);
  await expect(signaling.request({ type: 'chat', text: 'hi' }, 50)).rejects.toMatchObject({ code: 'timeout' });
});

test('events that arrive with the answer to join are told after it', async () => {
  const order: string[] = [];
  const signaling = start();
  signaling.on('joined', () => order.push('joined'));
  signaling.on('event', (event) => order.push(event.type));
  server.reply = (request) => {
    if (request.type === 'join') server.say(1, somebody);
    return answerOf(request);
  };
  await signaling.join(join);
  await expect.poll(() => order).toEqual(['joined', 'speakers']);
});

test('a cut socket is replaced and the session resumed from the last event', async () => {
  const signaling = start();
  await signaling.join(join);
  server.say(1, somebody);
  await expect.poll(() => signaling.counters.seq).toBe(1);
  server.reply = (request) => (request.type === 'resume' ? { result: joined({ seq: 5 }) } : answerOf(request));
  server.cut();
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  expect(server.heard.at(-1)).toEqual({ type: 'resume', resume: 'secret', seq: 1 });
  expect(signaling.counters).toEqual({ seq: 5, resumptions: 1 });
});

test('a request that was under way when the socket was cut is asked again and answered once', async () => {
  const signaling = start();
  await signaling.join(join);
  server.reply = (request) => (request.type === 'chat' ? 'silence' : answerOf(request));
  const said = signaling.request({ type: 'chat', text: 'hi', key: 'k' });
  await expect.poll(() => server.types().at(-1)).toBe('chat');
  server.reply = (request) => (request.type === 'chat' ? { result: { of: 'said', number: 1, at: 1 } } : answerOf(request));
  server.cut();
  expect(await said).toMatchObject({ number: 1 });
  expect(server.types().slice(-3)).toEqual(['hello', 'resume', 'chat']);
});

test('a request made while the socket is away waits for the next', async () => {
  const signaling = start();
  await signaling.join(join);
  server.cut();
  await reaches(signaling, 'reconnecting');
  await signaling.request({ type: 'lock', locked: true });
  expect(server.types().at(-1)).toBe('lock');
});

test('a session that has expired is joined anew, and what waited for it fails', async () => {
  const signaling = start();
  await signaling.join(join);
  const resumed: boolean[] = [];
  signaling.on('joined', (event) => resumed.push(event.resumed));
  server.reply = (request) => {
    if (request.type === 'chat') return 'silence';
    return request.type === 'resume' ? { error: 'resume_unknown' } : answerOf(request);
  };
  const said = signaling.request({ type: 'chat', text: 'hi' });
  const failed = expect(said).rejects.toMatchObject({ code: 'session_lost' });
  await expect.poll(() => server.types().at(-1)).toBe('chat');
  server.cut();
  await failed;
  await reaches(signaling, 'open');
  expect(resumed).toEqual([false]);
  expect(server.types().slice(-3)).toEqual(['hello', 'resume', 'join']);
});

test('a token is asked for each time that the room is entered: it may have expired meanwhile', async () => {
  const signaling = start();
  let number = 0;
  await signaling.join({ ...join, token: () => Promise.resolve(`token ${(number += 1)}`) });
  server.reply = (request) => (request.type === 'resume' ? { error: 'resume_unknown' } : answerOf(request));
  server.cut();
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  const tokens = server.heard.flatMap((request) => (request.type === 'join' ? [request.token] : []));
  expect(tokens).toEqual(['token 1', 'token 2']);
});

test('a direct call goes on while the server refuses: why is told once for each reason, and no longer when it lets this end in or is away again', async () => {
  const signaling = start();
  const told: (string | undefined)[] = [];
  signaling.on('refused', (refusal) => told.push(refusal?.code));
  await signaling.join(join);
  signaling.held = 'c1';
  const refuse = (error: string) => {
    server.reply = (request) => (request.type === 'resume' ? { error: 'resume_unknown' } : request.type === 'join' ? { error } : answerOf(request));
  };
  refuse('token_missing');
  server.cut();
  await reaches(signaling, 'reconnecting');
  expect(signaling.refusal, 'nothing is known yet').toBeUndefined();
  await expect.poll(() => server.types().filter((type) => type === 'join').length).toBeGreaterThan(4);
  expect(signaling.refusal).toMatchObject({ code: 'token_missing' });
  expect(told).toEqual(['token_missing']);
  refuse('token_expired');
  await expect.poll(() => told).toEqual(['token_missing', 'token_expired']);
  const port = server.port;
  await server.stop();
  await expect.poll(() => told).toEqual(['token_missing', 'token_expired', undefined]);
  expect(signaling.refusal).toBeUndefined();
  server = await Server.start(port);
  refuse('token_invalid');
  await expect.poll(() => told.at(-1)).toBe('token_invalid');
  server.reply = answerOf;
  await reaches(signaling, 'open');
  expect(signaling.refusal).toBeUndefined();
  expect(told).toEqual(['token_missing', 'token_expired', undefined, 'token_invalid', undefined]);
});

test('a refusal that may pass is told, and one that may not ends a session that needs the server', async () => {
  const signaling = start();
  await signaling.join(join);
  server.reply = (request) => (request.type === 'resume' ? { error: 'full', retryable: true } : answerOf(request));
  server.cut();
  await expect.poll(() => signaling.refusal?.code).toBe('full');
  expect(signaling.state).toBe('reconnecting');
  server.reply = (request) => (request.type === 'resume' ? { error: 'token_missing' } : answerOf(request));
  await reaches(signaling, 'closed');
});

test('coming back survives a server that refuses connections for a while', async () => {
  const signaling = start();
  await signaling.join(join);
  const { port } = server;
  await server.stop();
  await reaches(signaling, 'reconnecting');
  await new Promise((resolve) => setTimeout(resolve, 100));
  server = await Server.start(port);
  await reaches(signaling, 'open');
  expect(server.types()).toEqual(['hello', 'resume']);
});

test('an event is told once, and a gap makes the client ask for the whole room', async () => {
  const told: Event[] = [];
  const signaling = start();
  signaling.on('event', (event) => told.push(event));
  await signaling.join(join);
  server.say(1, somebody);
  server.say(1, somebody);
  server.say(2, { type: 'locked', locked: true });
  await expect.poll(() => told.length).toBe(2);
  server.say(9, somebody);
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  expect(server.types().at(-1)).toBe('resume');
  expect(told.length).toBe(2);
});

test('a link that no longer answers pings is replaced', async () => {
  server.reply = (request) => (request.type === 'ping' ? 'silence' : answerOf(request));
  const signaling = start();
  await signaling.join(join);
  signaling.probe();
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  expect(server.sockets).toBe(2);
});

test('a bye for good ends the session, a bye of a restarting server does not', async () => {
  const signaling = start();
  await signaling.join(join);
  server.say(1, { type: 'bye', reason: 'shutting_down' });
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  const ended = signaling.once('closed');
  server.say(1, { type: 'bye', reason: 'kicked' });
  expect(await ended).toMatchObject({ code: 'kicked' });
  await expect(signaling.request({ type: 'ping' })).rejects.toMatchObject({ code: 'closed' });
});

test('the session of a tab whose place another one has taken ends, and does not take it back', async () => {
  const signaling = start();
  await signaling.join(join);
  const ended = signaling.once('closed');
  server.say(1, { type: 'bye', reason: 'replaced' });
  expect(await ended).toMatchObject({ code: 'closed', message: 'replaced' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([signaling.state, server.sockets]).toEqual(['closed', 1]);
});

test('whoever comes back to a server that is about to end tries again until there is another', async () => {
  const signaling = start();
  await signaling.join(join);
  let refused = 0;
  server.reply = (request) => {
    if (request.type === 'resume') return { error: 'resume_unknown' };
    if (request.type === 'join' && ++refused <= 2) return { error: 'draining', retryable: true };
    return answerOf(request);
  };
  server.cut();
  await reaches(signaling, 'reconnecting');
  await reaches(signaling, 'open');
  expect(refused).toBe(3);
});

test('beginning anew leaves and joins without resuming', async () => {
  const signaling = start();
  await signaling.join(join);
  await signaling.beginAnew();
  await reaches(signaling, 'open');
  expect(server.types()).toEqual(['hello', 'join', 'leave', 'hello', 'join']);
});

test('leaving says so, and opens no further socket', async () => {
  const signaling = start();
  await signaling.join(join);
  await signaling.leave();
  expect(server.types().at(-1)).toBe('leave');
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(server.sockets).toBe(1);
  expect(signaling.state).toBe('closed');
});

test('whoever leaves while a socket is being opened is not in the room once it is', async () => {
  const signaling = start();
  await signaling.join(join);
  let open!: () => void;
  server.gate = new Promise<void>((resolve) => (open = resolve));
  server.cut();
  await reaches(signaling, 'reconnecting');
  await new Promise((resolve) => setTimeout(resolve, 60));
  await signaling.leave();
  open();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.types()).toEqual(['hello', 'join']);

  server.gate = new Promise<void>((resolve) => (open = resolve));
  const second = start();
  const refused = expect(second.join(join)).rejects.toMatchObject({ code: 'closed' });
  await new Promise((resolve) => setTimeout(resolve, 60));
  second.leaveNow();
  open();
  await refused;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.types()).toEqual(['hello', 'join']);
});
