import type { SlotPair, TrackNumber } from './wire.ts';

/** What is asked of the receiver of a pair's pictures. */
export interface SourceReceiver {
  getContributingSources(): readonly { source: number; timestamp: number }[];
}

/** How often the packets are asked whose they are (ms). */
const EVERY = 50;
/** So long the server goes on with the picture before (2 s), and a little (ms). */
const LONGEST = 2500;

/**
 * Whose picture each pair shows. When a pair gets another member's, the server goes on with the one before until the next one begins,
 * and its packets say whose they are: until they name the new source, showing them would give them the wrong name.
 */
export class Sources {
  readonly #receiverOf: (pair: number) => SourceReceiver | undefined;
  readonly #changed: () => void;
  /** What is known to be in each pair, or was last. */
  readonly #shown = new Map<number, TrackNumber>();
  readonly #awaited = new Map<number, { track: TrackNumber; since: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed`: something that was awaited is there. */
  constructor(receiverOf: (pair: number) => SourceReceiver | undefined, changed: () => void) {
    this.#receiverOf = receiverOf;
    this.#changed = changed;
  }

  /** The pairs' pictures are these now. */
  follow(slots: readonly SlotPair[]): void {
    // What has begun since the last look is what a pair shows now: whoever was there before is not there any more when they come back.
    this.#look();
    const before = new Map(this.#awaited);
    this.#awaited.clear();
    for (const { pair, video } of slots) {
      if (video === undefined || this.#shown.get(pair) === video) continue;
      const known = before.get(pair);
      // A pair that never showed anything cannot show anything wrong.
      if (!this.#shown.has(pair)) this.#shown.set(pair, video);
      else this.#awaited.set(pair, known?.track === video ? known : { track: video, since: performance.now() });
    }
    this.#look();
  }

  /** Whether a pair's packets are of the track that it is to show. */
  isThere({ pair, video }: SlotPair): boolean {
    return video !== undefined && this.#shown.get(pair) === video;
  }

  /** The connection is gone. */
  reset(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#shown.clear();
    this.#awaited.clear();
  }

  #look(): boolean {
    let found = false;
    for (const [pair, { track, since }] of this.#awaited) {
      if (performance.now() - since < LONGEST && this.#names(pair) !== track % 2 ** 32) continue;
      this.#shown.set(pair, track);
      this.#awaited.delete(pair);
      found = true;
    }
    clearTimeout(this.#timer);
    this.#timer = this.#awaited.size === 0 ? undefined : setTimeout(() => this.#look() && this.#changed(), EVERY);
    return found;
  }

  /** The source that a pair's newest picture names. */
  #names(pair: number): number | undefined {
    const sources = this.#receiverOf(pair)?.getContributingSources() ?? [];
    return sources.reduce<(typeof sources)[number] | undefined>((newest, each) => (newest && newest.timestamp > each.timestamp ? newest : each), undefined)?.source;
  }
}
