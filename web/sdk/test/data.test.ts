import { expect, test } from 'vitest';
import { DataWay, decode, encode, fromWire, toMessage, toWire } from '../src/data.ts';
import type { Data } from '../src/data.ts';
import { readMessage } from '../src/direct.ts';
import type { Ask } from '../src/publisher.ts';
import type { Request } from '../src/wire.ts';

/** The little of an RTCDataChannel that is touched; browsers are tried in `e2e`. */
class Channel extends EventTarget {
  readyState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  sent: unknown[] = [];
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  init: RTCDataChannelInit;
  constructor(init: RTCDataChannelInit) {
    super();
    this.init = init;
  }
  send(data: unknown): void {
    this.sent.push(data);
  }
  open(): void {
    this.readyState = 'open';
    this.onopen?.();
  }
}

function scene() {
  const channels: Channel[] = [];
  const asked: Request[] = [];
  const answers: (() => void)[] = [];
  const ask: Ask = (request) => {
    asked.push(request);
    return new Promise((resolve) => answers.push(() => resolve(undefined)));
  };
  const way = new DataWay(ask);
  const heard: Data[] = [];
  way.on('data', (data) => heard.push(data));
  const connect = () =>
    way.attach({
      createDataChannel: (_: string, init: RTCDataChannelInit) => {
        const channel = new Channel(init);
        channels.push(channel);
        return channel;
      },
    } as unknown as RTCPeerConnection);
  const send = (payload: string, reliable = true) => way.send(toMessage(payload, { topic: 't', reliable }, 100));
  return { way, connect, channels, asked, answers, heard, send };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 5));
const text = (sent: unknown) => new TextDecoder().decode(sent as Uint8Array).slice(4);

test('a message is written and read as the server does', () => {
  const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  expect(hex(encode({ topic: 'ab', to: ['x', 'yz'], payload: 'hi' }))).toBe('01026162020178' + '02797a' + '6869');
  expect(hex(encode({ topic: '', to: [], payload: Uint8Array.of(255) }))).toBe('000000ff');
  expect(decode(Uint8Array.of(0, 2, 0x61, 0x62, 1, 0x78, 255))).toEqual({ topic: 'ab', from: 'x', payload: Uint8Array.of(255) });
  expect(decode(Uint8Array.of(1, 0, 1, 0x78, 0x68, 0x69))).toEqual({ topic: '', from: 'x', payload: 'hi' });
  for (const bad of [[], [0], [0, 0], [0, 200, 0], [0, 0, 9, 1]]) expect(decode(Uint8Array.from(bad))).toBeUndefined();
});

test('bytes survive the socket', () => {
  const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => index);
  expect(fromWire(toWire(bytes))).toEqual(bytes);
  expect(fromWire(toWire('text'))).toBe('text');
});

test('what is too long is refused before it is sent, and a copy is sent', () => {
  expect(() => toMessage('é'.repeat(51), {}, 100)).toThrow('100 bytes');
  expect(() => toMessage('', { topic: 'x'.repeat(65) }, 100)).toThrow('topic');
  expect(() => toMessage('', { to: Array<string>(33).fill('x') }, 100)).toThrow('32 members');
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const { payload } = toMessage(bytes.subarray(1, 3), {}, 100);
  bytes.fill(9);
  expect(payload).toEqual(Uint8Array.of(2, 3));
});

test('without channels data goes by the socket, numbered', async () => {
  const { send, asked, answers } = scene();
  const both = Promise.all([send('one'), send('two', false)]);
  await soon();
  expect(asked).toEqual([
    { type: 'data', topic: 't', to: [], payload: { text: 'two' }, lossy: true, number: 1 },
    { type: 'data', topic: 't', to: [], payload: { text: 'one' }, lossy: false, number: 2 },
  ]);
  for (const answer of answers) answer();
  await both;
});

test('open channels are greeted on, and carry what is sent', async () => {
  const { connect, channels, send, asked } = scene();
  connect();
  const [reliable, lossy] = channels as [Channel, Channel];
  expect(channels.map(({ init }) => init)).toEqual([
    { negotiated: true, id: 0 },
    { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 },
  ]);
  lossy.open();
  reliable.open();
  await send('sure');
  await send('perhaps', false);
  expect([reliable.sent[0], reliable.sent.slice(1).map(text), lossy.sent.map(text)]).toEqual(['', ['sure'], ['perhaps']]);
  expect(asked).toEqual([]);
});

test('a channel is taken when the socket has answered for what it was given', async () => {
  const { connect, channels, send, answers, asked } = scene();
  connect();
  const first = [send('1'), send('2')];
  await soon();
  expect(asked.length).toBe(2);
  channels[0]?.open();
  const third = send('3');
  await soon();
  expect(channels[0]?.sent).toEqual(['']);
  for (const answer of answers) answer();
  await Promise.all([...first, third]);
  expect(channels[0]?.sent.slice(1).map(text)).toEqual(['3']);
});

test('a channel that is closed gives way to the socket, in order', async () => {
  const { connect, channels, send, asked, answers } = scene();
  connect();
  const channel = channels[0] as Channel;
  channel.open();
  channel.bufferedAmount = 2 << 20;
  const [one, two] = [send('1'), send('2')];
  await soon();
  expect(channel.sent).toEqual(['']);
  channel.readyState = 'closed';
  channel.dispatchEvent(new Event('close'));
  await soon();
  for (const answer of answers) answer();
  await Promise.all([one, two]);
  expect(asked.map((request) => request.type === 'data' && request.payload)).toEqual([{ text: '1' }, { text: '2' }]);
});

test('lossy data is dropped where much waits, and reliable data waits', async () => {
  const { connect, channels, send } = scene();
  connect();
  for (const channel of channels) channel.open();
  const [reliable, lossy] = channels as [Channel, Channel];
  lossy.bufferedAmount = 64 * 1024;
  await send('gone', false);
  expect(lossy.sent).toEqual([]);
  reliable.bufferedAmount = 1 << 20;
  const sent = send('later');
  await soon();
  expect(reliable.sent).toEqual(['']);
  reliable.dispatchEvent(new Event('bufferedamountlow'));
  await sent;
  expect(reliable.sent.slice(1).map(text)).toEqual(['later']);
});

test('data is heard from channels and from the socket', () => {
  const { connect, channels, way, heard } = scene();
  connect();
  channels[1]?.onmessage?.({ data: Uint8Array.of(1, 0, 1, 0x78, 0x68, 0x69).buffer });
  channels[0]?.onmessage?.({ data: 'no bytes' });
  way.take('y', 't', { base64: 'AAE=' });
  expect(heard).toEqual([
    { from: 'x', topic: '', payload: 'hi' },
    { from: 'y', topic: 't', payload: Uint8Array.of(0, 1) },
  ]);
});

test('data of a direct connection is read only when it is some', () => {
  const read = (message: unknown) => readMessage(JSON.stringify(message));
  expect(read({ type: 'data', topic: 't', payload: { base64: 'AAE=' } })).toEqual({ type: 'data', topic: 't', payload: { base64: 'AAE=' } });
  expect(read({ type: 'data', topic: '', payload: { text: 'x' } })).toEqual({ type: 'data', topic: '', payload: { text: 'x' } });
  for (const bad of [{}, { topic: 't' }, { topic: 7, payload: { text: 'x' } }, { topic: 't', payload: { base64: '%' } }, { topic: 'x'.repeat(65), payload: { text: '' } }]) {
    expect(read({ type: 'data', ...bad })).toBeUndefined();
  }
});
