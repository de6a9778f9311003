import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Processed } from '../src/effect.ts';
import { LocalMedia } from '../src/local.ts';
import type { Publication } from '../src/publisher.ts';

/** A track of which only its life is looked at. */
class Track extends EventTarget {
  readyState: 'live' | 'ended' = 'live';
  enabled = true;
  onended: (() => void) | null = null;
  contentHint = '';
  readonly kind: 'audio' | 'video';
  readonly from: string;

  constructor(kind: 'audio' | 'video', from = 'camera') {
    super();
    [this.kind, this.from] = [kind, from];
  }

  stop(): void {
    this.readyState = 'ended';
  }

  getSettings() {
    return { deviceId: `the-${this.from}` };
  }
}

let opened: Track[] = [];
beforeEach(() => {
  opened = [];
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('navigator', {
    mediaDevices: {
      getUserMedia: ({ video, audio }: MediaStreamConstraints) => {
        const tracks = [...(audio ? [new Track('audio', 'microphone')] : []), ...(video ? [new Track('video')] : [])];
        opened.push(...tracks);
        return Promise.resolve({ getTracks: () => tracks });
      },
    },
  });
});
afterEach(() => void vi.unstubAllGlobals());

/** An effect, what it has made, and how it fails. */
function effect() {
  const made: { track: Track; of: unknown; closed: boolean; fail: (error: Error) => void }[] = [];
  let refusal: Error | undefined;
  return {
    made,
    refuse: (error: Error | undefined) => (refusal = error),
    make: (camera: MediaStreamTrack): Promise<Processed> => {
      if (refusal) return Promise.reject(refusal);
      let fail: (error: Error) => void = () => undefined;
      const one = { track: new Track('video', 'effect'), of: camera as unknown, closed: false, fail: (error: Error) => fail(error) };
      made.push(one);
      const failed = new Promise<Error>((resolve) => (fail = resolve));
      return Promise.resolve({ track: one.track as unknown as MediaStreamTrack, failed, close: () => (one.closed = true) });
    },
  };
}

/** A call that notes what is published of the camera. */
function call(local: LocalMedia) {
  const seen: (unknown | null)[] = [];
  const publish = ({ source, track }: Publication) => (source === 'camera' && seen.push(track), Promise.resolve());
  return local.enter({ publish, unpublish: () => Promise.resolve() }).then(() => seen);
}

test('what an effect makes of the camera is shown and sent instead of it, and ends with it', async () => {
  const [local, { make, made }] = [new LocalMedia(), effect()];
  await local.setCamera(true);
  const seen = await call(local);
  const [camera] = opened;
  expect(seen).toEqual([camera]);
  await local.setCameraEffect(make);
  expect(local.state.camera).toBe(made[0]?.track);
  expect(made[0]?.of).toBe(camera);
  expect(seen.at(-1)).toBe(made[0]?.track);
  expect(local.deviceOf('camera')).toBe('the-camera');
  await local.setCamera(false);
  expect([made[0]?.closed, camera?.readyState, seen.at(-1)]).toEqual([true, 'ended', null]);
  await local.setCamera(true);
  expect(local.state.camera).toBe(made[1]?.track);
  await local.setCameraEffect(undefined);
  expect([made[1]?.closed, opened[1]?.readyState]).toEqual([true, 'live']);
  expect(seen.at(-1)).toBe(opened[1]);
});

test('a camera of which nothing can be made does not come on, alone and with the microphone', async () => {
  const [local, { make, refuse, made }] = [new LocalMedia(), effect()];
  const problems: string[] = [];
  local.on('problem', ({ source, error }) => problems.push(`${source}: ${error.problem}`));
  await local.setCameraEffect(make);
  refuse(new Error('no'));
  await expect(local.setCamera(true)).rejects.toMatchObject({ problem: 'effect', message: 'no' });
  expect([local.state.camera, opened[0]?.readyState, problems]).toEqual([null, 'ended', ['camera: effect']]);
  await local.start();
  expect([local.state.camera, local.state.microphoneOn]).toEqual([null, true]);
  expect(opened.map(({ kind, readyState }) => `${kind} ${readyState}`)).toEqual(['video ended', 'audio live', 'video ended']);
  expect(problems.length).toBe(2);
  refuse(undefined);
  await local.setCamera(true);
  expect(local.state.camera).toBe(made[0]?.track);
});

test('where the camera is shown as it is already, an effect that cannot be made changes nothing', async () => {
  const [local, { make, refuse }] = [new LocalMedia(), effect()];
  await local.setCamera(true);
  refuse(new Error('no'));
  await expect(local.setCameraEffect(make)).rejects.toThrow('no');
  expect(local.state.camera).toBe(opened[0]);
  await local.setCamera(false);
  await local.setCamera(true);
  expect(local.state.camera).toBe(opened[1]);
});

test('an effect that fails later turns the camera off, unless it is of another one', async () => {
  const [local, { make, made }] = [new LocalMedia(), effect()];
  const problems: string[] = [];
  local.on('problem', ({ error }) => problems.push(error.problem));
  await local.setCameraEffect(make);
  await local.setCamera(true);
  const seen = await call(local);
  await local.useDevice('camera', 'other');
  made[0]?.fail(new Error('late'));
  await Promise.resolve();
  expect([local.state.camera, problems]).toEqual([made[1]?.track, []]);
  made[1]?.fail(new Error('it died'));
  await vi.waitFor(() => expect(problems).toEqual(['effect']));
  expect([local.state.camera, opened[1]?.readyState]).toEqual([null, 'ended']);
  await vi.waitFor(() => expect(seen.at(-1)).toBe(null));
});
