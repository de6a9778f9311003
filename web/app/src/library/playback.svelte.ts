import { LibraryError } from '@althing/sdk';
import type { Library, LibraryItem } from '@althing/sdk';
import { untrack } from 'svelte';
import { Clock, concession, Drift, median, steer } from './clock.ts';
import { Ears } from './ears.ts';
import { isDead, libraryProblem } from './problem.ts';
import { afterSilence, firstOf, isPresent, lastOf, levelsAt, silences, Speaker, trackAt, wanted, waveOf } from './timeline.ts';
import type { Lane, Need, Timeline, Track, Wave } from './timeline.ts';

/** Speeds that are offered. */
export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3] as const;

/** How often files are compared with the clock (ms). */
const TICK = 50;
/** A recording whose first file begins within so long is shown from that file on (s). */
const BEGINNING = 5;
/** A file is over at its end, and shows its last picture so much before (s). */
const MOMENT = 0.001;
/** All wait for a file that has nothing to play for so long (ms)… */
const PATIENCE = 400;
/** …but for no longer than this (ms): then the others go on. */
const LONGEST_WAIT = 8000;
/** Files that were told to play move after so long at most (ms). */
const START = 500;
/** What a start takes (s) before any was seen. */
const USUAL_START = 0.08;
/** A file is sought no more often than this (ms): a machine that is too slow would do nothing else. */
const BETWEEN_SEEKS = 1500;
/** Waveforms that are asked for at once, and after how many refusals no more are. */
const WAVES_AT_ONCE = 3;
const WAVES_REFUSED = 3;
/** One that the server has no time for is asked for again after this (ms), about so often. */
const WAVE_AGAIN = 3000;
const WAVE_TRIES = 20;
/** A file that cannot be loaded is tried again so often, after this (ms), then twice that, and so on. */
const RETRIES = 4;
const RETRY_AFTER = 700;
/** A waveform that says less often (s) how loud it is does not tell who speaks. */
const FINE_ENOUGH = 1;

type Phase = 'still' | 'waiting' | 'starting' | 'playing';

/** A file that is open. */
interface Entry {
  track: Track;
  element: HTMLMediaElement;
  drift: Drift;
  /** Where it was sought to while the clock stood still. */
  aimed: number | undefined;
  /** When a seek began (ms). */
  sought: number;
  /** What a seek takes (s), as far as it was seen: while others play on one aims so far ahead. */
  cost: number;
  /** Whether it was told to play while others did, and it is not yet known how long that took. */
  joining: boolean;
  /** Since when it has nothing to play (ms). */
  lacking: number | undefined;
  retries: number;
  failed: boolean;
}

/** Plays a meeting: the clock goes on, and every file that is wanted follows it. */
export class Playback {
  readonly timeline: Timeline;
  position = $state(0);
  /** Why nothing of it can be had any more: it was deleted, or is not for whoever looks. */
  lost = $state<string>();
  /** Whether it is to play; it may still wait for something. */
  playing = $state(false);
  waiting = $state(false);
  /** Whether the browser wants a click before it plays. */
  blocked = $state(false);
  speed = $state(1);
  volume = $state(1);
  muted = $state(false);
  volumes = $state<Record<string, number>>({});
  skips = $state(false);
  waves = $state.raw<ReadonlyMap<string, Wave>>(new Map());
  /** Whether all waveforms are there that there will be. */
  wavesKnown = $state(false);
  /** Until all were asked for. */
  wavesAsked = Promise.resolve();
  open = $state.raw<ReadonlyMap<string, Need>>(new Map());
  failed = $state.raw<ReadonlySet<string>>(new Set());
  /** Who is there. */
  present = $state.raw<readonly Lane[]>([]);
  /** Who has the word, and who is heard at all. */
  speaker = $state<string | undefined>(undefined);
  heard = $state.raw<ReadonlySet<string>>(new Set());
  silences = $derived.by(() => silences(this.timeline, this.waves));
  /** Seconds that were not played because nobody spoke. */
  skipped = $state(0);
  readonly #clock = new Clock();
  readonly #entries = new Map<string, Entry>();
  readonly #attachments = new Map<string, (element: HTMLMediaElement) => () => void>();
  readonly #speaker = new Speaker();
  readonly #ears = new Ears();
  #phase: Phase = 'still';
  #since = 0;
  #shown: ReadonlySet<string> = new Set();
  /** How long a file takes to begin (s), as far as it was seen: it is told so much earlier. */
  #start = USUAL_START;
  #timer: ReturnType<typeof setInterval> | undefined;
  #refresh: (() => Promise<LibraryItem>) | undefined;
  #urls = $state.raw<Record<string, string>>({});

