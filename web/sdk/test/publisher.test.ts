import { beforeEach, describe, expect, test, vi } from 'vitest';
import { AlthingError } from '../src/errors.ts';
import { Publisher } from '../src/publisher.ts';
import type { Request, TrackInfo } from '../src/wire.ts';
import { Lines, picture } from './connection.ts';

const camera = picture();
const screen = picture(1920, 1080);
const info = (track: number, source: TrackInfo['source'], muted = false): TrackInfo => ({ track, source, muted, muted_by_moderator: false });

function recorder(refuse?: AlthingError) {
  const asked: Request[] = [];
  const ask = (request: Request) => {
    asked.push(request);
    if (refuse) return Promise.reject(refuse);
    return Promise.resolve(request.type === 'publish' ? ({ of: 'published', track: info(40, request.source, request.muted) } as const) : undefined);
  };
  return { asked, ask };
}

test('a source that is published for the first time takes an offer, and only then', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  expect(await publisher.attach(lines.connection)).toBe(true);
  expect(publisher.lines()).toEqual([{ mid: '0', source: 'camera', muted: false }]);
  publisher.learn([info(1, 'camera')]);
  expect(await publisher.attach(lines.connection)).toBe(false);
  const { asked, ask } = recorder();
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([]);
});

test('muting and unmuting are told once each', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(1, 'camera')]);
  const { asked, ask } = recorder();
  publisher.want({ source: 'camera', track: null, muted: true });
  await publisher.attach(lines.connection);
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([{ type: 'mute', track: 1, muted: true }]);
  expect(lines.lines[0]?.sender.track).toBe(null);
});

test('a screen that is shared a second time uses its m-line again without an offer', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(2, 'screen')]);
  const { asked, ask } = recorder();
  publisher.unwant('screen');
  expect(await publisher.attach(lines.connection)).toBe(false);
  await publisher.settle(ask);
  expect(publisher.lines()).toEqual([]);
  publisher.want({ source: 'screen', track: screen, muted: false });
  expect(await publisher.attach(lines.connection)).toBe(false);
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([
    { type: 'unpublish', track: 2 },
    { type: 'publish', mid: '0', source: 'screen', muted: false },
  ]);
});

test('after resuming, what the server lost is told again and what it holds is not', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: true });
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(1, 'camera', false), info(2, 'screen')]);
  publisher.learn([info(1, 'camera', false)]);
  const { asked, ask } = recorder();
  await publisher.settle(ask);
  expect(asked).toEqual([
    { type: 'mute', track: 1, muted: true },
    { type: 'publish', mid: '1', source: 'screen', muted: false },
  ]);
});

test('a track that the server does not know any more is no error when it is to go', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(2, 'screen')]);
  publisher.unwant('screen');
  const { asked, ask } = recorder(new AlthingError('not_found', 'gone'));
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([{ type: 'unpublish', track: 2 }]);
});

test('a new connection publishes everything again', async () => {
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(new Lines().connection);
  publisher.learn([info(1, 'camera')]);
  publisher.reset();
  const fresh = new Lines();
  expect(await publisher.attach(fresh.connection)).toBe(true);
  expect(publisher.lines()).toEqual([{ mid: '0', source: 'camera', muted: false }]);
});

test('a picture is sent in several sizes, sound and what is published without simulcast in one', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  publisher.want({ source: 'screen', track: screen, muted: false, simulcast: false });
  publisher.want({ source: 'microphone', track: null, muted: false });
  await publisher.attach(lines.connection);
  expect(lines.lines.map((line) => line.sender.active)).toEqual([['q', 'h', 'f'], ['-'], ['-']]);
});

test('a browser that takes no several sizes sends one', async () => {
  const lines = new Lines();
  lines.refusal = new DOMException('no', 'OperationError');
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  expect(await publisher.attach(lines.connection)).toBe(true);
  expect(lines.sender().encodings).toMatchObject([{ maxBitrate: 1_700_000 }]);
});

test('a codec that is preferred comes first, and the others remain', async () => {
  const codecs = ['VP8', 'rtx', 'VP9', 'AV1'].map((name) => ({ mimeType: `video/${name}`, clockRate: 90000 }));
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => ({ codecs }) });
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false, codec: 'vp9' });
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(lines.connection);
  expect(lines.lines.map((line) => line.preferred)).toEqual([['video/VP9', 'video/VP8', 'video/rtx', 'video/AV1'], []]);
  vi.unstubAllGlobals();
});

test('what others want is applied to the track that they mean', async () => {
  const { publisher, lines } = await published();
  publisher.demand(2, ['h']);
  await expect.poll(() => lines.sender(1).active).toEqual(['h']);
  publisher.demand(9, []);
  expect(lines.sender(0).active).toEqual(['q', 'h', 'f']);
  expect(lines.sender(0).changes).toEqual([]);
});

