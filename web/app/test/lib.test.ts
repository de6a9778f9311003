import { AlthingError } from '@althing/sdk';
import type { CallEnd } from '@althing/sdk';
import { expect, test } from 'vitest';
import { inviteLink, isRoomName, lobbyAddress, lobbyLink, randomRoom, readAddress, roomAddress, socketAddress } from '../src/lib/address.ts';
import { isBeside } from '../src/lib/beside.ts';
import { arrange } from '../src/lib/layout.ts';
import { hue, initials } from '../src/lib/people.ts';
import { overwriteGetLocale } from '../src/paraglide/runtime.js';
import { actionOf } from '../src/lib/shortcuts.ts';
import { callProblem, callResult, endReason, joinProblem, qualityHint, recordingProblem, refusal, refusedBack, unseenByServer } from '../src/lib/wording.ts';

test.each([
  ['http://a/r/hall', 'hall', undefined],
  ['http://a/r/hall?receive=', 'hall', undefined],
  ['http://a/r/hall?receive=cinepak', 'hall', undefined],
  ['http://a/r/hall/#token=abc', 'hall', 'abc'],
  ['http://a/?room=hall&token=abc', 'hall', 'abc'],
  ['http://a/r/a%2Eb?token=x#token=y', 'a.b', 'y'],
  ['http://a/r/%E0%A4%A', '', undefined],
  ['http://a/', '', undefined],
  ['http://a/r/hall#token=', 'hall', undefined],
])('%s names room %j and token %j', (href, room, token) => {
  expect(readAddress(href)).toEqual({ room, lobby: '', token, secret: undefined, receive: undefined, data: false });
});

test('the own address finds its way back after a reload, the invitation has no token', () => {
  const address = { token: 'a.b/c=', secret: 'k_-2', receive: undefined, data: true };
  expect(readAddress(`https://a${roomAddress('hall', address)}`)).toEqual({ room: 'hall', lobby: '', ...address });
  expect(inviteLink('https://a', 'hall')).toBe('https://a/r/hall');
  expect(inviteLink('https://a', 'hall', 'k_-2')).toBe('https://a/r/hall#key=k_-2');
});

test('a lobby is named by the address, which finds its way back after a reload; the link to it has no token', () => {
  for (const address of [
    { token: 'a.b/c=', receive: undefined, data: false },
    { token: undefined, receive: ['vp8' as const], data: true },
  ]) {
    expect(readAddress(`https://a${lobbyAddress('office', address)}`)).toEqual({ room: '', lobby: 'office', secret: undefined, ...address });
  }
  expect(readAddress(lobbyLink('https://a', 'office'))).toEqual({ room: '', lobby: 'office', token: undefined, secret: undefined, receive: undefined, data: false });
});

test('what has become of a call is said from the end at which it is read', () => {
  const result = (reason: CallEnd, incoming = false, talked = false) => callResult({ name: 'Ben', reason, incoming, talked });
  expect(result('rejected')).toBe('Ben declined the call.');
  expect(result('busy')).toBe('Ben is in another call.');
  expect(result('timed_out')).toBe('Ben did not answer.');
  expect(result('timed_out', true)).toBe('You missed a call from Ben.');
  expect(result('cancelled', true)).toBe('You missed a call from Ben.');
  expect(result('elsewhere', true)).toBe('You answered at another device.');
  expect(result('gone')).toBe('Ben can no longer be reached.');
  expect(result('hung_up', false, true)).toBe('The call with Ben has ended.');
  expect(result('gone', true, true)).toBe('Ben can no longer be reached.');
});

test('whoever has answered a call that came to nothing has not missed it', () => {
  const result = (reason: CallEnd, answered: boolean) => callResult({ name: 'Ben', reason, incoming: true, talked: false }, answered);
  for (const reason of ['gone', 'cancelled', 'timed_out'] as const) {
    expect(result(reason, true), reason).toBe('The call from Ben was over before your answer arrived.');
    expect(result(reason, false), reason).toBe('You missed a call from Ben.');
  }
  expect(result('elsewhere', true)).toBe('You answered at another device.');
});

