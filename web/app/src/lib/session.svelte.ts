import { AlthingError, Call, Encryption, isAlthingError, LocalMedia, PROCESSING } from '@althing/sdk';
import type { CallOptions, CallStatus, CameraEffect, DeviceProblem, LocalState, MediaState, Processing, RecordingInfo, RoomState, Route, ScreenContent, Token, Unreached } from '@althing/sdk';
import { m } from '../paraglide/messages.js';
import { inviteLink, readAddress, roomAddress, socketAddress } from './address.ts';
import { canBlur } from './background/support.ts';
import { draft } from './draft.svelte.ts';
import { files } from './files.svelte.ts';
import { gestures } from './gestures.svelte.ts';
import { preferences } from './preferences.ts';
import { quality } from './quality.svelte.ts';
import { stage } from './stage.svelte.ts';
import { tilesOf } from './people.ts';
import type { TileView } from './people.ts';
import { rememberRoom } from './rooms.ts';
import { Viewing } from './viewing.ts';
import { witness } from './witness.svelte.ts';
import { endReason, joinProblem, recordingPause, recordsLocally, refusal, troubleInCall } from './wording.ts';

declare global {
  interface Window {
    /** The call that the page is in, for debugging: `await althing.stats()`, `althing.diagnostics()`. */
    althing: Call | undefined;
  }
}

/** A short notice that goes away by itself. */
export interface Notice {
  id: number;
  text: string;
  alarm: boolean;
}

/** How a room is entered that belongs to a call of a person. */
export interface Called {
  /** Opens the room. */
  token: Token | undefined;
  /** The name of the other end. */
  partner: string;
}

/** What is shown beside the stage. */
export type Panel = 'chat' | 'people' | 'statistics';

/** A call that was going on when a page was reloaded. */
export interface Interrupted {
  room: string;
  name: string;
}

/** What blurs the background is loaded when it is first to be blurred. */
const blurred: CameraEffect = async (camera) => (await import('./background/effect.ts')).blurred(camera);
/** Whoever waits at the door knocks so often (ms): less is not let in sooner by much. */
const KNOCK_EVERY = 2000;
/** A call that was going on when the page was reloaded is taken up again within this time (ms). */
const RELOAD_WITHIN = 30_000;
const RELOAD_KEY = 'althing.call';

/** What the page is doing: in the lobby or in a call, with which devices. The one place that the components look at. */
class Session {
  readonly local = new LocalMedia();
  readonly address = readAddress(location.href);
  readonly viewing = new Viewing((...shown) => this.call?.view(...shown));
  call = $state.raw<Call | undefined>(undefined);
  devices = $state.raw<LocalState>(this.local.state);
  deviceProblems = $state<Partial<Record<'camera' | 'microphone', DeviceProblem>>>({});
  room = $state.raw<RoomState | undefined>(undefined);
  tiles = $state.raw<TileView[]>([]);
  /** The name of the other end of a call that was made by calling; none in a room that people meet in. */
  partner = $state<string | undefined>(undefined);
  /** What opened the room; none where the server asks for none. */
  get token(): string | undefined {
    const given = typeof this.#token === 'function' ? this.#token() : this.#token;
    return typeof given === 'string' ? given : undefined;
  }
  #token: Token | undefined;
  status = $state<CallStatus>('idle');
  mediaState = $state<MediaState>('new');
  /** Why no way to the server's media has been found, while that is so. */
  unreached = $state.raw<Unreached | undefined>(undefined);
  /** It was this member's wish that the call goes through the server. */
  movedToServer = $state(false);
  route = $state.raw<Route>({ via: 'none' });
  /** Whether the page waits at the door of a locked room. */
  knocking = $state(false);
  /** Whether the last attempt to join failed because the room is locked. */
  lockedOut = $state(false);
  /** The secret with which rooms are entered that are encrypted end to end. */
  secret = $state(this.address.secret !== undefined && Encryption.isSecret(this.address.secret) ? this.address.secret : undefined);
  /** Members of whom nothing can be read. */
  unreadable = $state.raw<ReadonlySet<string>>(new Set());
  /** Why the last attempt to join failed, or why the call is over. */
  message = $state('');
  panel = $state<Panel | undefined>(undefined);
  unread = $state(0);
  notices = $state<Notice[]>([]);
  soundBlocked = $state(false);
  development = $state(false);
  /** Times that everyone was asked to play, so that blocked sound is tried again. */
  playAttempt = $state(0);
  /** The device that sounds; the system's, if nothing is chosen. */
  speaker = $state(preferences.read().speaker ?? '');
  processing = $state.raw<Processing>({ ...PROCESSING, ...preferences.read().processing });
  screenContent = $state<ScreenContent>(preferences.read().screenContent ?? 'text');
  /** Whether the background of the own camera is blurred. */
  blur = $state(canBlur() && (preferences.read().blur ?? false));
  /** Whether that is about to change. */
  blurring = $state(false);
  #noticeCount = 0;
  /** The room that people met in last: who leaves it, or loses it, finds it in the lobby. */
  lastRoom = '';
  /** The server's recording of the call when it was looked at last. */
  #recorded: RecordingInfo | undefined;
  /** Who knocks, as far as it was told. */
  #known = new Set<string>();
  /** Read when the page loads: the lobby is also there for a moment while a page goes away. */
  #interrupted = readInterrupted();

