import type { Processed } from '@althing/sdk';
import { RATE } from './said.ts';
import type { Order, Told } from './said.ts';
import { hasStreams } from './support.ts';

/** What TypeScript's library does not know of mediacapture-transform. */
interface TrackProcessor {
  readonly readable: ReadableStream<VideoFrame>;
}
interface TrackGenerator extends MediaStreamTrack {
  readonly writable: WritableStream<VideoFrame>;
}
declare const MediaStreamTrackProcessor: new (init: { track: MediaStreamTrack; maxBufferSize?: number }) => TrackProcessor;
declare const MediaStreamTrackGenerator: new (init: { kind: 'video' }) => TrackGenerator;

/** The model is loaded, and the first picture made, within this time (ms): on a slow line it is 1 MB. */
const PATIENCE = 20_000;

/** Blurs what is behind whoever is before a camera. */
export async function blurred(camera: MediaStreamTrack): Promise<Processed> {
  const worker = new Worker(new URL('./background.worker.ts', import.meta.url), { type: 'module', name: 'background' });
  const told = new Ears(worker);
  try {
    const { track, close } = await (hasStreams() ? byStreams : byCanvas)(camera, worker, told);
    track.contentHint = 'motion';
    return {
      track,
      failed: told.failed,
      close: () => {
        told.close();
        close();
        track.stop();
        // It has read its last picture by then, or is stuck.
        worker.postMessage({ type: 'close' } satisfies Order);
        setTimeout(() => worker.terminate(), 500);
      },
    };
  } catch (error) {
    told.close();
    worker.terminate();
    throw error;
  }
}

interface Made {
  track: MediaStreamTrack;
  close: () => void;
}

async function byStreams(camera: MediaStreamTrack, worker: Worker, told: Ears): Promise<Made> {
  const { readable } = new MediaStreamTrackProcessor({ track: camera, maxBufferSize: 1 });
  const track = new MediaStreamTrackGenerator({ kind: 'video' });
  const { writable } = track;
  worker.postMessage({ type: 'streams', readable, writable } satisfies Order, [readable, writable]);
  await told.first('begun');
  return { track, close: () => undefined };
}

async function byCanvas(camera: MediaStreamTrack, worker: Worker, told: Ears): Promise<Made> {
  const video = document.createElement('video');
  [video.muted, video.playsInline, video.srcObject] = [true, true, new MediaStream([camera])];
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d', { alpha: false });
  if (!pen) throw new Error('this browser draws on no canvas');
  const stream = canvas.captureStream(RATE);
  const [track] = stream.getVideoTracks();
  if (!track) throw new Error('this browser gives no pictures of a canvas');
  const close = () => (video.srcObject = null);
  try {
    await video.play();
    told.on('next', async () => {
      // A camera that stands still has nothing new; whoever waits for its first picture waits here.
      if (video.readyState < 2) await new Promise((resolve) => video.addEventListener('loadeddata', resolve, { once: true }));
      const picture = await createImageBitmap(video);
      worker.postMessage({ type: 'picture', picture } satisfies Order, [picture]);
    });
    told.on('made', ({ picture }) => {
      if (canvas.width !== picture.width || canvas.height !== picture.height) [canvas.width, canvas.height] = [picture.width, picture.height];
      pen.drawImage(picture, 0, 0);
      picture.close();
    });
    worker.postMessage({ type: 'pictures' } satisfies Order);
    await told.first('made');
    return { track, close };
  } catch (error) {
    close();
    throw error;
  }
}

type Handlers = { [Type in Told['type']]?: (told: Extract<Told, { type: Type }>) => void | Promise<void> };

/** Hears what the worker tells, and whether it has died. */
class Ears {
  readonly failed: Promise<Error>;
  readonly #handlers: Handlers = {};
  readonly #waiting = new Map<Told['type'], () => void>();
  #fail: (error: Error) => void = () => undefined;
  #closed = false;

  constructor(worker: Worker) {
    this.failed = new Promise((resolve) => (this.#fail = resolve));
    worker.onmessage = ({ data }: MessageEvent<Told>) => void this.#hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      if (!this.#closed) this.#fail(new Error(event.message || 'its worker could not be started'));
    };
  }

  on<Type extends Told['type']>(type: Type, handler: Handlers[Type]): void {
    this.#handlers[type] = handler;
  }

  /** Waits for the first of a kind. */
  first(type: Told['type']): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no picture came in time')), PATIENCE);
      this.#waiting.set(type, () => {
        clearTimeout(timer);
        resolve();
      });
      void this.failed.then((error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
  }

  close(): void {
    this.#closed = true;
  }

  async #hear(told: Told): Promise<void> {
    if (this.#closed) return;
    if (told.type === 'failed') return this.#fail(new Error(told.message));
    try {
      await (this.#handlers[told.type] as ((told: Told) => void | Promise<void>) | undefined)?.(told);
    } catch (error) {
      if (!this.#closed) this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    this.#waiting.get(told.type)?.();
    this.#waiting.delete(told.type);
  }
}
