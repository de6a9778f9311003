import type { LibraryFile, LibraryItem, Waveform } from '@althing/sdk';

/** A file on the timeline. Times are seconds from the beginning of what it belongs to. */
export interface Track {
  name: string;
  /** Of which lane it is. */
  lane: string;
  url: string;
  picture: boolean;
  sound: boolean;
  begins: number;
  ends: number;
  file: LibraryFile;
}

/** Somebody, or somebody's screen, over the whole time: files that follow each other. */
export interface Lane {
  key: string;
  member: string;
  name: string;
  screen: boolean;
  tracks: Track[];
}

/** A meeting as it is played: everybody's files, each at its time. */
export interface Timeline {
  /** In seconds. */
  length: number;
  lanes: Lane[];
}

/** A time from `begins` to `ends`, in seconds. */
export interface Span {
  begins: number;
  ends: number;
}

/** How a file is wanted at the moment: to be played, ready to begin at once, or its beginning only. */
export type Need = 'play' | 'ready' | 'near';

/** Somebody whose next file begins so soon (s) has not gone. */
const SHORT_GAP = 2;
/** A file is opened so long (s) before it begins; its metadata twice that. */
const AHEAD = 8;
/** Files that are open at once: each one is a decoder and a connection. Chromium stops at 75, on phones at 40. */
export const MOST_OPEN = 16;

