import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lobby } from '../src/lobby.ts';
import type { Over, Ring, Talk } from '../src/lobby.ts';
import type { Event, Request } from '../src/wire.ts';
import { answerOf, Server, webSocket } from './server.ts';
import type { Reply } from './server.ts';

let server: Server;
let lobby: Lobby;
/** What the lobby has told, in order. */
let told: (['ringing', Ring] | ['accepted', Talk] | ['over', Over])[];
/** The number of the last event of this socket. */
let seq: number;

beforeEach(async () => {
  server = await Server.start();
  server.reply = answer;
  lobby = new Lobby({ url: server.url, webSocket, requestTimeoutMs: 500, pingTimeoutMs: 100, backoff: { first: 10, most: 40 } });
  told = [];
  seq = 0;
  lobby.on('ringing', (ring) => told.push(['ringing', ring]));
  lobby.on('accepted', (talk) => told.push(['accepted', talk]));
  lobby.on('over', (over) => told.push(['over', over]));
  await lobby.enter({ lobby: 'office', name: 'Me' });
});

afterEach(async () => {
  lobby.leaveNow();
  await server.stop();
});

function answer(request: Request): Reply {
  if (request.type === 'enter') seq = 0;
  return request.type === 'call' ? { result: { of: 'calling', call: 'c1', left_ms: 45_000 } } : answerOf(request);
}

function say(event: Event): void {
  server.say(++seq, event);
}

/** The last request is this one. */
function hears(request: Request): Promise<unknown> {
  return expect.poll(() => server.heard.at(-1)).toEqual(request);
}

const ringing = (call = 'c1', from = 'ben'): Event => ({ type: 'ringing', call, from, name: 'Ben', media: 'video', left_ms: 45_000 });
const accepted = (call = 'c1'): Event => ({ type: 'accepted', call, with: 'ben', name: 'Ben', media: 'video', room: 'call-1', token: 'a.b.c' });
const over = (reason: Extract<Event, { type: 'call_over' }>['reason'], call = 'c1'): Event => ({ type: 'call_over', call, reason });

test('whoever enters sees who is there, who comes, who is busy and who goes', async () => {
  expect(lobby.people.map(({ name }) => name)).toEqual(['Ben']);
  say({ type: 'person', person: { member: 'ada', name: 'Ada', busy: false } });
  say({ type: 'person', person: { member: 'ben', name: 'Ben', busy: true } });
  say({ type: 'person', person: { member: 'me', name: 'Me', busy: true } });
  await expect.poll(() => lobby.people.map(({ name, busy }) => `${name} ${busy}`)).toEqual(['Ada false', 'Ben true']);
  expect(lobby.me?.busy).toBe(true);
  say({ type: 'person_gone', member: 'ada' });
  await expect.poll(() => lobby.people.length).toBe(1);
});

test('a lobby that refuses is told with the code of the server', async () => {
  server.reply = (request) => (request.type === 'enter' ? { error: 'token_wrong_room' } : answer(request));
  const other = new Lobby({ url: server.url, webSocket });
  await expect(other.enter({ lobby: 'office', name: 'Me' })).rejects.toMatchObject({ code: 'token_wrong_room' });
  expect(other.status).toBe('closed');
});

test('a call rings at the other end until it is accepted, and then says where it is held', async () => {
  await lobby.call('ben', 'voice');
  expect(server.heard.at(-1)).toEqual({ type: 'call', to: 'ben', media: 'voice' });
  expect(lobby.ring).toEqual({ call: 'c1', member: 'ben', name: 'Ben', media: 'voice', incoming: false });
  say(accepted());
  const talk = { call: 'c1', member: 'ben', name: 'Ben', media: 'voice', room: 'call-1', token: 'a.b.c' };
  await expect.poll(() => told).toEqual([['accepted', talk]]);
  expect([lobby.ring, lobby.talk]).toEqual([undefined, talk]);
  lobby.hangUp();
  await hears({ type: 'hang_up', call: 'c1' });
  expect(lobby.talk).toBeUndefined();
});

test('whoever is let into a call anew has the new token', async () => {
  await lobby.call('ben', 'video');
  say(accepted());
  await expect.poll(() => told.length).toBe(1);
  say({ ...accepted(), token: 'd.e.f' } as Event);
  await expect.poll(() => lobby.talk?.token).toBe('d.e.f');
  expect(told.length).toBe(1);
});

