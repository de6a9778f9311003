import { m } from '../../paraglide/messages.js';
import { session } from '../session.svelte.ts';
import { AGAIN, witness } from '../witness.svelte.ts';
import type { What } from '../witness.svelte.ts';
import { Clock } from './clock.ts';
import { whole } from './file.ts';
import { Mix } from './mix.ts';
import { SCENE, Scene } from './scene.ts';
import { hold, Store } from './store.ts';
import type { Kept } from './store.ts';
import { everyTick } from './ticks.ts';
import { RATES, typeFor } from './types.ts';
import { WebmIndex } from './webm.ts';

/** A piece has so much (ms): what a crash loses at most. Less writes more often, and each piece costs a file of the browser. */
const PIECE = 1000;
/** Bytes that may wait to be written: a disk that is slower than that ends the recording. */
const WAITING = 64 * 1024 * 1024;

/** Pictures that are so far behind the sound (ms) are drawn less often, down to one of eight: less than four a second is no film. */
const BEHIND = 300;
const MOST_LEFT_OUT = 8;
/** Fifths of a second that the end waits for them. */
const DRAINS = 25;

export type Phase = 'starting' | 'recording' | 'paused' | 'saving';

/** A recording that was brought to its end. */
export interface Finished {
  kept: Kept;
  file: Blob;
  /** What the clock showed last (ms). */
  clock: number;
}

/** A recording as it goes on. It ends with the call at the latest. */
export class Recorder {
  readonly what: What;
  phase = $state<Phase>('starting');
  /** How long it is (ms), without pauses. */
  length = $state(0);
  readonly #ended: (finished: Finished | undefined, problem?: unknown) => void;
  readonly #clock = new Clock(() => performance.now());
  #kept: Kept | undefined;
  #store: Store | undefined;
  #media: MediaRecorder | undefined;
  #index: WebmIndex | undefined;
  /** Time that went by before anything was recorded (ms): what has come in time tells it. */
  #late: number | undefined;
  /** Of so many pictures of the stage one is drawn: more than one where the browser cannot encode them in time. */
  #every = 1;
  #tick = 0;
  #waiting = 0;
  #writing: Promise<void> = Promise.resolve();
  #problem: unknown;
  /** What is to be undone at the end, the last one first. */
  readonly #ends: (() => void)[] = [];

  /** `ended`: told once, with what there is of it, and with what has gone wrong. */
  constructor(what: What, ended: (finished: Finished | undefined, problem?: unknown) => void) {
    this.what = what;
    this.#ended = ended;
  }

  /** Begins; rejects when it cannot, or may not: everybody is told first. */
  async start(): Promise<void> {
    const { call, room } = session;
    if (!call || !room) throw new Error('there is no call');
    try {
      const type = typeFor(this.what, (wanted) => MediaRecorder.isTypeSupported(wanted));
      if (!type) throw new Error(m.recording_unsupported());
      if (!room.grants.data) throw new Error(m.recording_untold());
      const tracks = await this.#sources();
      const store = await Store.open().catch(() => undefined);
      if (!store) throw new Error(m.recording_unkept());
      this.#store = store;
      await witness.say(call, this.what);
      this.#ends.push(() => void witness.say(call, undefined).catch(() => undefined));
      const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
      this.#kept = { id, room: room.room, what: this.what, type, began: Date.now(), length: 0, bytes: 0, pieces: 0, finished: false };
      await store.begin(this.#kept);
      this.#ends.push(hold(id));
      this.#begin(new MediaStream(tracks), type);
      this.#watch();
    } catch (error) {
      this.#release();
      if (this.#kept) void this.#store?.remove(this.#kept.id);
      throw error;
    }
  }

  // The clock follows what is asked for: the events come late where a page is busy, and what is recorded does not.

  pause(): void {
    if (this.phase !== 'recording') return;
    this.#media?.pause();
    this.#clock.stop();
    this.#show();
    this.phase = 'paused';
  }

  resume(): void {
    if (this.phase !== 'paused') return;
    this.#media?.resume();
    this.#clock.start();
    this.phase = 'recording';
  }

  stop(): void {
    const media = this.#media;
    if (!media || media.state === 'inactive' || this.phase === 'saving') return;
    this.#clock.stop();
    this.#show();
    this.phase = 'saving';
    if (media.state === 'recording' && this.#isBehind && !this.#problem) void this.#drain(media);
    else media.stop();
  }

  /** Pictures that wait in the encoder come while it is paused; at the end they would be lost. */
  async #drain(media: MediaRecorder): Promise<void> {
    media.pause();
    for (let look = 0; look < DRAINS && this.#isBehind; look++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (media.state === 'inactive') return;
      media.requestData();
    }
    media.stop();
  }

  get #isBehind(): boolean {
    return (this.#index?.lag ?? 0) > BEHIND;
  }

  /** What is recorded: followed from now on. */
  async #sources(): Promise<MediaStreamTrack[]> {
    const shared = this.what === 'screen' ? await askForScreen() : [];
    for (const track of shared) {
      track.addEventListener('ended', () => track.kind === 'video' && this.stop());
      this.#ends.push(() => track.stop());
    }
    const mix = new Mix();
    this.#ends.push(() => mix.close());
    await mix.start();
    const scene = this.what === 'call' ? new Scene() : undefined;
    if (scene) {
      this.#ends.push(() => scene.close());
      await scene.begin(session.tiles);
      this.#ends.push(session.viewing.stayAwake());
      this.#ends.push(everyTick(1000 / SCENE.rate, () => void (this.#tick++ % this.#every === 0 && scene.draw())));
    }
    this.#ends.push(
      $effect.root(() => {
        $effect(() => {
          scene?.follow(session.tiles);
          mix.follow([...heard(), ...shared.filter(({ kind }) => kind === 'audio')]);
        });
      }),
    );
    return [...(scene ? [scene.track()] : shared.filter(({ kind }) => kind === 'video')), mix.track];
  }

