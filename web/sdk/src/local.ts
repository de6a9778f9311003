import { DeviceError, hintOf, openBoth, openCamera, openMicrophone, openScreen, PROCESSING } from './devices.ts';
import type { Processing, ScreenContent } from './devices.ts';
import type { CameraEffect, Processed } from './effect.ts';
import { Emitter } from './emitter.ts';
import type { Publication } from './publisher.ts';
import type { Source } from './wire.ts';

/** Where publications go: a call. */
export interface Stage {
  publish: (publication: Publication) => Promise<void>;
  unpublish: (source: Source) => Promise<void>;
}

/** The devices of this end, as they are now. */
export interface LocalState {
  readonly microphone: MediaStreamTrack | null;
  /** What is shown and sent of the camera: what the effect makes of it, where there is one. */
  readonly camera: MediaStreamTrack | null;
  readonly screen: MediaStreamTrack | null;
  readonly screenAudio: MediaStreamTrack | null;
  /** Whether the microphone is on: it may be held and silent. */
  readonly microphoneOn: boolean;
}

export interface LocalEvents {
  change: LocalState;
  /** A device could not be had, or was lost. */
  problem: { source: Source; error: DeviceError };
}

/**
 * Camera, microphone and screen of this end, before and during a call. A camera that is off is released, so
 * that its light goes out; a microphone that is off is kept, so that it comes back without a gap.
 */
export class LocalMedia extends Emitter<LocalEvents> {
  #state: LocalState = { microphone: null, camera: null, screen: null, screenAudio: null, microphoneOn: false };
  #stage: Stage | undefined;
  #devices: { camera?: string; microphone?: string } = {};
  #processing: Processing = PROCESSING;
  #content: ScreenContent = 'text';
  #effect: CameraEffect | undefined;
  /** The camera itself, and what is made of it. */
  #camera: { device: MediaStreamTrack; processed: Processed | undefined } | undefined;
  /** What was published once stays published, muted when off: turning it on again costs no offer. */
  #published = new Set<Source>();
  #turns = new Map<Source, Promise<void>>();

  get state(): LocalState {
    return this.#state;
  }