  constructor() {
    const remembered = preferences.read();
    this.local.preferDevice('camera', remembered.camera);
    this.local.preferDevice('microphone', remembered.microphone);
    void this.local.setProcessing(this.processing);
    void this.local.setScreenContent(this.screenContent);
    if (this.blur) void this.local.setCameraEffect(blurred);
    this.local.on('change', (state) => this.#devicesChanged(state));
    this.local.on('problem', ({ source, error }) => {
      if (error.problem === 'effect') return this.#blurLost();
      if (source === 'camera' || source === 'microphone') {
        this.deviceProblems = { ...this.deviceProblems, [source]: error.problem };
        const device = source === 'camera' ? m.camera() : m.microphone();
        if (this.inCall) this.notify(m.device_lost({ device }), true);
      } else if (error.problem !== 'dismissed') this.notify(m.screen_failed(), true);
    });
    addEventListener('pagehide', () => this.#reloading());
    addEventListener('online', () => this.call?.networkChanged());
  }

  get inCall(): boolean {
    return this.room !== undefined;
  }

  /** Whether the call is encrypted end to end. */
  get encrypted(): boolean {
    return this.room?.encrypted ?? false;
  }

  /** Enters a room; `called` when it is that of a call that was made by calling. */
  async join(room: string, name: string, called?: Called): Promise<void> {
    this.lockedOut = false;
    const refusal = await this.#enter(room, name, called);
    this.message = refusal ? wordsOf(refusal) : '';
    this.lockedOut = isAlthingError(refusal, 'locked');
  }

  /** Asks the moderators of a locked room until one of them has answered, or `stopKnocking`. */
  async knock(room: string, name: string): Promise<void> {
    this.knocking = true;
    this.message = '';
    // Whoever knocks again is known by it, where no token says who it is.
    const me = `guest-${[...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    while (this.knocking) {
      const refusal = await this.#enter(room, name, undefined, me);
      if (!isAlthingError(refusal, 'locked')) {
        if (this.knocking && refusal) this.message = wordsOf(refusal);
        this.lockedOut = false;
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, KNOCK_EVERY));
    }
    this.knocking = false;
  }

  stopKnocking(): void {
    this.knocking = false;
    // One that is let in just now has left again.
    void this.call?.leave();
  }

  /** Whether rooms that are entered now are encrypted end to end. */
  encrypt(on: boolean): void {
    this.secret = on ? (this.secret ?? Encryption.draw()) : undefined;
  }

  /** Enters a room; what stands against it. */
  async #enter(room: string, name: string, called?: Called, knockAs?: string): Promise<unknown> {
    const open = called ? undefined : this.#wouldBeOpen(room);
    if (open !== undefined) return open;
    const call = new Call({ url: socketAddress(location), receive: this.address.receive, data: this.address.data, ...this.#encryption(called) });
    window.althing = call;
    this.call = call;
    this.partner = called?.partner;
    this.movedToServer = false;
    this.#token = called ? called.token : this.address.token;
    this.#follow(call);
    try {
      await this.local.enter(call);
      const { grants } = await call.join({ room, name, token: this.#token, ...(knockAs === undefined ? {} : { me: knockAs, knock: true }) });
      // What may not be published is not held either: its light would say that others see it.
      if (!grants.publish.includes('camera')) await this.local.setCamera(false).catch(() => undefined);
      if (!grants.publish.includes('microphone')) await this.local.setMicrophone(false).catch(() => undefined);
      preferences.write({ name });
      this.development = call.server?.features.development ?? false;
      if (!called) {
        rememberRoom(room, this.address.token);
        history.replaceState(null, '', roomAddress(room, { ...this.address, secret: this.secret }));
      }
      return undefined;
    } catch (error) {
      this.local.exit();
      return error;
    }
  }

  /** Why a call whose link has a key could not be encrypted: then it is not entered, for the first to come would have it open for all. */
  #wouldBeOpen(room: string): string | undefined {
    if (this.secret !== undefined) return Encryption.isSupported ? undefined : m.error_cannot_encrypt();
    const { room: linked, secret } = this.address;
    return room === linked && secret !== undefined && !Encryption.isSecret(secret) ? m.error_key() : undefined;
  }

  /** What encrypts a call that is entered now; one that was made by calling has no secret. */
  #encryption(called: Called | undefined): Pick<CallOptions, 'encryption'> {
    if (this.secret === undefined || called) return {};
    return { encryption: new Encryption(this.secret, new Worker(new URL('./e2ee.worker.ts', import.meta.url), { type: 'module', name: 'encryption' })) };
  }

  async leave(): Promise<void> {
    await this.call?.leave();
  }

  /** Has a direct call go through the server; whoever wished for it may take that back. */
  async moveToServer(): Promise<void> {
    await this.call?.setPolicy('sfu');
    this.movedToServer = true;
  }

  async toggleMicrophone(): Promise<void> {
    await this.#with('microphone', () => this.local.setMicrophone(!this.devices.microphoneOn));
  }

  async toggleCamera(): Promise<void> {
    await this.#with('camera', () => this.local.setCamera(!this.devices.camera));
  }

  async toggleScreen(): Promise<void> {
    await this.local.setScreen(!this.devices.screen).catch((error: unknown) => this.#problem(error));
  }

  /** Asks for the devices that were on the last time. */
  async openDevices(): Promise<void> {
    const { cameraOn = true, microphoneOn = true } = preferences.read();
    this.deviceProblems = {};
    if (cameraOn && microphoneOn) await this.local.start();
    else if (cameraOn) await this.local.setCamera(true).catch(() => undefined);
    else if (microphoneOn) await this.local.setMicrophone(true).catch(() => undefined);
  }

  async useDevice(kind: 'camera' | 'microphone', deviceId: string): Promise<void> {
    preferences.write({ [kind]: deviceId });
    await this.#with(kind, () => this.local.useDevice(kind, deviceId));
  }

  /** Blurs what is behind oneself, or no longer. */
  async blurBackground(on: boolean): Promise<void> {
    this.blurring = true;
    try {
      await this.local.setCameraEffect(on ? blurred : undefined);
      this.blur = on;
      preferences.write({ blur: on });
    } catch (error) {
      this.notify(m.blur_failed({ message: error instanceof Error ? error.message : String(error) }), true);
    } finally {
      this.blurring = false;
    }
  }

  useSpeaker(deviceId: string): void {
    this.speaker = deviceId;
    preferences.write({ speaker: deviceId });
  }

  async process(change: Partial<Processing>): Promise<void> {
    this.processing = { ...this.processing, ...change };
    preferences.write({ processing: this.processing });
    await this.local.setProcessing(this.processing).catch((error: unknown) => this.#problem(error));
  }

  async shareAs(content: ScreenContent): Promise<void> {
    this.screenContent = content;
    preferences.write({ screenContent: content });
    await this.local.setScreenContent(content).catch((error: unknown) => this.#problem(error));
  }

  /** What to send to whom one wants to meet. */
  inviteLink(): string {
    return inviteLink(location.origin, this.room?.room ?? '', this.secret);
  }

  async copyInvite(): Promise<void> {
    const link = this.inviteLink();
    try {
      await navigator.clipboard.writeText(link);
      this.notify(m.link_copied());
    } catch {
      this.notify(m.link_not_copied({ link }), true);
    }
  }

  /** Says that something was refused. */
  refused(error: unknown): void {
    this.notify(refusal(error), true);
  }

  /** Opens a side panel, or closes it when it is open. */
  show(panel: Panel | undefined): void {
    this.panel = this.panel === panel ? undefined : panel;
    if (this.panel === 'chat') this.unread = 0;
  }

  /** Somebody has clicked: browsers play sound now. */
  hear(): void {
    this.soundBlocked = false;
    this.playAttempt += 1;
  }

  notify(text: string, alarm = false): void {
    const notice = { id: ++this.#noticeCount, text, alarm };
    this.notices = [...this.notices.slice(-3), notice];
    setTimeout(() => (this.notices = this.notices.filter((other) => other.id !== notice.id)), alarm ? 8000 : 4000);
  }

  /** The call that a reload has interrupted, told once. */
  takeInterrupted(): Interrupted | undefined {
    const found = this.#interrupted;
    this.#interrupted = undefined;
    return found?.room === this.address.room ? found : undefined;
  }

  #follow(call: Call): void {
    stage.follow(call);
    gestures.follow(call);
    files.follow(call);
    draft.follow(call);
    files.onoffer = () => {
      if (this.panel !== 'chat') this.unread += 1;
    };
    quality.follow(call);
    call.on('change', () => {
      if (call === this.call) this.#refresh(call);
    });
    call.on('chat', () => {
      if (this.panel !== 'chat') this.unread += 1;
    });
    call.on('memberJoined', (member) => this.partner === undefined && this.notify(m.joined_event({ name: member.name })));
    call.on('memberLeft', ({ member, reason }) => {
      if (this.partner !== undefined) return;
      const say = reason === 'kicked' ? m.kicked_event : reason === 'lost' ? m.lost_event : m.left_event;
      this.notify(say({ name: member.name }));
    });
    // That nothing was found of the server is said for as long as it is so, above the call.
    const saidElsewhere = (error: AlthingError) => error.code === 'forbidden' || error.code === call.unreached?.code;
    call.on('screenshot', ({ by, member }) => {
      const name = (of: string) => [call.room?.me, ...(call.room?.members ?? [])].find((other) => other?.member === of)?.name ?? of;
      this.notify(m.screenshot_taken({ by: name(by), name: name(member) }));
    });
    call.on('problem', (error) => saidElsewhere(error) || this.notify(troubleInCall(error), true));
    call.on('ended', (error) => this.#ended(call, error));
    witness.follow(call, (member, what) => {
      const name = call.room?.members.find((other) => other.member === member)?.name;
      if (name !== undefined) this.notify(recordsLocally(what, name), true);
    });
  }

  #refresh(call: Call): void {
    this.room = call.status === 'ended' || call.status === 'joining' ? undefined : call.room;
    this.status = call.status;
    this.mediaState = call.mediaState;
    this.unreached = call.unreached;
    this.route = call.route;
    this.unreadable = call.unreadable;
    this.#tellKnocking(call.room?.knocking ?? []);
    if (this.room && this.partner === undefined) this.lastRoom = this.room.room;
    this.#tellRecording();
    this.tiles = tilesOf(call, this.devices);
  }

  /** The camera is off by now: nobody sees what was to be hidden, unless its person turns it on again. */
  #blurLost(): void {
    this.blur = false;
    preferences.write({ blur: false });
    void this.local.setCameraEffect(undefined);
    this.notify(m.blur_lost(), true);
  }

  #tellKnocking(people: RoomState['knocking']): void {
    for (const { member, name } of people) if (!this.#known.has(member)) this.notify(m.knocks_event({ name: name || member }));
    this.#known = new Set(people.map(({ member }) => member));
  }

  /**
   * That it is recorded, or that this pauses, is shown for as long as it is so. What changes would be overlooked, by whoever hears the page above all: it may
   * be over because the server was, and be written no longer in the middle of a word.
   */
  #tellRecording(): void {
    if (!this.room) return;
    const [before, now] = [this.#recorded, this.room.recording];
    this.#recorded = now;
    if (before === now) return;
    if (before && !now) this.notify(m.recording_over());
    if (now?.paused && now.paused !== before?.paused) this.notify(recordingPause(now.paused), true);
    if (now && before?.paused && !now.paused) this.notify(m.recording_resumed());
    if (now?.unattended && !before?.unattended) this.notify(m.recording_unattended());
  }

  #ended(call: Call, error: AlthingError): void {
    if (call !== this.call) return;
    this.#recorded = undefined;
    if (call.room) this.message = endReason(error);
    this.local.exit();
    this.room = undefined;
    this.partner = undefined;
    this.panel = undefined;
    this.unread = 0;
    this.soundBlocked = false;
  }

  #devicesChanged(state: LocalState): void {
    this.devices = state;
    if (state.camera) delete this.deviceProblems.camera;
    if (state.microphone) delete this.deviceProblems.microphone;
    if (this.call) this.tiles = tilesOf(this.call, state);
  }

  /** Does something with a device, remembers whether it is on; what goes wrong is told by the device itself. */
  async #with(kind: 'camera' | 'microphone', act: () => Promise<void>): Promise<void> {
    await act().catch((error: unknown) => this.#problem(error));
    preferences.write(kind === 'camera' ? { cameraOn: this.devices.camera !== null } : { microphoneOn: this.devices.microphoneOn });
  }

  #problem(error: unknown): void {
    if (error instanceof AlthingError && error.code !== 'closed') this.notify(troubleInCall(error), true);
  }

  #reloading(): void {
    if (this.partner !== undefined) return this.call?.leaveNow();
    if (!this.room) return;
    try {
      sessionStorage.setItem(RELOAD_KEY, JSON.stringify({ room: this.room.room, name: this.room.me.name, at: Date.now() }));
    } catch {
      // Then the lobby asks again.
    }
    this.call?.leaveNow();
  }
}

function wordsOf(error: unknown): string {
  return error instanceof AlthingError ? joinProblem(error) : String(error);
}

function readInterrupted(): Interrupted | undefined {
  try {
    const found = JSON.parse(sessionStorage.getItem(RELOAD_KEY) ?? 'null') as (Interrupted & { at: number }) | null;
    sessionStorage.removeItem(RELOAD_KEY);
    return found && Date.now() - found.at < RELOAD_WITHIN ? found : undefined;
  } catch {
    return undefined;
  }
}

export const session = new Session();