test('what others want of a track may be said before the answer that tells its number', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(lines.connection);
  publisher.demand(1, ['q']);
  publisher.learn([info(1, 'camera')]);
  await expect.poll(() => lines.sender().active).toEqual(['q']);
});

test('the same goes for a track that is published without an offer', async () => {
  const { publisher, lines } = await published();
  const { ask } = recorder();
  publisher.unwant('screen');
  await publisher.settle(ask);
  publisher.want({ source: 'screen', track: screen, muted: false });
  publisher.demand(40, []);
  await publisher.settle(ask);
  await expect.poll(() => lines.sender(1).active).toEqual([]);
});

test('a track that begins is wanted whole, whatever was wanted of the one before', async () => {
  const { publisher, lines } = await published();
  publisher.demand(2, []);
  await expect.poll(() => lines.sender(1).active).toEqual([]);
  const { ask } = recorder();
  publisher.unwant('screen');
  await publisher.settle(ask);
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.settle(ask);
  await expect.poll(() => lines.sender(1).active).toEqual(['h', 'f']);
});

test('resuming changes nothing of what is wanted, a new connection forgets it', async () => {
  const { publisher, lines } = await published();
  publisher.demand(1, ['q']);
  await expect.poll(() => lines.sender().active).toEqual(['q']);
  publisher.learn([info(1, 'camera'), info(2, 'screen')]);
  await publisher.settle(recorder().ask);
  expect(lines.sender().changes).toEqual(['q']);
  publisher.reset();
  const fresh = new Lines();
  await publisher.attach(fresh.connection);
  publisher.learn([info(1, 'camera'), info(2, 'screen')]);
  await publisher.settle(recorder().ask);
  expect(fresh.sender().active).toEqual(['q', 'h', 'f']);
});

async function published() {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(1, 'camera'), info(2, 'screen')]);
  await publisher.settle(recorder().ask);
  return { publisher, lines };
}