test('a call that comes in is accepted with what this end wants to publish', async () => {
  say(ringing());
  await expect.poll(() => told.length).toBe(1);
  expect(lobby.ring).toEqual({ call: 'c1', member: 'ben', name: 'Ben', media: 'video', incoming: true });
  await lobby.accept('voice');
  await hears({ type: 'accept', call: 'c1' });
  say(accepted());
  await expect.poll(() => lobby.talk?.media).toBe('voice');
});

test('a call is rejected, and taken back', async () => {
  say(ringing());
  await expect.poll(() => lobby.ring?.incoming).toBe(true);
  lobby.cancel();
  lobby.reject();
  expect(lobby.ring).toBeUndefined();
  await hears({ type: 'reject', call: 'c1', reason: 'declined' });
  await lobby.call('ben', 'video');
  lobby.reject();
  lobby.cancel();
  await hears({ type: 'cancel', call: 'c1' });
  expect(lobby.ring).toBeUndefined();
});

test('why a call came to nothing is told, with whom it was and whether it had begun', async () => {
  await lobby.call('ben', 'video');
  say(over('rejected'));
  const of = { member: 'ben', name: 'Ben', incoming: false, talked: false };
  await expect.poll(() => told).toEqual([['over', { ...of, reason: 'rejected' }]]);
  say(ringing());
  say(over('cancelled'));
  await expect.poll(() => told.at(-1)).toEqual(['over', { ...of, incoming: true, reason: 'cancelled' }]);
  await lobby.call('ben', 'video');
  say(accepted());
  say(over('hung_up'));
  await expect.poll(() => told.at(-1)).toEqual(['over', { ...of, talked: true, reason: 'hung_up' }]);
  expect([lobby.ring, lobby.talk]).toEqual([undefined, undefined]);
});

test('whoever is busy is refused, and nothing rings', async () => {
  server.reply = (request) => (request.type === 'call' ? { error: 'busy', retryable: true } : answer(request));
  await expect(lobby.call('ben', 'video')).rejects.toMatchObject({ code: 'busy' });
  expect(lobby.ring).toBeUndefined();
});

test('a call taken back before the server has named it is cancelled as soon as it is named', async () => {
  const call = lobby.call('ben', 'video');
  lobby.cancel();
  await call;
  await hears({ type: 'cancel', call: 'c1' });
  expect(lobby.ring).toBeUndefined();
});

test('a call that is accepted at the moment at which it is taken back is hung up', async () => {
  await lobby.call('ben', 'video');
  lobby.cancel();
  say(accepted());
  await hears({ type: 'hang_up', call: 'c1' });
  expect(told).toEqual([]);
});

test('two who call each other are in one call, and nothing rings', async () => {
  server.reply = (request) => {
    if (request.type === 'call') say(ringing('c0'));
    return request.type === 'call' ? { result: { of: 'calling', call: 'c0', left_ms: 45_000 } } : answer(request);
  };
  await lobby.call('ben', 'voice');
  say(accepted('c0'));
  await expect.poll(() => told.map(([what]) => what)).toEqual(['accepted']);
  expect(lobby.talk?.media).toBe('voice');
});

test('somebody else who calls first is heard when the own call is refused for that', async () => {
  server.reply = (request) => {
    if (request.type === 'call') say(ringing('c9', 'cleo'));
    return request.type === 'call' ? { error: 'wrong_state' } : answer(request);
  };
  await expect(lobby.call('ben', 'voice')).rejects.toMatchObject({ code: 'wrong_state' });
  expect(lobby.ring).toMatchObject({ call: 'c9', member: 'cleo', incoming: true });
  expect(told.map(([what]) => what)).toEqual(['ringing']);
});

