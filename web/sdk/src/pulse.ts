/** What is asked of a receiver. */
export interface PulseReceiver {
  getSynchronizationSources(): readonly { timestamp: number }[];
}

/** How often receivers are asked (ms). */
const EVERY = 250;
/** Media that has come and then does not come for so long (ms) is taken for interrupted: less asks at every hiccup, more is a longer freeze. */
const SILENT = 1000;
/** So much silence is enough where the socket was lost, too (ms). */
const SUSPICIOUS = 400;

/**
 * Notices that media has stopped before the browser does: that takes five seconds, and a person who walks out of a Wi-Fi is kept
 * waiting meanwhile. Silence is no proof, everybody may have muted themselves: whoever is told asks, and does not act.
 */
export class Pulse {
  readonly #receivers: () => readonly PulseReceiver[];
  readonly #suspect: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #newest = Number.NEGATIVE_INFINITY;
  #since: number | undefined;
  #told = false;

  constructor(receivers: () => readonly PulseReceiver[], suspect: () => void) {
    this.#receivers = receivers;
    this.#suspect = suspect;
  }

  /** Whether media has come and comes no longer. */
  get isSilent(): boolean {
    return this.#silence >= SILENT;
  }

  /**
   * The socket was lost and is back: if media has stopped too, the network is another one. Resolves with whether that is so, as soon as it
   * can be told: sound comes fifty times a second, so that little silence says enough now.
   */
  async hasStopped(): Promise<boolean> {
    const missing = SUSPICIOUS - this.#silence;
    if (missing > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(missing, SUSPICIOUS)));
    return this.#silence >= SUSPICIOUS;
  }

  /** How long none has come (ms), if any ever did. */
  get #silence(): number {
    this.#look();
    return this.#since === undefined ? 0 : performance.now() - this.#since;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), EVERY);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.reset();
  }

  /** The connection is another one: nothing is known of it. */
  reset(): void {
    this.#newest = Number.NEGATIVE_INFINITY;
    this.#since = undefined;
    this.#told = false;
  }

  #look(): void {
    const newest = Math.max(...this.#receivers().flatMap((receiver) => receiver.getSynchronizationSources().map(({ timestamp }) => timestamp)), Number.NEGATIVE_INFINITY);
    if (newest > this.#newest) {
      this.#newest = newest;
      this.#since = performance.now();
      this.#told = false;
    } else if (this.#since !== undefined && !this.#told && performance.now() - this.#since >= SILENT) {
      this.#told = true;
      this.#suspect();
    }
  }
}
