import type { ConnectionStats, InboundStats, MemberStats, OutboundStats } from '@althing/sdk';
import { expect, test } from 'vitest';
import { figuresOf, judge, judgeOwn, showsCamera, stalled } from '../src/lib/figures.ts';
import type { LineFigures, Sample } from '../src/lib/figures.ts';

const inbound = (change: Partial<InboundStats>): InboundStats => ({
  mid: '1',
  kind: 'video',
  codec: 'video/VP8',
  packetsReceived: 0,
  packetsLost: 0,
  bytesReceived: 0,
  jitter: 0.01,
  nackCount: 0,
  pliCount: 0,
  framesDecoded: 0,
  framesPerSecond: 30,
  frameWidth: 640,
  frameHeight: 360,
  freezeCount: 0,
  totalAudioEnergy: 0,
  concealedSamples: 0,
  totalSamplesReceived: 0,
  ...change,
});
const outbound = (change: Partial<OutboundStats>): OutboundStats => ({
  mid: '0',
  kind: 'video',
  rid: 'h',
  codec: 'video/VP8',
  active: true,
  packetsSent: 0,
  bytesSent: 0,
  retransmittedPacketsSent: 0,
  framesEncoded: 0,
  framesPerSecond: 30,
  frameWidth: 640,
  frameHeight: 360,
  targetBitrate: 0,
  limitation: 'none',
  roundTripTime: 0.08,
  fractionLost: 0.25,
  ...change,
});
const sample = (at: number, member: Partial<MemberStats>, sent: Partial<OutboundStats>, more: Partial<ConnectionStats> = {}): Sample => {
  const line = { member: 'a', screen: false, ...inbound(member) };
  return { at, stats: { pair: undefined, transport: undefined, inbound: [line], outbound: [outbound(sent)], members: [line], ...more } };
};

test('figures are what has gone on between two looks', () => {
  const before = sample(0, { bytesReceived: 1000, packetsReceived: 100, packetsLost: 50, freezeCount: 3 }, { bytesSent: 0 });
  const now = sample(2000, { bytesReceived: 251_000, packetsReceived: 190, packetsLost: 60, freezeCount: 4 }, { bytesSent: 125_000 });
  const figures = figuresOf(before, now);
  expect(figures.members.get('a')).toEqual([{ kind: 'video', screen: false, codec: 'VP8', bitrate: 1_000_000, loss: 0.1, jitter: 10, width: 640, height: 360, fps: 30, freezes: 1 }]);
  expect(figures).toMatchObject({ roundTrip: 80, sentLoss: 0.25, received: 1_000_000, total: 500_000 });
  expect(figures.sent).toMatchObject([{ rid: 'h', bitrate: 500_000, limitation: undefined }]);
});

test('what a line has carried for somebody else is none of theirs', () => {
  const figures = figuresOf(sample(0, { member: 'b', packetsReceived: 10 }, {}), sample(1000, { packetsReceived: 20, packetsLost: 900, bytesReceived: 9e9 }, {}));
  expect(figures.members.get('a')).toMatchObject([{ bitrate: 0, loss: 0 }]);
});

test('the first look, and counters that begin anew, say nothing wild', () => {
  expect(figuresOf(undefined, sample(0, { bytesReceived: 9e9 }, { bytesSent: 9e9 }))).toMatchObject({ received: 0, total: 0 });
  expect(figuresOf(sample(0, { bytesReceived: 9e9 }, { bytesSent: 9e9 }), sample(1000, {}, {}))).toMatchObject({ received: 0, total: 0 });
});

const line = (change: Partial<LineFigures> = {}): LineFigures => ({ kind: 'video', screen: false, codec: 'VP8', bitrate: 1, loss: 0, jitter: 0, width: 1, height: 1, fps: 1, freezes: 0, ...change });

test.each([
  ['nothing wrong', judge([line()], [], false, 20), 4, undefined],
  ['a socket that is lost', judge([line()], [], true, 20), 0, 'away'],
  ['little loss', judge([line({ loss: 0.03 })], [], false, 20), 3, 'loss'],
  ['much loss', judge([line(), line({ loss: 0.3 })], [], false, 20), 1, 'loss'],
  ['a long way', judge([line()], [], false, 400), 3, 'delay'],
  ['a picture that stands still', judge([line({ freezes: 3 })], [], false, 20), 2, 'frozen'],
  ['a view that is small', judge([line()], [{ track: 1, level: 'low', limit: 'view' }], false, 20), 4, undefined],
  ['an own connection that carries less', judge([line()], [{ track: 1, level: 'low', limit: 'bandwidth' }], false, 20), 2, 'bandwidth'],
  ['a publisher who sends nothing', judge([line()], [{ track: 1, level: 'paused', limit: 'publisher' }], false, 20), 1, 'publisher'],
  ['the worst of two', judge([line({ loss: 0.03 })], [{ track: 1, level: 'paused', limit: 'publisher' }], false, 20), 1, 'publisher'],
] as const)('%s', (_, judgement, bars, reason) => {
  expect(judgement).toEqual({ bars, reason });
});

test('a camera of which nothing comes any more is told from one that is off, from another one on its line, and from a screen that stands still', () => {
  const before = sample(0, { packetsReceived: 100 }, {});
  expect([...stalled(before, sample(4000, { packetsReceived: 100 }, {}))]).toEqual(['a']);
  expect([...stalled(before, sample(4000, { packetsReceived: 101 }, {}))]).toEqual([]);
  expect([...stalled(before, sample(4000, { packetsReceived: 100, member: 'b' }, {}))]).toEqual([]);
  expect([...stalled(sample(0, { packetsReceived: 100, screen: true }, {}), sample(4000, { packetsReceived: 100, screen: true }, {}))]).toEqual([]);
  expect([...stalled(undefined, before)]).toEqual([]);
  const camera = { track: 1, source: 'camera', muted: false, muted_by_moderator: false } as const;
  expect(showsCamera([camera], new Map())).toBe(true);
  expect(showsCamera([{ ...camera, muted: true }], new Map())).toBe(false);
  expect(showsCamera([camera], new Map([[1, { track: 1, level: 'paused', limit: 'view' }]]))).toBe(false);
  expect(judge([line()], [], false, 20, true)).toEqual({ bars: 1, reason: 'nothing' });
});

test('what is sent is judged by what the others report', () => {
  expect(judgeOwn({ sentLoss: undefined, roundTrip: undefined, sent: [] })).toEqual({ bars: 4, reason: undefined });
  expect(judgeOwn({ sentLoss: 0.1, roundTrip: 50, sent: [] })).toEqual({ bars: 2, reason: 'loss' });
  const sent = [{ kind: 'video', rid: undefined, codec: '', bitrate: 1, width: 1, height: 1, fps: 1, limitation: 'bandwidth' } as const];
  expect(judgeOwn({ sentLoss: 0, roundTrip: 50, sent })).toEqual({ bars: 3, reason: 'bandwidth' });
});