test('a lost socket is replaced, and the call that rings is taken up by its name', async () => {
  await lobby.call('ben', 'video');
  server.cut();
  await expect.poll(() => server.sockets).toBe(2);
  await hears({ type: 'enter', lobby: 'office', name: 'Me', me: 'me', call: 'c1' });
  await expect.poll(() => lobby.status).toBe('open');
  say(accepted());
  await expect.poll(() => lobby.talk?.call).toBe('c1');
  server.cut();
  await expect.poll(() => server.sockets).toBe(3);
  await hears({ type: 'enter', lobby: 'office', name: 'Me', me: 'me', call: 'c1' });
  await expect.poll(() => lobby.status).toBe('open');
  say(accepted());
  say(over('hung_up'));
  await expect.poll(() => told.map(([what]) => what)).toEqual(['accepted', 'over']);
  expect(server.types(), 'being let in once more ends nothing').not.toContain('hang_up');
});

test('an acceptance that was under way when the socket was cut is said again', async () => {
  say(ringing());
  await expect.poll(() => lobby.ring?.incoming).toBe(true);
  server.reply = (request) => (request.type === 'accept' ? 'silence' : answer(request));
  const accept = lobby.accept();
  await hears({ type: 'accept', call: 'c1' });
  server.reply = answer;
  server.cut();
  await accept;
  expect(server.types().slice(-3)).toEqual(['hello', 'enter', 'accept']);
});

test('the ring of a call that rings already is not begun anew when the socket is replaced', async () => {
  say(ringing());
  await expect.poll(() => told.length).toBe(1);
  server.cut();
  await expect.poll(() => server.sockets).toBe(2);
  await expect.poll(() => lobby.status).toBe('open');
  say(ringing());
  say({ type: 'person', person: { member: 'ada', name: 'Ada', busy: false } });
  await expect.poll(() => lobby.people.length).toBe(2);
  expect(told.length).toBe(1);
  expect(lobby.ring?.call).toBe('c1');
});

test('a call of which a server started anew knows nothing goes on, and others hear that this end is busy', async () => {
  await lobby.call('ben', 'video');
  say(accepted());
  await expect.poll(() => lobby.talk?.call).toBe('c1');
  say(over('unknown'));
  say(ringing('c7', 'cleo'));
  await hears({ type: 'reject', call: 'c7', reason: 'busy' });
  expect(lobby.talk?.call).toBe('c1');
  expect(told.map(([what]) => what)).toEqual(['accepted']);
});

test('a ring that the server forgets is over', async () => {
  say(ringing());
  await expect.poll(() => lobby.ring?.call).toBe('c1');
  say(over('unknown'));
  await expect.poll(() => told.at(-1)?.[0]).toBe('over');
  expect(lobby.ring).toBeUndefined();
});

test('a ring is accepted too late', async () => {
  say(ringing());
  await expect.poll(() => lobby.ring?.call).toBe('c1');
  server.reply = (request) => (request.type === 'accept' ? { error: 'not_found' } : answer(request));
  await lobby.accept();
  expect(told.at(-1)).toEqual(['over', { member: 'ben', name: 'Ben', incoming: true, talked: false, reason: 'gone' }]);
  expect(lobby.ring).toBeUndefined();
});

test('whoever is removed is out, and nobody is shown any more', async () => {
  const ended = lobby.once('ended');
  say({ type: 'bye', reason: 'kicked' });
  expect(await ended).toMatchObject({ code: 'kicked' });
  expect([lobby.status, lobby.people.length]).toEqual(['closed', 0]);
});

test('an expired token ends the presence when the socket is lost', async () => {
  server.reply = (request) => (request.type === 'enter' ? { error: 'token_expired' } : answer(request));
  const ended = lobby.once('ended');
  server.cut();
  expect(await ended).toMatchObject({ code: 'token_expired' });
});

test('why a server that is back refuses for now is told, until it lets this end in', async () => {
  let changes = 0;
  lobby.on('change', () => (changes += 1));
  server.reply = (request) => (request.type === 'enter' ? { error: 'draining', retryable: true } : answer(request));
  server.cut();
  await expect.poll(() => lobby.refusal?.code).toBe('draining');
  expect(lobby.status).toBe('reconnecting');
  const before = changes;
  server.reply = answer;
  await expect.poll(() => lobby.status).toBe('open');
  expect(lobby.refusal).toBeUndefined();
  expect(changes).toBeGreaterThan(before);
});

test('leaving says so', async () => {
  await lobby.leave();
  expect(server.types().at(-1)).toBe('leave');
  expect(lobby.status).toBe('closed');
});
