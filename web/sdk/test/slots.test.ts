import { expect, test } from 'vitest';
import { receivableVideo } from '../src/codecs.ts';
import { mediaByMember } from '../src/slots.ts';
import type { PairTracks } from '../src/slots.ts';

const pair = (name: string) => ({ stream: `${name} stream`, audio: `${name} audio`, video: `${name} video` }) as unknown as PairTracks;
const pairs = [pair('first'), pair('second')];
const tracksOf = (number: number) => pairs[number];

test('a member is found in the pair that the server put it in', () => {
  const media = mediaByMember([{ pair: 1, member: 'a', screen: false, audio: 5, video: 6 }], tracksOf);
  expect([...media.keys()]).toEqual(['a']);
  expect(media.get('a')?.camera).toMatchObject({ pair: 1, audio: 'second audio', video: 'second video' });
  expect(media.get('a')?.screen).toBeUndefined();
});

test('camera and screen of one member are in pairs of their own', () => {
  const media = mediaByMember(
    [
      { pair: 1, member: 'a', screen: true, video: 7 },
      { pair: 0, member: 'a', screen: false, audio: 5, video: 6 },
    ],
    tracksOf,
  );
  expect(media.get('a')?.camera?.pair).toBe(0);
  expect(media.get('a')?.screen?.pair).toBe(1);
});

test('a pair that carries no sound or no picture shows none, though it has an m-line for it', () => {
  const media = mediaByMember(
    [
      { pair: 0, member: 'a', screen: false, audio: 5 },
      { pair: 1, member: 'b', screen: false, video: 6 },
    ],
    tracksOf,
  );
  expect(media.get('a')?.camera).toMatchObject({ audio: 'first audio', video: undefined });
  expect(media.get('b')?.camera).toMatchObject({ audio: undefined, video: 'second video' });
});

test('re-pointing a pair moves the tracks to the other member', () => {
  const before = mediaByMember([{ pair: 0, member: 'a', screen: false, video: 1 }], tracksOf);
  const after = mediaByMember([{ pair: 0, member: 'b', screen: false, video: 2 }], tracksOf);
  expect(before.get('a')?.camera?.video).toBe(after.get('b')?.camera?.video);
  expect(after.has('a')).toBe(false);
});

test('a pair that is not negotiated yet shows nobody', () => {
  expect(mediaByMember([{ pair: 9, member: 'a', screen: false, video: 1 }], tracksOf).size).toBe(0);
});

const h264 = (level: string, mode: number) => ({
  mimeType: 'video/H264',
  clockRate: 90000,
  sdpFmtpLine: `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${level}`,
});
const plain = (name: string, sdpFmtpLine?: string) => ({ mimeType: `video/${name}`, clockRate: 90000, ...(sdpFmtpLine ? { sdpFmtpLine } : {}) });

test('of each codec one form is offered for receiving, and retransmission', () => {
  const all = [
    plain('VP8'),
    plain('rtx'),
    plain('VP9', 'profile-id=2'),
    plain('VP9', 'profile-id=0'),
    h264('640c1f', 1),
    h264('42001f', 1),
    h264('42e01f', 0),
    h264('42e01f', 1),
    plain('AV1', 'level-idx=5;profile=1;tier=0'),
    plain('AV1', 'level-idx=5;profile=0;tier=0'),
    plain('red'),
    plain('ulpfec'),
  ];
  expect(receivableVideo(all)).toEqual([all[0], all[3], all[7], all[9], all[1]]);
});

test('a browser without some of the codecs offers the others', () => {
  expect(receivableVideo([plain('VP8'), plain('rtx')]).map((codec) => codec.mimeType)).toEqual(['video/VP8', 'video/rtx']);
  expect(receivableVideo([])).toEqual([]);
});

test('fewer codecs may be received, in the order in which they are named, but never none', () => {
  const all = [plain('VP8'), plain('rtx'), plain('VP9', 'profile-id=0'), h264('42e01f', 1)];
  expect(receivableVideo(all, ['h264', 'vp8'])).toEqual([all[3], all[0], all[1]]);
  expect(receivableVideo(all, ['av1'])).toEqual([]);
});
