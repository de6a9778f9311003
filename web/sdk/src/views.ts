import { isAlthingError } from './errors.ts';
import type { Ask } from './publisher.ts';
import type { MemberId, MemberInfo, Priority, Tile, TrackNumber } from './wire.ts';

/** How large a picture is shown (CSS pixels), or that it is not to be seen. */
export type ViewSize = { readonly width: number; readonly height: number } | 'hidden';

/** Messages are at least so far apart (ms): more makes a picture that is enlarged sharp later, less tells every step of dragging a window. */
const APART = 250;
/** A picture that is shown smaller is told so late (ms), because it is often large again before that. */
const PATIENCE = 1000;
/** A request that was refused for now is repeated so late (ms). */
const RETRY = 1000;
/** Sizes are told in steps of so many pixels. */
const STEP = 16;
/** Tiles that the server takes in a message, and pixels in a dimension. */
const MOST = { tiles: 64, pixels: 65_520 };

const RANK: Record<Priority, number> = { low: 0, normal: 1, high: 2 };

type Shown = Required<Omit<Tile, 'track'>>;

/**
 * Tells the server how the others' pictures are shown, so that nothing is sent that nobody sees: only differences,
 * and one message at a time. What becomes larger is told at once, what becomes smaller when it stays so.
 */
export class Views {
  readonly #ask: Ask;
  readonly #wanted = new Map<string, { member: MemberId; shown: Shown }>();
  /** What the server knows. */
  readonly #told = new Map<TrackNumber, Shown>();
  /** Since when a picture is shown smaller than the server knows (ms, `performance.now`). */
  readonly #smallerSince = new Map<TrackNumber, number>();
  #tracks: ReadonlyMap<string, TrackNumber> = new Map();
  #session = {};
  #asking = false;
  /** The server does not know of views, or the call is over. */
  #deaf = false;
  #notBefore = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** A member's camera or screen is shown like this from now on, also when its track is another. */
  show(member: MemberId, screen: boolean, size: ViewSize, priority: Priority): void {
    this.#wanted.set(keyOf(member, screen), { member, shown: { ...pixels(size), priority } });
    this.#lookSoon(0);
  }

  /** Who is there, with which tracks. */
  follow(members: readonly MemberInfo[]): void {
    const tracks = new Map<string, TrackNumber>();
    for (const { member, tracks: own } of members) {
      for (const { source, track } of own) if (source === 'camera' || source === 'screen') tracks.set(keyOf(member, source === 'screen'), track);
    }
    this.#tracks = tracks;
    const live = new Set(tracks.values());
    for (const known of [this.#told, this.#smallerSince]) for (const track of known.keys()) if (!live.has(track)) known.delete(track);
    const present = new Set(members.map(({ member }) => member));
    // Somebody who comes back at once may still have their tile: it goes when it is said to be hidden.
    for (const [key, { member, shown }] of this.#wanted) if (!present.has(member) && shown.height === 0) this.#wanted.delete(key);
    this.#lookSoon(0);
  }

  /** The server has forgotten what it was told: it is a new session, or its media is lost. */
  reset(): void {
    this.#session = {};
    this.#told.clear();
    this.#smallerSince.clear();
    this.#asking = this.#deaf = false;
    this.#lookSoon(0);
  }

  /** The call is over. */
  close(): void {
    this.#session = {};
    this.#deaf = true;
    clearTimeout(this.#timer);
  }

  /** After a moment at least, so that what is said at the same time is told at the same time. */
  #lookSoon(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), Math.ceil(ms));
  }

  #look(): void {
    if (this.#asking || this.#deaf) return;
    const now = performance.now();
    const due: Tile[] = [];
    let next = Infinity;
    for (const [key, { shown }] of this.#wanted) {
      const track = this.#tracks.get(key);
      if (track === undefined) continue;
      const at = this.#dueAt(track, shown, now);
      if (at <= now) due.push({ track, ...shown });
      else next = Math.min(next, at);
    }
    if (due.length > 0) next = this.#notBefore;
    if (due.length > 0 && next <= now) void this.#tell(due.slice(0, MOST.tiles), now);
    else if (next < Infinity) this.#lookSoon(next - now);
  }

  /** When the server is to be told how a track is shown; never, if it knows. */
  #dueAt(track: TrackNumber, shown: Shown, now: number): number {
    const told = this.#told.get(track);
    if (!told || isMore(shown, told)) return now;
    if (isSame(shown, told)) {
      this.#smallerSince.delete(track);
      return Infinity;
    }
    const since = this.#smallerSince.get(track) ?? now;
    this.#smallerSince.set(track, since);
    return since + PATIENCE;
  }

  async #tell(tiles: Tile[], now: number): Promise<void> {
    const session = this.#session;
    this.#asking = true;
    this.#notBefore = now + APART;
    for (const { track, width, height, priority = 'normal' } of tiles) {
      this.#told.set(track, { width, height, priority });
      this.#smallerSince.delete(track);
    }
    try {
      await this.#ask({ type: 'view', tiles });
    } catch (error) {
      if (session === this.#session) this.#refused(tiles, error);
    }
    if (session !== this.#session) return;
    this.#asking = false;
    this.#look();
  }

  /** What may succeed later is told again; anything else would be refused again. */
  #refused(tiles: readonly Tile[], error: unknown): void {
    this.#deaf = isAlthingError(error, 'unknown_message');
    if (!isAlthingError(error) || !error.retryable) return;
    for (const { track } of tiles) this.#told.delete(track);
    this.#notBefore = performance.now() + RETRY;
  }
}

function keyOf(member: MemberId, screen: boolean): string {
  return `${screen ? 'screen' : 'camera'}/${member}`;
}

/** In pixels of the display. */
function pixels(size: ViewSize): Pick<Tile, 'width' | 'height'> {
  if (size === 'hidden' || size.width <= 0 || size.height <= 0) return { width: 0, height: 0 };
  const scale = globalThis.devicePixelRatio ?? 1;
  const steps = (length: number) => Math.min(MOST.pixels, Math.ceil((length * scale) / STEP) * STEP);
  return { width: steps(size.width), height: steps(size.height) };
}

function isSame(one: Shown, other: Shown): boolean {
  return one.width === other.width && one.height === other.height && one.priority === other.priority;
}

/** Whether a picture is shown larger, or matters more. */
function isMore(now: Shown, before: Shown): boolean {
  return now.width > before.width || now.height > before.height || RANK[now.priority] > RANK[before.priority];
}