test.each(['en', 'zh-CN'] as const)('why a server that is back refuses is said in %s, with what to do and what becomes of the call', (locale) => {
  const english = locale === 'en';
  overwriteGetLocale(() => locale);
  try {
    const from = (code: AlthingError['code'], direct: boolean) => refusedBack(new AlthingError(code, 'as the server says it'), direct);
    for (const code of ['token_missing', 'token_expired', 'token_invalid', 'token_wrong_room'] as const) {
      expect(from(code, true), code).toContain(english ? 'ask for a new link' : '索取新的链接');
    }
    for (const code of ['token_missing', 'token_expired', 'locked', 'full', 'direct_only', 'encryption_differs', 'internal'] as const) {
      expect(from(code, true), code).toContain(english ? 'goes on directly' : '直连进行');
      expect(from(code, false), code).not.toContain(english ? 'goes on directly' : '直连进行');
      expect(from(code, false), code).not.toContain('as the server says it');
    }
    expect(from('locked', true)).toContain(english ? 'unlock' : '解锁');
    expect(from('malformed', true), 'what nobody has thought of').toContain('as the server says it');
  } finally {
    overwriteGetLocale(() => 'en');
  }
});

test('why somebody cannot be called is said', () => {
  const problem = (code: AlthingError['code']) => ({ code, message: '' }) as AlthingError;
  expect(callProblem(problem('busy'), 'Ben')).toBe('Ben is in another call.');
  expect(callProblem(problem('not_found'), 'Ben')).toBe('Ben can no longer be reached.');
  expect(callProblem(problem('rate_limited'), 'Ben')).toMatch(/too often/);
  expect(callProblem(problem('timeout'), 'Ben')).toMatch(/cannot be reached/);
});

test('what a server refuses is said in the language of the page, with what to do about it', () => {
  const from = (code: AlthingError['code']) => new AlthingError(code, 'as the server says it');
  for (const code of ['recording_unavailable', 'library_full', 'encrypted', 'forbidden', 'not_found', 'wrong_state', 'rate_limited', 'internal', 'timeout', 'connection_lost'] as const) {
    expect(refusal(from(code)), code).not.toContain('as the server says it');
  }
  expect(refusal(from('malformed'))).toBe('Something went wrong: as the server says it');
  for (const code of ['full', 'draining', 'direct_only', 'rate_limited', 'internal', 'locked', 'kicked'] as const) expect(joinProblem(from(code)), code).not.toContain('as the server says it');
});

test('whoever is in the call from another tab as well is told so in the first one', () => {
  expect(endReason(new AlthingError('closed', 'replaced'))).toBe('You joined this call from somewhere else.');
});

test('the codecs to receive are those of the address, and stay in it', () => {
  const address = readAddress('http://a/r/hall?receive=H264,vp8,theora#token=t');
  expect(address).toEqual({ room: 'hall', lobby: '', token: 't', secret: undefined, receive: ['vp8', 'h264'], data: false });
  expect(readAddress(`http://a${roomAddress('hall', address)}`)).toEqual(address);
});

test('the socket is where the page is, encrypted when the page is', () => {
  expect(socketAddress({ protocol: 'https:', host: 'a:8443' })).toBe('wss://a:8443/ws');
  expect(socketAddress({ protocol: 'http:', host: 'localhost:8080' })).toBe('ws://localhost:8080/ws');
});

test('names of rooms are those that the server takes', () => {
  for (const name of ['a', 'A-b_c.9', 'x'.repeat(64)]) expect(isRoomName(name), name).toBe(true);
  for (const name of ['', 'x'.repeat(65), 'a b', 'a/b', 'ü']) expect(isRoomName(name), name).toBe(false);
  for (let i = 0; i < 50; i++) expect(isRoomName(randomRoom((bound) => (i * 7) % bound))).toBe(true);
});

test.each([
  [1, 1600, 900, 1],
  [2, 1600, 900, 2],
  [2, 600, 1200, 1],
  [4, 1600, 900, 2],
  [5, 1600, 900, 3],
  [9, 1600, 900, 3],
])('%i tiles in %i by %i stand in %i columns', (count, width, height, columns) => {
  expect(arrange(count, width, height).columns).toBe(columns);
});

test('tiles never stick out, and only a grid of many scrolls', () => {
  for (let count = 1; count <= 60; count++) {
    for (const [width, height] of [[360, 500], [344, 200], [1280, 700], [2560, 1300], [100, 100]] as const) {
      const grid = arrange(count, width, height);
      expect(grid.columns * grid.width + (grid.columns - 1) * 8).toBeLessThanOrEqual(width);
      expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
      if (grid.rows * grid.height + (grid.rows - 1) * 8 > height) expect(grid.width).toBeLessThan(320);
    }
  }
});

test('no place and nobody make no tiles', () => {
  expect(arrange(0, 100, 100).width).toBe(0);
  expect(arrange(3, 0, 100).width).toBe(0);
});