/** What is played of an item: not what is still being written, nor what nobody can play, nor what is made of others. */
export function timelineOf(item: Pick<LibraryItem, 'files' | 'members' | 'kind' | 'by'>): Timeline {
  const lanes = new Map<string, Lane>();
  const names = new Map(item.members.map(({ member, name }) => [member, name || member]));
  const playable = item.files.filter((file) => file.state !== 'broken' && file.state !== 'writing' && /^(audio|video)\//.test(file.type) && (file.length > 0 || item.kind !== 'recording'));
  const parts = playable.filter((file) => file.member !== '');
  for (const file of [...(parts.length > 0 ? parts : playable)].sort((a, b) => a.at - b.at)) {
    const key = file.screen ? `${file.member}/screen` : file.member;
    const lane = lanes.get(key) ?? { key, member: file.member, name: names.get(file.member) || file.member || item.by.name, screen: file.screen, tracks: [] };
    lanes.set(key, lane);
    const [begins, last] = [Math.max(0, file.at / 1e6), lane.tracks.at(-1)];
    // The later one goes on where the one before would overlap it.
    if (last) last.ends = Math.min(last.ends, begins);
    lane.tracks.push({ name: file.name, lane: key, url: file.url, picture: hasPicture(file), sound: hasSound(file), begins, ends: begins + file.length / 1e6, file });
  }
  const ordered = [...lanes.values()];
  // A screen stands below whose it is.
  const beside = ordered.filter((lane) => !lane.screen).flatMap((lane) => [lane, ...ordered.filter((other) => other.screen && other.member === lane.member)]);
  const alone = ordered.filter((lane) => !beside.includes(lane));
  return { length: Math.max(0, ...ordered.flatMap((lane) => lane.tracks.map((track) => track.ends))), lanes: [...beside, ...alone] };
}

/** The file of a lane that is played at a time. */
export function trackAt(lane: Lane, at: number): Track | undefined {
  return lane.tracks.find((track) => track.begins <= at && at < track.ends);
}

/** When the first file begins; the end where there is none. */
export function firstOf(timeline: Timeline): number {
  return Math.min(timeline.length, ...timeline.lanes.flatMap((lane) => lane.tracks.slice(0, 1).map((track) => track.begins)));
}

/** When the last file ends; 0 where there is none. */
export function lastOf(timeline: Timeline): number {
  return Math.max(0, ...timeline.lanes.flatMap((lane) => lane.tracks.map((track) => track.ends)));
}

/** Whether somebody is there at a time: also in the short while between two of their files. */
export function isPresent(lane: Lane, at: number): boolean {
  if (trackAt(lane, at)) return true;
  const next = lane.tracks.find((track) => track.begins > at);
  const before = lane.tracks.findLast((track) => track.ends <= at);
  return next !== undefined && before !== undefined && next.begins - before.ends < SHORT_GAP;
}

/** What decides which files are open. */
export interface Wanting {
  position: number;
  speed: number;
  /** Lanes whose picture is on the page. */
  shown: ReadonlySet<string>;
  /** Lanes that nobody wants to hear. */
  silenced: ReadonlySet<string>;
  waves: ReadonlyMap<string, Wave>;
  most?: number;
}

/** The files to be open at a time, most important first: those that are seen or heard now, then those that begin soon. Never more than `most`. */
export function wanted(timeline: Timeline, { position, speed, shown, silenced, waves, most = MOST_OPEN }: Wanting): Map<string, Need> {
  const ahead = AHEAD * Math.max(1, speed);
  const chosen = new Map<string, Need>();
  const take = (tracks: readonly Track[], need: Need) => {
    for (const track of tracks) if (chosen.size < most && !chosen.has(track.name)) chosen.set(track.name, need);
  };
  const all = timeline.lanes.flatMap((lane) => lane.tracks);
  const seen = (track: Track) => shown.has(track.lane);
  const heard = (track: Track) => track.sound && !silenced.has(track.lane) && isHeard(waves.get(track.name), track, position - 1, position + ahead);
  const now = all.filter((track) => track.begins <= position && position < track.ends);
  const soon = all.filter((track) => track.begins > position && track.begins <= position + ahead);
  take(now.filter((track) => seen(track) && track.picture), 'play');
  take(now.filter((track) => heard(track)), 'play');
  take(now.filter((track) => seen(track)), 'play');
  take(soon.filter((track) => seen(track) || heard(track)), 'ready');
  take(soon, 'ready');
  take(all.filter((track) => track.begins > position + ahead && track.begins <= position + 2 * ahead), 'near');
  return chosen;
}

/** The loudness of a file over its time. */
export interface Wave {
  begins: number;
  /** Seconds a value. */
  step: number;
  peaks: readonly number[];
  /** What is less is no speech. */
  floor: number;
}

/** A waveform on the timeline. Its floor follows what the microphone hears when nobody speaks: the fifth of the values that are lowest. */
export function waveOf(track: Pick<Track, 'begins'>, { seconds_per_value: step, peaks }: Waveform): Wave {
  const values = peaks.map((peak) => (Number.isFinite(peak) ? Math.min(1, Math.max(0, peak)) : 0));
  const quiet = [...values].sort((a, b) => a - b)[Math.floor(values.length / 5)] ?? 0;
  return { begins: track.begins, step: step > 0 ? step : 1, peaks: values, floor: Math.min(0.05, Math.max(0.015, 3 * quiet)) };
}

/** How loud it is around a time, from 0 to 1: the most within `around` seconds before and after. */
export function loudnessAt(wave: Wave, at: number, around = 0.3): number {
  const [first, last] = [at - around, at + around].map((time) => Math.floor((time - wave.begins) / wave.step)) as [number, number];
  let most = 0;
  for (let index = Math.max(0, first); index <= last && index < wave.peaks.length; index++) most = Math.max(most, wave.peaks[index] ?? 0);
  return most;
}

/** Whether a file is heard anywhere in a time; one whose loudness is not known may be. */
function isHeard(wave: Wave | undefined, track: Track, from: number, to: number): boolean {
  if (!wave) return true;
  const last = Math.min(to, track.ends);
  for (let at = Math.max(from, track.begins); at <= last; at += wave.step) if (loudnessAt(wave, at, 0) >= wave.floor) return true;
  return false;
}

/** Whose loudness is known, and how loud each lane is at a time. */
export function levelsAt(timeline: Timeline, waves: ReadonlyMap<string, Wave>, at: number): Map<string, number> {
  const levels = new Map<string, number>();
  for (const lane of timeline.lanes) {
    const track = trackAt(lane, at);
    const wave = track && waves.get(track.name);
    if (!wave) continue;
    const level = loudnessAt(wave, at);
    levels.set(lane.key, level >= wave.floor ? level : 0);
  }
  return levels;
}

/** Times in which nobody says anything for `least` seconds or more, less a moment on both sides; nothing is known while the loudness of a file is not. */
export function silences(timeline: Timeline, waves: ReadonlyMap<string, Wave>, { least = 2, moment = 0.3 } = {}): Span[] | undefined {
  const spoken: Span[] = [];
  for (const track of timeline.lanes.flatMap((lane) => lane.tracks)) {
    if (!track.sound) continue;
    const wave = waves.get(track.name);
    if (!wave) return undefined;
    wave.peaks.forEach((peak, index) => {
      const begins = wave.begins + index * wave.step;
      if (peak >= wave.floor && begins < track.ends) spoken.push({ begins, ends: Math.min(track.ends, begins + wave.step) });
    });
  }
  spoken.sort((a, b) => a.begins - b.begins);
  const found: Span[] = [];
  let until = 0;
  for (const { begins, ends } of [...spoken, { begins: timeline.length, ends: timeline.length }]) {
    if (begins - until >= least) found.push({ begins: until === 0 ? 0 : until + moment, ends: begins === timeline.length ? begins : begins - moment });
    until = Math.max(until, ends);
  }
  return found;
}

/** Where to go on from a time that is inside of a silence; nowhere else, and not for less than is noticed. */
export function afterSilence(found: readonly Span[], at: number): number | undefined {
  const span = found.find(({ begins, ends }) => begins <= at && at < ends);
  return span && span.ends - at > 0.5 ? span.ends : undefined;
}

/** Somebody else must be the loudest for so long (s of the timeline) before the picture changes. */
const CHANGE_AFTER = 1.2;
/** Times that are further apart (s) were sought. */
const JUMP = 3;

/** Who speaks, slower than it is heard: whoever only coughs gets no large picture. */
export class Speaker {
  #current: string | undefined;
  #next: { key: string; since: number } | undefined;
  #last = 0;

  /** Who has the word at a time, of all that are there. Whoever had it last keeps it through a silence. */
  at(levels: ReadonlyMap<string, number>, at: number): string | undefined {
    const jumped = Math.abs(at - this.#last) > JUMP || at < this.#last;
    this.#last = at;
    if (jumped || (this.#current !== undefined && !levels.has(this.#current))) this.#current = this.#next = undefined;
    const loudest = [...levels].reduce<[string, number]>((best, entry) => (entry[1] > best[1] ? entry : best), ['', 0]);
    if (loudest[1] <= 0 || loudest[0] === this.#current) {
      this.#next = undefined;
      return this.#current;
    }
    if (this.#next?.key !== loudest[0]) this.#next = { key: loudest[0], since: at };
    if (this.#current === undefined || at - this.#next.since >= CHANGE_AFTER) {
      this.#current = loudest[0];
      this.#next = undefined;
    }
    return this.#current;
  }
}

/** Values of a file's whole time in at most `most` columns, for drawing. */
export function columns(peaks: readonly number[], most: number): number[] {
  if (peaks.length <= most) return [...peaks];
  return Array.from({ length: most }, (_, column) => {
    const [first, end] = [Math.floor((column * peaks.length) / most), Math.ceil(((column + 1) * peaks.length) / most)];
    return Math.max(...peaks.slice(first, end));
  });
}

function hasPicture(file: LibraryFile): boolean {
  return file.video !== undefined || (file.audio === undefined && file.type.startsWith('video/'));
}

function hasSound(file: LibraryFile): boolean {
  return file.audio !== undefined || (file.video === undefined && /^(audio|video)\//.test(file.type));
}
