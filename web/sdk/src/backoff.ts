/** How long to wait between attempts. */
export interface BackoffOptions {
  /** The longest first wait (ms). More spares a server that restarts, less brings a lone client back sooner. */
  first: number;
  /** The longest wait of all (ms). */
  most: number;
  /** A number in [0, 1): the jitter. */
  random: () => number;
}

const DEFAULTS: BackoffOptions = { first: 300, most: 5000, random: Math.random };

/**
 * Waits that double up to a bound. Each is drawn between half of its bound and all of it, so that the clients
 * of a server that comes back do not come all at once.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: Partial<BackoffOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** How many waits have been asked for since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The next wait (ms). */
  next(): number {
    const { first, most, random } = this.#options;
    const bound = Math.min(most, first * 2 ** Math.min(this.#attempt++, 30));
    return Math.round(bound / 2 + (random() * bound) / 2);
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#attempt = 0;
  }
}
