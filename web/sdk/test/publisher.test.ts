import { expect, test } from 'vitest';
import { AlthingError } from '../src/errors.ts';
import { Publisher } from '../src/publisher.ts';
import type { Request, TrackInfo } from '../src/wire.ts';

/** The little of an RTCPeerConnection that publishing touches; browsers are tried in `e2e`. */
class Lines {
  lines: { mid: string; kind: string; sender: { track: unknown; replaceTrack: (track: unknown) => Promise<void> } }[] = [];

  addTransceiver(track: MediaStreamTrack | string) {
    const sender = {
      track: typeof track === 'string' ? null : (track as unknown),
      replaceTrack: (next: unknown) => {
        sender.track = next;
        return Promise.resolve();
      },
    };
    const line = { mid: String(this.lines.length), kind: typeof track === 'string' ? track : track.kind, sender };
    this.lines.push(line);
    return line;
  }
}

globalThis.MediaStream ??= class {} as never;

const connection = (lines: Lines) => lines as unknown as RTCPeerConnection;
const camera = { kind: 'video' } as MediaStreamTrack;
const screen = { kind: 'video' } as MediaStreamTrack;
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
  expect(await publisher.attach(connection(lines))).toBe(true);
  expect(publisher.lines()).toEqual([{ mid: '0', source: 'camera', muted: false }]);
  publisher.learn([info(1, 'camera')]);
  expect(await publisher.attach(connection(lines))).toBe(false);
  const { asked, ask } = recorder();
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([]);
});

test('muting and unmuting are told once each', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'camera', track: camera, muted: false });
  await publisher.attach(connection(lines));
  publisher.learn([info(1, 'camera')]);
  const { asked, ask } = recorder();
  publisher.want({ source: 'camera', track: null, muted: true });
  await publisher.attach(connection(lines));
  await publisher.settle(ask);
  await publisher.settle(ask);
  expect(asked).toEqual([{ type: 'mute', track: 1, muted: true }]);
  expect(lines.lines[0]?.sender.track).toBe(null);
});

test('a screen that is shared a second time uses its m-line again without an offer', async () => {
  const lines = new Lines();
  const publisher = new Publisher();
  publisher.want({ source: 'screen', track: screen, muted: false });
  await publisher.attach(connection(lines));
  publisher.learn([info(2, 'screen')]);
  const { asked, ask } = recorder();
  publisher.unwant('screen');
  expect(await publisher.attach(connection(lines))).toBe(false);
  await publisher.settle(ask);
  expect(publisher.lines()).toEqual([]);
  publisher.want({ source: 'screen', track: screen, muted: false });
  expect(await publisher.attach(connection(lines))).toBe(false);
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
  await publisher.attach(connection(lines));
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
  await publisher.attach(connection(lines));
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
  await publisher.attach(connection(new Lines()));
  publisher.learn([info(1, 'camera')]);
  publisher.reset();
  const fresh = new Lines();
  expect(await publisher.attach(connection(fresh))).toBe(true);
  expect(publisher.lines()).toEqual([{ mid: '0', source: 'camera', muted: false }]);
});