  #begin(stream: MediaStream, type: string): void {
    const options = { mimeType: type, ...RATES, ...(this.what === 'audio' ? {} : { videoKeyFrameIntervalDuration: 2000 }) };
    const media = (this.#media = new MediaRecorder(stream, options));
    this.#ends.push(() => stream.getTracks().forEach((track) => track.stop()));
    if (type.includes('webm')) this.#index = new WebmIndex();
    media.ondataavailable = ({ data }) => void (data.size > 0 && this.#take(data));
    media.onerror = (event) => this.#fail((event as ErrorEvent).error ?? new Error(m.recording_ended_here()));
    media.onstop = () => void this.#finish();
    media.start(PIECE);
    this.#clock.start();
    this.phase = 'recording';
  }

  /** Follows the clock, the call, and whoever comes. */
  #watch(): void {
    const { call, what } = { call: session.call, what: this.what };
    if (!call) return;
    this.#ends.push(everyTick(200, () => this.#show()));
    const repeat = setInterval(() => void witness.say(call, what).catch(() => undefined), AGAIN);
    this.#ends.push(() => clearInterval(repeat));
    this.#ends.push(call.on('memberJoined', ({ member }) => void witness.say(call, what, [member]).catch(() => undefined)));
    this.#ends.push(call.on('ended', () => this.stop()));
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener('beforeunload', ask);
    this.#ends.push(() => removeEventListener('beforeunload', ask));
  }

  #show(): void {
    this.length = Math.max(0, this.#clock.elapsed - (this.#late ?? 0));
  }

  /** One piece after another: into the index, and onto the disk. */
  #take(data: Blob): void {
    this.#waiting += data.size;
    if (this.#waiting > WAITING) return this.#fail(new Error(m.recording_disk_slow()));
    const elapsed = this.#clock.elapsed;
    this.#writing = this.#writing.then(async () => {
      if (this.#problem || !this.#kept || !this.#store) return;
      try {
        const { bytes, pieces } = this.#kept;
        const kept = { ...this.#kept, length: elapsed - (this.#late ?? 0), bytes: bytes + data.size, pieces: pieces + 1 };
        await this.#store.append(kept, data);
        this.#kept = kept;
        this.#learn(new Uint8Array(await data.arrayBuffer()), elapsed);
      } catch (error) {
        this.#fail(error);
      } finally {
        this.#waiting -= data.size;
      }
    });
  }

  /** A browser begins when it has the first picture: no piece has more in it than the time since then. */
  #learn(bytes: Uint8Array, elapsed: number): void {
    this.#index?.feed(bytes);
    const recorded = this.#index?.length ?? 0;
    const lag = this.#index?.lag ?? 0;
    // Pictures that wait in the encoder are lost at the end, and are memory until then.
    if (lag > BEHIND) this.#every = Math.min(MOST_LEFT_OUT, this.#every * 2);
    else if (lag < BEHIND / 3) this.#every = Math.max(1, this.#every / 2);
    if (recorded > 0) this.#late = Math.max(0, Math.min(this.#late ?? Infinity, elapsed - recorded));
  }

  /** What there is is kept; nothing more is. */
  #fail(error: unknown): void {
    this.#problem ??= error;
    this.stop();
  }

  async #finish(): Promise<void> {
    // The browser ends it by itself when its tracks do.
    this.#clock.stop();
    this.#show();
    this.phase = 'saving';
    this.#release();
    try {
      await this.#writing;
      const finished = this.#kept && this.#store ? await finish(this.#store, { ...this.#kept, length: this.length }, this.#index) : undefined;
      this.#ended(finished, this.#problem);
    } catch (error) {
      this.#ended(undefined, error);
    }
  }

  #release(): void {
    for (const end of this.#ends.splice(0).reverse()) end();
  }
}

/** Brings a recording to its end: one that was made, or one that a crash has left. */
export async function finish(store: Store, kept: Kept, index?: WebmIndex): Promise<Finished> {
  const { file, length } = await whole(await store.pieces(kept.id), kept.type, index);
  const done = { ...kept, finished: true, bytes: file.size, length: length ?? kept.length };
  await store.update(done);
  return { kept: done, file, clock: kept.length };
}

/** All that is heard: the own microphone and shared sound too, which this page does not play. */
function heard(): MediaStreamTrack[] {
  void session.tiles;
  const { microphone, screenAudio } = session.devices;
  const others = [...(session.call?.media.values() ?? [])].flatMap(({ camera, screen }) => [camera?.audio, screen?.audio]);
  return [microphone, screenAudio, ...others].filter((track) => track !== null && track !== undefined);
}

/** Sound of the whole system would have all voices twice, unless the browser can leave this page's out. */
async function askForScreen(): Promise<MediaStreamTrack[]> {
  const supported = navigator.mediaDevices.getSupportedConstraints() as { restrictOwnAudio?: boolean };
  const audio = (supported.restrictOwnAudio ? { restrictOwnAudio: true } : true) as MediaTrackConstraints | boolean;
  const options = { video: { frameRate: { ideal: SCENE.rate } }, audio, systemAudio: supported.restrictOwnAudio ? 'include' : 'exclude' };
  const stream = await navigator.mediaDevices.getDisplayMedia(options as DisplayMediaStreamOptions);
  return stream.getTracks();
}