  constructor(timeline: Timeline) {
    this.timeline = timeline;
    this.#look(0);
  }

  /** Follows the clock until the returned function is called; `refresh` asks anew for what is played, with fresh links. */
  start(library: Library, refresh: () => Promise<LibraryItem>): () => void {
    this.#refresh = refresh;
    this.#timer = setInterval(() => this.#tick(), TICK);
    this.wavesAsked = this.#loadWaves(library);
    this.#tick();
    return () => {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#ears.close();
    };
  }

  /** When the first file begins, where that is soon (s). */
  get shownFrom(): number {
    const first = firstOf(this.timeline);
    return first < BEGINNING ? first : 0;
  }

  /** Until when who was there last is shown: to the end, where that is soon (s). */
  get shownUntil(): number {
    const last = lastOf(this.timeline);
    return this.length - last < BEGINNING ? last - MOMENT : this.length;
  }

  /** The time whose people are on the stage (s). */
  get shownAt(): number {
    return Math.min(Math.max(this.position, this.shownFrom), this.shownUntil);
  }

  get length(): number {
    return this.timeline.length;
  }

  play(): void {
    if (this.position >= this.length - 0.05) this.seek(0);
    this.playing = true;
    this.blocked = false;
    void this.#ears.open();
    this.#wait();
  }

  pause(): void {
    this.#clock.stop(performance.now());
    this.#phase = 'still';
    this.playing = this.waiting = false;
    this.#tick();
  }

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(to: number): void {
    const now = performance.now();
    this.#clock.stop(now);
    this.#clock.seek(Math.min(this.length, Math.max(0, to)), now);
    for (const entry of this.#entries.values()) {
      entry.aimed = undefined;
      entry.drift.reset();
    }
    if (this.playing) this.#wait();
    this.#tick();
  }