  /** The device that is held; none where none is. */
  deviceOf(kind: 'camera' | 'microphone'): string | undefined {
    return (kind === 'camera' ? this.#camera?.device : this.#state.microphone)?.getSettings().deviceId;
  }

  /** Publishes what is on, now and from now on. */
  async enter(stage: Stage): Promise<void> {
    this.#stage = stage;
    this.#published.clear();
    await Promise.all((['microphone', 'camera', 'screen', 'screen_audio'] as const).map((source) => this.#show(source)));
  }

  /** The call is over; the devices stay as they are, the screen is shared no longer. */
  exit(): void {
    this.#stage = undefined;
    void this.setScreen(false);
  }

  /** Turns camera and microphone on with one question to the person; each by itself when both together cannot be had. */
  async start(): Promise<void> {
    const both = await openBoth(this.#devices, this.#processing).catch(() => undefined);
    if (both) this.#hold('microphone', both.microphone);
    // One whose picture cannot be made what it should be is not opened once more.
    const camera = both ? this.#inTurn('camera', () => this.#take(both.camera)).then(() => this.setCamera(true)) : this.setCamera(true);
    await Promise.allSettled([camera, this.setMicrophone(true)]);
  }

  /** Turns the microphone on or off. */
  setMicrophone(on: boolean): Promise<void> {
    return this.#inTurn('microphone', async () => {
      if (on && !this.#state.microphone) await this.#open('microphone', () => openMicrophone(this.#devices.microphone, this.#processing));
      const track = this.#state.microphone;
      if (track) track.enabled = on;
      this.#become({ microphoneOn: on && track !== null });
      await this.#show('microphone');
    });
  }

  /** Turns the camera on or off. */
  setCamera(on: boolean): Promise<void> {
    return this.#inTurn('camera', async () => {
      if (on && !this.#state.camera) await this.#open('camera', () => openCamera(this.#devices.camera));
      else if (!on) this.#release('camera');
      await this.#show('camera');
    });
  }

  /** Begins or ends sharing the screen; beginning asks the person what to share. */
  setScreen(on: boolean): Promise<void> {
    return this.#inTurn('screen', () => this.#share(on));
  }

  /** Uses this device from now on, at once if the kind is on. */
  useDevice(kind: 'camera' | 'microphone', deviceId: string): Promise<void> {
    return this.#inTurn(kind, () => this.#exchange(kind, deviceId));
  }

  /**
   * What is made of the camera's picture from now on, at once if it is on; none: it is shown as it is. Rejects when it cannot be made of the
   * one that is on, which goes on as it was. A camera of which it cannot be made later does not come on.
   */
  setCameraEffect(effect: CameraEffect | undefined): Promise<void> {
    return this.#inTurn('camera', async () => {
      if (this.#effect === effect) return;
      const held = this.#camera;
      const made = held && effect ? await effect(held.device) : undefined;
      this.#effect = effect;
      if (!held) return;
      // Lost meanwhile.
      if (this.#camera !== held) return made?.close();
      const before = held.processed;
      this.#expose(held.device, made);
      await this.#show('camera');
      // What is sent goes on until the other one is.
      before?.close();
    });
  }

  /** What the browser does with the microphone's sound from now on. */
  async setProcessing(processing: Processing): Promise<void> {
    this.#processing = processing;
    const deviceId = this.deviceOf('microphone');
    // Browsers do not change it under a track that goes on.
    if (this.#state.microphone) await this.#inTurn('microphone', () => this.#exchange('microphone', deviceId));
  }

  /** What a shared screen shows most of, at once if one is shared. */
  async setScreenContent(content: ScreenContent): Promise<void> {
    this.#content = content;
    const { screen } = this.#state;
    if (!screen) return;
    screen.contentHint = hintOf(content);
    await screen.applyConstraints({ frameRate: { ideal: content === 'text' ? 15 : 30, max: 30 } }).catch(() => undefined);
    // What is sent follows what is published.
    await this.#inTurn('screen', () => this.#show('screen'));
  }

  /** Which device is to be used, before the first is opened. */
  preferDevice(kind: 'camera' | 'microphone', deviceId: string | undefined): void {
    if (deviceId) this.#devices[kind] = deviceId;
  }

  /** Releases everything. */
  close(): void {
    this.#stage = undefined;
    for (const key of ['microphone', 'camera', 'screen', 'screenAudio'] as const) this.#release(key);
    this.#become({ microphoneOn: false });
  }

  async #share(on: boolean): Promise<void> {
    if (on === (this.#state.screen !== null)) return;
    if (on) {
      const { video, audio } = await this.#try('screen', () => openScreen(this.#content));
      video.onended = () => void this.setScreen(false);
      this.#become({ screen: video, screenAudio: audio ?? null });
    } else {
      this.#release('screen');
      this.#release('screenAudio');
    }
    await Promise.all([this.#show('screen'), this.#show('screen_audio')]);
  }

  async #exchange(kind: 'camera' | 'microphone', deviceId: string | undefined): Promise<void> {
    if (deviceId !== undefined) this.#devices[kind] = deviceId;
    if (!this.#state[kind]) return;
    const { enabled } = this.#state[kind];
    // Released first: some systems do not open two devices of a kind, or not the same one twice.
    this.#release(kind);
    try {
      await this.#open(kind, () => (kind === 'camera' ? openCamera(deviceId) : openMicrophone(deviceId, this.#processing)));
      if (this.#state[kind]) this.#state[kind].enabled = enabled;
    } finally {
      if (kind === 'microphone') this.#become({ microphoneOn: this.#state.microphone?.enabled ?? false });
      await this.#show(kind);
    }
  }

  /** One thing after another per source: a camera turned on and off again quickly ends off. */
  #inTurn(source: Source, act: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(source) ?? Promise.resolve()).then(act);
    this.#turns.set(
      source,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #open(kind: 'camera' | 'microphone', open: () => Promise<MediaStreamTrack>): Promise<void> {
    const track = await this.#try(kind, open);
    if (kind === 'camera') await this.#take(track);
    else this.#hold(kind, track);
  }

  /** Holds a camera, once there is what is to be made of it: as it is, nobody shall see it then. */
  async #take(device: MediaStreamTrack): Promise<void> {
    const effect = this.#effect;
    try {
      const made = effect && (await this.#try('camera', () => effect(device).catch((error: unknown) => Promise.reject(new DeviceError('effect', textOf(error))))));
      this.#hold('camera', device, made);
    } catch (error) {
      device.stop();
      throw error;
    }
  }

  #hold(kind: 'camera' | 'microphone', track: MediaStreamTrack, made?: Processed): void {
    // Unplugged, or taken back by the person: `stop` on our side does not fire this.
    track.onended = () => this.#lose(kind, new DeviceError('not_found', 'the device was lost'));
    this.#release(kind);
    if (kind === 'camera') this.#expose(track, made);
    else this.#become({ microphone: track });
  }

  /** Shows a camera as what was made of it, or as it is. */
  #expose(device: MediaStreamTrack, processed: Processed | undefined): void {
    this.#camera = { device, processed };
    void processed?.failed.then((error) => {
      if (this.#camera?.processed === processed) this.#lose('camera', new DeviceError('effect', error.message));
    });
    this.#become({ camera: processed?.track ?? device });
  }

  #lose(kind: 'camera' | 'microphone', error: DeviceError): void {
    this.#release(kind);
    if (kind === 'microphone') this.#become({ microphoneOn: false });
    this.emit('problem', { source: kind, error });
    void this.#show(kind);
  }

  async #try<T>(source: Source, open: () => Promise<T>): Promise<T> {
    try {
      return await open();
    } catch (error) {
      const problem = error instanceof DeviceError ? error : new DeviceError('failed', String(error));
      this.emit('problem', { source, error: problem });
      throw problem;
    }
  }

  #release(key: 'microphone' | 'camera' | 'screen' | 'screenAudio'): void {
    const track = key === 'camera' ? this.#camera?.device : this.#state[key];
    if (!track) return;
    track.onended = null;
    track.stop();
    if (key === 'camera') {
      this.#camera?.processed?.close();
      this.#camera = undefined;
    }
    this.#become({ [key]: null });
  }

  /** Brings the stage to what is on. */
  async #show(source: Source): Promise<void> {
    if (!this.#stage) return;
    const { microphone, camera, screen, screenAudio, microphoneOn } = this.#state;
    const track = { microphone, camera, screen, screen_audio: screenAudio }[source];
    const lasting = source === 'microphone' || source === 'camera';
    if (track || (lasting && this.#published.has(source))) {
      this.#published.add(source);
      await this.#stage.publish({ source, track, muted: source === 'microphone' ? !microphoneOn : track === null });
    } else if (!lasting) await this.#stage.unpublish(source);
  }

  #become(change: Partial<LocalState>): void {
    this.#state = { ...this.#state, ...change };
    this.emit('change', this.#state);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