describe('what others cannot decode', () => {
  const codecs = ['VP8', 'rtx', 'VP9', 'AV1'].map((name) => ({ mimeType: `video/${name}`, clockRate: 90000 }));
  const own = (fallback: number) => [info(1, 'camera'), info(2, 'screen'), { ...info(fallback, 'camera'), fallback: true }];

  beforeEach(() => {
    vi.stubGlobal('RTCRtpSender', { getCapabilities: () => ({ codecs }) });
    return () => vi.unstubAllGlobals();
  });

  test('is sent once more, the same track on a line of its own, with the first codec that can be sent', async () => {
    const { publisher, lines } = await published();
    publisher.fallback(1, ['h264', 'vp8', 'vp9']);
    expect(await publisher.attach(lines.connection)).toBe(true);
    expect(lines.lines[2]?.preferred).toEqual(['video/VP8', 'video/rtx', 'video/VP9', 'video/AV1']);
    expect(lines.sender(2).track).toBe(camera);
    expect(lines.sender(2).active).toEqual(['q', 'h', 'f']);
    expect(publisher.lines()).toEqual([
      { mid: '0', source: 'camera', muted: false },
      { mid: '1', source: 'screen', muted: false },
      { mid: '2', source: 'camera', muted: false, fallback: true },
    ]);
    publisher.learn(own(7));
    const { asked, ask } = recorder();
    await publisher.settle(ask);
    expect(await publisher.attach(lines.connection)).toBe(false);
    expect(asked).toEqual([]);
    expect(publisher.publications.map((publication) => publication.source)).toEqual(['camera', 'screen']);
  });

  test('follows the track: another camera, muted, and what is wanted of its sizes', async () => {
    const { publisher, lines } = await fallen();
    const other = picture();
    publisher.want({ source: 'camera', track: other, muted: false });
    await publisher.attach(lines.connection);
    expect([0, 2].map((line) => lines.sender(line).track)).toEqual([other, other]);
    publisher.demand(7, ['q']);
    await expect.poll(() => lines.sender(2).active).toEqual(['q']);
    expect(lines.sender(0).active).toEqual(['q', 'h', 'f']);
    const { asked, ask } = recorder();
    publisher.want({ source: 'camera', track: null, muted: true });
    await publisher.attach(lines.connection);
    await publisher.settle(ask);
    expect([0, 2].map((line) => lines.sender(line).track)).toEqual([null, null]);
    expect(asked).toEqual([{ type: 'mute', track: 1, muted: true }]);
  });

  test('is sent no longer when nobody needs it, and again on the same line without an offer', async () => {
    const { publisher, lines } = await fallen();
    const { asked, ask } = recorder();
    publisher.fallback(1, []);
    expect(await publisher.attach(lines.connection)).toBe(false);
    await publisher.settle(ask);
    expect(lines.sender(2).track).toBe(null);
    await expect.poll(() => lines.sender(2).active).toEqual([]);
    publisher.fallback(1, ['vp8']);
    expect(await publisher.attach(lines.connection)).toBe(false);
    await publisher.settle(ask);
    await publisher.settle(ask);
    expect(lines.sender(2).track).toBe(camera);
    await expect.poll(() => lines.sender(2).active).toEqual(['q', 'h', 'f']);
    expect(asked).toEqual([
      { type: 'unpublish', track: 7 },
      { type: 'publish', mid: '2', source: 'camera', muted: false, fallback: true },
    ]);
  });

  test('in another codec is another track on the same line', async () => {
    const { publisher, lines } = await fallen();
    publisher.fallback(1, ['vp9', 'vp8']);
    expect(await publisher.attach(lines.connection)).toBe(true);
    expect(lines.lines[2]?.preferred[0]).toBe('video/VP9');
    expect(publisher.lines().map((line) => line.mid)).toEqual(['0', '1']);
    publisher.learn([info(1, 'camera'), info(2, 'screen')]);
    const { asked, ask } = recorder();
    await publisher.settle(ask);
    expect(asked).toEqual([{ type: 'publish', mid: '2', source: 'camera', muted: false, fallback: true }]);
    expect(await publisher.attach(lines.connection)).toBe(false);
    expect(publisher.lines().map((line) => line.mid)).toEqual(['0', '1', '2']);
  });

  test('is not sent in a codec that nobody asked for', async () => {
    const { publisher, lines } = await published();
    publisher.fallback(1, ['h264']);
    publisher.fallback(9, ['vp8']);
    expect(await publisher.attach(lines.connection)).toBe(false);
    expect(lines.lines.length).toBe(2);
  });

  test('ends with the track, also at the server', async () => {
    const { publisher, lines } = await fallen();
    publisher.unwant('camera');
    await publisher.attach(lines.connection);
    const { asked, ask } = recorder();
    await publisher.settle(ask);
    expect(lines.sender(2).track).toBe(null);
    expect(publisher.lines().map((line) => line.mid)).toEqual(['1']);
    expect(asked.map((request) => request.type)).toEqual(['unpublish', 'unpublish']);
    publisher.want({ source: 'camera', track: camera, muted: false });
    await publisher.attach(lines.connection);
    await publisher.settle(ask);
    expect(lines.sender(2).track).toBe(null);
  });

  test('that the server refuses is given up alone, and not tried again', async () => {
    const { publisher, lines } = await published();
    publisher.fallback(1, ['vp8']);
    await publisher.attach(lines.connection);
    expect(publisher.dropRefused()).toBe(true);
    await publisher.attach(lines.connection);
    expect(publisher.lines().map((line) => line.mid)).toEqual(['0', '1']);
    expect(publisher.dropRefused()).toBe(false);
  });

  test('is forgotten with the connection, and known again after resuming', async () => {
    const { publisher, lines } = await fallen();
    publisher.learn(own(7));
    expect(await publisher.attach(lines.connection)).toBe(false);
    publisher.reset();
    const fresh = new Lines();
    await publisher.attach(fresh.connection);
    publisher.learn([info(1, 'camera'), info(2, 'screen')]);
    await publisher.attach(fresh.connection);
    expect(fresh.lines.length).toBe(2);
  });

  async function fallen() {
    const { publisher, lines } = await published();
    publisher.fallback(1, ['vp8']);
    await publisher.attach(lines.connection);
    publisher.learn(own(7));
    await publisher.settle(recorder().ask);
    return { publisher, lines };
  }
});

test('a track that the server has ended is wanted no longer, and may be published anew', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(lines.connection);
  publisher.learn([info(1, 'camera')]);
  expect(publisher.sourceOf(1)).toBe('camera');
  publisher.ended(7);
  expect(publisher.publication('camera')).toBeDefined();
  publisher.ended(1);
  expect([publisher.publication('camera'), publisher.sourceOf(1), publisher.lines()]).toEqual([undefined, undefined, []]);
  expect(await publisher.attach(lines.connection)).toBe(false);
  expect(lines.lines[0]?.sender.track).toBe(null);
  const { asked, ask } = recorder();
  await publisher.settle(ask);
  expect(asked).toEqual([]);
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(lines.connection);
  await publisher.settle(ask);
  expect(asked.map(({ type }) => type)).toEqual(['publish']);
});