test.each([
  ['Ada Lovelace', 'AL'],
  ['grace', 'G'],
  ['李 雷', '李雷'],
  ['  ', '?'],
  ['👩‍🚀 Sally Ride', '👩R'],
])('%j is %j in short', (name, short) => {
  expect(initials(name)).toBe(short);
});

test('people are told apart by colour', () => {
  const hues = ['m0', 'm1', 'm2', 'm3'].map(hue);
  expect(new Set(hues).size).toBe(4);
  for (const one of hues) expect(one).toBeGreaterThanOrEqual(0);
});

const press = (key: string, more = {}) => actionOf({ key, ctrlKey: false, altKey: false, metaKey: false, repeat: false, isComposing: false, target: null, ...more });

test('keys do what people know them for', () => {
  expect(['m', 'M', 'v', 's', 'd', 'c', 'Escape', 'x'].map((key) => press(key))).toEqual([
    'microphone',
    'microphone',
    'camera',
    'screen',
    'screen',
    'chat',
    'close',
    undefined,
  ]);
});

test('keys do nothing while somebody writes, with a modifier or held down; Escape closes all the same', () => {
  const target = { tagName: 'TEXTAREA' } as unknown as EventTarget;
  expect(press('m', { target })).toBe(undefined);
  expect(press('m', { ctrlKey: true })).toBe(undefined);
  expect(press('m', { repeat: true })).toBe(undefined);
  expect(press('Escape', { target })).toBe('close');
});

test.each([
  ['paused', 'bandwidth', 'Paused: your connection is slow'],
  ['low', 'bandwidth', 'Less sharp: your connection is slow'],
  ['medium', 'bandwidth', 'Less sharp: your connection is slow'],
  ['paused', 'publisher', 'Ada is sending no picture at the moment'],
  ['low', 'publisher', 'Less sharp: Ada cannot send a better picture at the moment'],
  ['paused', 'codec', 'Your browser cannot show this picture'],
] as const)('a picture that is %s because of %s says so', (level, limit, hint) => {
  expect(qualityHint({ track: 1, level, limit }, 'Ada')).toBe(hint);
});

test('a picture that is good, or only shown small, says nothing', () => {
  expect(qualityHint({ track: 1, level: 'high' }, 'Ada')).toBe(undefined);
  expect(qualityHint({ track: 1, level: 'low' }, 'Ada')).toBe(undefined);
  for (const level of ['paused', 'low'] as const) expect(qualityHint({ track: 1, level, limit: 'view' }, 'Ada')).toBe(undefined);
});

test('why the server can take no picture is said: what lasts in this call before what its operator can change', () => {
  const call = { encrypted: false, via: 'server', screenshots: true } as const;
  expect(unseenByServer(call)).toBeUndefined();
  expect(unseenByServer({ ...call, via: 'direct' })).toMatch(/directly/);
  expect(unseenByServer({ ...call, via: 'none' })).toMatch(/Nobody else/);
  expect(unseenByServer({ ...call, via: 'direct', screenshots: false })).toMatch(/FFmpeg/);
  expect(unseenByServer({ encrypted: true, via: 'direct', screenshots: false })).toMatch(/encrypted/);
});

test.each(['en', 'zh-CN'] as const)('why nothing is recorded here is said in %s: what the server refuses, and a disk that is full', (locale) => {
  overwriteGetLocale(() => locale);
  try {
    const said = [new AlthingError('rate_limited', 'as the server says it'), new AlthingError('connection_lost', 'as the server says it'), new DOMException('as the browser says it', 'QuotaExceededError')].map(recordingProblem);
    for (const text of said) expect(text).toMatch(locale === 'en' ? /^(?!.*says it)[ -~]+$/ : /^[^a-z]+$/);
    expect(new Set(said).size).toBe(3);
    expect(recordingProblem(new Error('its own words'))).toBe('its own words');
  } finally {
    overwriteGetLocale(() => 'en');
  }
});

test('a click is beside a dialog where it is beyond one of its edges', () => {
  const box = { left: 100, top: 50, right: 300, bottom: 250 };
  for (const [clientX, clientY] of [[100, 50], [300, 250], [200, 100]] as const) expect(isBeside({ clientX, clientY }, box)).toBe(false);
  for (const [clientX, clientY] of [[99, 100], [301, 100], [200, 49], [200, 251]] as const) expect(isBeside({ clientX, clientY }, box)).toBe(true);
});