  /** Stops, and goes one picture on or back. */
  step(direction: 1 | -1): void {
    if (this.playing) this.pause();
    this.seek(this.position + direction / 25);
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.#clock.setSpeed(speed, performance.now());
    for (const entry of this.#entries.values()) entry.drift.reset();
  }

  /** The next speed that is offered. */
  changeSpeed(direction: 1 | -1): void {
    const near = SPEEDS.reduce((best, speed) => (Math.abs(speed - this.speed) < Math.abs(best - this.speed) ? speed : best));
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(near) + direction))] ?? 1);
  }

  setVolume(volume: number): void {
    this.volume = Math.min(1, Math.max(0, volume));
    this.muted = false;
    this.#sound();
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    this.#sound();
  }

  setVolumeOf(lane: string, volume: number): void {
    this.volumes = { ...this.volumes, [lane]: Math.min(1, Math.max(0, volume)) };
    this.#sound();
  }

  volumeOf(lane: string): number {
    return this.volumes[lane] ?? 1;
  }

  /** Whose pictures are on the page. */
  show(shown: ReadonlySet<string>): void {
    this.#shown = shown;
  }

  /** An attachment for the element of a file. */
  attach(track: Track): (element: HTMLMediaElement) => () => void {
    // Untracked: a volume that changes must not attach anything anew.
    const found = this.#attachments.get(track.name) ?? ((element: HTMLMediaElement) => untrack(() => this.#add(track, element)));
    this.#attachments.set(track.name, found);
    return found;
  }

  /** Where a file is: links are made anew when they do not lead there any more. */
  urlOf(track: Track): string {
    return this.#urls[track.name] ?? track.url;
  }

  /** How far each file that plays is from the clock (s), for debugging and for tests. */
  report(): { position: number; phase: Phase; open: number; files: { name: string; drift: number; rate: number; paused: boolean }[] } {
    const position = this.#clock.position(performance.now());
    const files = [...this.#entries.values()]
      .filter(({ track }) => this.open.get(track.name) === 'play')
      .map(({ track, element }) => ({ name: track.name, drift: element.currentTime + track.begins - position, rate: element.playbackRate, paused: element.paused }));
    return { position, phase: this.#phase, open: this.#entries.size, files };
  }

  #add(track: Track, element: HTMLMediaElement): () => void {
    const entry: Entry = { track, element, drift: new Drift(), aimed: undefined, sought: 0, cost: 0.1, joining: false, lacking: undefined, retries: 0, failed: false };
    this.#entries.set(track.name, entry);
    const fails = () => void this.#again(entry);
    const arrives = () => {
      entry.retries = 0;
      if (entry.sought) entry.cost = 0.7 * entry.cost + 0.3 * Math.min(1, (performance.now() - entry.sought) / 1000);
      entry.drift.reset();
    };
    element.addEventListener('error', fails);
    element.addEventListener('seeked', arrives);
    this.#soundOf(entry);
    return () => {
      element.removeEventListener('error', fails);
      element.removeEventListener('seeked', arrives);
      this.#ears.forget(element);
      if (this.#entries.get(track.name) === entry) this.#entries.delete(track.name);
      // Its connection is given up at once, not when the element is collected.
      element.pause();
      element.removeAttribute('src');
      element.load();
    };
  }

  /** Tries a file again, with a fresh link: networks fail for a moment, and links expire while a page stays open. What cannot be decoded stays so. */
  async #again(entry: Entry): Promise<void> {
    const { track, element } = entry;
    const isThere = () => this.#entries.get(track.name) === entry;
    const hopeless = element.error?.code === MediaError.MEDIA_ERR_DECODE;
    while (!hopeless && !this.lost && this.#refresh && entry.retries < RETRIES) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER * 2 ** entry.retries));
      entry.retries += 1;
      if (!isThere()) return;
      const item = await this.#refresh().catch((error: unknown) => {
        if (isDead(error)) this.lost = libraryProblem(error, 'item');
      });
      if (!isThere()) return;
      if (!item) continue;
      const before = this.urlOf(track);
      this.#urls = Object.fromEntries(item.files.map((file) => [file.name, file.url]));
      entry.aimed = undefined;
      if (this.urlOf(track) === before) element.load();
      return;
    }
    entry.failed = true;
    this.failed = new Set([...this.failed, track.name]);
  }

  #wait(): void {
    this.#phase = 'waiting';
    this.#since = performance.now();
  }

  #tick(): void {
    const now = performance.now();
    let position = this.#clock.position(now);
    if (this.#clock.runs && position >= this.length) {
      this.#clock.seek((position = this.length), now);
      return this.pause();
    }
    const beyond = this.skips && this.#clock.runs ? afterSilence(this.silences ?? [], position) : undefined;
    if (beyond !== undefined) {
      this.skipped += beyond - position;
      return this.seek(beyond);
    }
    this.position = position;
    this.#look(position);
    const active = this.#active(position);
    for (const entry of this.#entries.values()) if (!active.includes(entry)) this.#rest(entry, position);
    this.waiting = this.#advance(active, position, now) && now - this.#since > PATIENCE;
  }

  /** One step of what all files do together; whether they wait. */
  #advance(active: readonly Entry[], position: number, now: number): boolean {
    switch (this.#phase) {
      case 'still':
        for (const entry of active) this.#rest(entry, position);
        return false;
      case 'waiting': {
        for (const entry of active) this.#rest(entry, position);
        const due = [...this.open].filter(([name, need]) => need === 'play' && !this.failed.has(name)).length;
        const ready = active.length >= due && active.every((entry) => isReady(entry, position));
        if (ready || now - this.#since > LONGEST_WAIT) this.#begin(active, now);
        return true;
      }
      case 'starting': {
        const moving = active.filter(({ element }) => !element.paused && !element.seeking);
        const moved = moving.every(({ element, aimed }) => element.currentTime > (aimed ?? 0) + 0.001);
        if (!moved && now - this.#since < START) return false;
        // The clock begins where they are, so that none has to catch up with how long it took to begin.
        if (moving.length > 0) this.#clock.seek(median(moving.map(({ element, track }) => element.currentTime + track.begins)), now);
        this.#clock.run(now);
        this.#phase = 'playing';
        return false;
      }
      case 'playing':
        this.#concede(active, position, now);
        for (const entry of active) this.#follow(entry, this.#clock.position(now), now);
        if (!active.some(({ lacking }) => lacking !== undefined && now - lacking > PATIENCE && now - lacking < LONGEST_WAIT)) return false;
        this.#clock.stop(now);
        this.#wait();
        return true;
    }
  }

  #begin(active: readonly Entry[], now: number): void {
    [this.#phase, this.#since] = ['starting', now];
    for (const entry of active) {
      entry.aimed = entry.element.currentTime;
      // What was waited for in vain is not waited for again before it has something.
      entry.lacking = isReady(entry, this.position, Infinity) ? undefined : now - LONGEST_WAIT;
      entry.drift.reset();
      this.#go(entry);
    }
  }

  #go({ element }: Entry): void {
    element.playbackRate = this.speed;
    element.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
      this.pause();
      this.blocked = true;
    });
  }

  /** Stands still where the clock is. */
  #rest(entry: Entry, position: number): void {
    const { element } = entry;
    if (!element.paused) element.pause();
    const target = targetOf(entry, position);
    if (element.seeking || entry.aimed === target || Math.abs(element.currentTime - target) < 0.002) return;
    entry.aimed = target;
    entry.sought = 0;
    element.currentTime = target;
  }

  /** Looks where all files are, and sets the clock to where most of them are. */
  #concede(active: readonly Entry[], position: number, now: number): void {
    const moving = active.filter((entry) => isMoving(entry));
    for (const { drift, element, track } of moving) drift.add(element.currentTime + track.begins - position);
    const drifts = moving.map(({ drift, joining }) => (joining ? undefined : drift.value)).filter((value) => value !== undefined);
    const by = concession(drifts);
    if (by === 0) return;
    this.#clock.seek(position + by, now);
    for (const { drift } of moving) drift.shift(by);
  }

  /** Keeps up with the clock. */
  #follow(entry: Entry, position: number, now: number): void {
    const { element, drift } = entry;
    const target = targetOf(entry, position);
    const ready = isReady(entry, position, Infinity);
    entry.lacking = ready ? undefined : (entry.lacking ?? now);
    if (element.seeking || entry.failed || element.ended) return;
    if (element.paused) {
      if (Math.abs(element.currentTime - target) > 0.25) this.#jump(entry, target, now);
      else if (ready) {
        entry.joining = true;
        drift.reset();
        this.#go(entry);
      }
      return;
    }
    if (!ready || drift.value === undefined) return;
    // One that came late by so much is told to begin so much earlier the next time.
    if (entry.joining && element.currentTime > 0.1) this.#start = Math.min(0.3, Math.max(0, this.#start - (0.5 * drift.value) / this.speed));
    if (element.currentTime > 0.1) entry.joining = false;
    const heard = entry.track.sound && !element.muted && (!this.waves.has(entry.track.name) || this.heard.has(entry.track.lane));
    const { rate, seek } = steer(drift.value, this.speed, heard);
    if (seek && now - entry.sought > BETWEEN_SEEKS) this.#jump(entry, target, now);
    else if (Math.abs(element.playbackRate - rate) > 0.001) element.playbackRate = rate;
  }

  #jump(entry: Entry, target: number, now: number): void {
    entry.sought = now;
    entry.drift.reset();
    entry.element.playbackRate = this.speed;
    entry.element.currentTime = target + entry.cost * this.speed;
  }

  /** Which files are open, who is there and who speaks. */
  #look(position: number): void {
    const silenced = new Set(this.timeline.lanes.map((lane) => lane.key).filter((key) => this.volumeOf(key) === 0));
    const open = wanted(this.timeline, { position: Math.min(position, this.shownUntil), speed: this.speed, shown: this.#shown, silenced, waves: this.waves });
    if (!sameNeeds(open, this.open)) this.open = open;
    // Before the first file has begun, who begins is there already, and so is who was last at the end: a moment is no reason for an empty stage.
    const at = this.shownAt;
    const present = this.timeline.lanes.filter((lane) => isPresent(lane, at));
    if (present.length !== this.present.length || present.some((lane, index) => lane !== this.present[index])) this.present = present;
    const levels = this.#levels(position);
    const speaker = this.#speaker.at(levels, position);
    if (speaker !== this.speaker) this.speaker = speaker;
    const heard = [...levels].filter(([, level]) => level > 0).map(([key]) => key);
    if (heard.length !== this.heard.size || heard.some((key) => !this.heard.has(key))) this.heard = new Set(heard);
  }

  /** How loud everybody is, screens excepted: by the waveform, or by what is heard where there is none. */
  #levels(position: number): Map<string, number> {
    const levels = new Map<string, number>();
    const known = levelsAt(this.timeline, this.waves, position);
    for (const lane of this.timeline.lanes) {
      const track = lane.screen ? undefined : trackAt(lane, position);
      if (!track?.sound) continue;
      const wave = this.waves.get(track.name);
      const entry = this.#entries.get(track.name);
      const fine = wave !== undefined && wave.step <= FINE_ENOUGH;
      if (!fine && entry && this.wavesKnown && this.#phase === 'playing') levels.set(lane.key, this.#ears.level(entry.element) ?? known.get(lane.key) ?? 0);
      else levels.set(lane.key, known.get(lane.key) ?? 0);
    }
    return levels;
  }

  /** Files that play; while all do, those too that begin in a moment. */
  #active(position: number): Entry[] {
    const soon = this.#phase === 'playing' ? this.#start * this.speed : 0;
    return [...this.#entries.values()].filter(({ track, failed }) => !failed && track.ends > position && (this.open.get(track.name) === 'play' || (track.begins > position && track.begins - position <= soon)));
  }

  #sound(): void {
    for (const entry of this.#entries.values()) this.#soundOf(entry);
  }

  #soundOf({ track, element }: Entry): void {
    element.volume = this.volume * this.volumeOf(track.lane);
    // Some browsers let no page change the volume, but all let it mute.
    element.muted = this.muted || element.volume === 0;
  }

  async #loadWaves(library: Library): Promise<void> {
    const waiting = this.timeline.lanes.flatMap((lane) => lane.tracks).filter((track) => track.sound && track.file.waveform);
    waiting.sort((a, b) => a.begins - b.begins);
    let [refused, retries] = [0, WAVE_TRIES * waiting.length];
    const load = async () => {
      for (let track = waiting.shift(); track && refused < WAVES_REFUSED && this.#timer !== undefined; track = waiting.shift()) {
        try {
          this.addWave(track, waveOf(track, await library.waveform(track.file.waveform ?? '')));
        } catch (error) {
          // One that is made at this moment is asked for again.
          if (error instanceof LibraryError && error.status === 503 && retries-- > 0) {
            waiting.push(track);
            await new Promise((resolve) => setTimeout(resolve, WAVE_AGAIN));
          } else refused += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: WAVES_AT_ONCE }, load));
    this.wavesKnown = true;
  }

  /** A waveform that was found in another way. */
  addWave(track: Track, wave: Wave): void {
    this.waves = new Map([...this.waves, [track.name, wave]]);
  }
}

function targetOf({ track }: Entry, position: number): number {
  return Math.min(track.ends - track.begins, Math.max(0, position - track.begins));
}

function isMoving({ element, failed }: Entry): boolean {
  return !failed && !element.paused && !element.seeking && !element.ended && element.readyState >= element.HAVE_CURRENT_DATA;
}

/** Whether a file can go on from where the clock is, or has nothing more to say there. */
function isReady(entry: Entry, position: number, tolerance = 0.3): boolean {
  const { element } = entry;
  if (entry.failed || element.ended) return true;
  if (element.seeking || Math.abs(element.currentTime - targetOf(entry, position)) > tolerance) return false;
  const enough = element.duration - element.currentTime < 0.5 ? element.HAVE_CURRENT_DATA : element.HAVE_FUTURE_DATA;
  return element.readyState >= enough;
}

function sameNeeds(a: ReadonlyMap<string, Need>, b: ReadonlyMap<string, Need>): boolean {
  return a.size === b.size && [...a].every(([name, need]) => b.get(name) === need);
}
