/** What is done about a connection that has lost its way. */
export interface Remedies {
  /** New ICE credentials on the same connection: nothing is published again. */
  restartIce: () => void;
  /** A new connection, with everything published again. */
  renew: () => void;
}

/** Waits (ms). */
export interface WatchTimes {
  /** A connection may be without answers for so long: less restarts at every hiccup of a radio, more is a longer freeze. */
  patience: number;
  /** A restart may take so long once it is answered. */
  restart: number;
}

const DEFAULT_TIMES: WatchTimes = { patience: 1000, restart: 6000 };

/** Decides from a connection's states when to restart ICE and when to begin anew. */
export class ConnectionWatch {
  readonly #remedies: Remedies;
  readonly #times: WatchTimes;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** A restart that has been asked for and has not led to a connection. */
  #restart: 'none' | 'asked' | 'answered' = 'none';
  #connected = false;

  constructor(remedies: Remedies, times: Partial<WatchTimes> = {}) {
    this.#remedies = remedies;
    this.#times = { ...DEFAULT_TIMES, ...times };
  }

  /** The connection's states as they are now. */
  update(connection: RTCPeerConnectionState, ice: RTCIceConnectionState): void {
    this.#connected = connection === 'connected';
    if (this.#connected) this.#settle();
    else if (connection === 'failed' && (ice === 'connected' || ice === 'completed')) this.#renew();
    else if (connection === 'failed') this.#failed();
    else if (connection === 'disconnected' && this.#restart === 'none') this.#after(this.#times.patience, () => this.#ask());
  }

  /** The server hears nothing of us, whatever the browser thinks. */
  unheard(): void {
    if (this.#restart === 'none') this.#ask();
  }

  /** An offer that restarts ICE has been answered. */
  answered(): void {
    if (this.#restart !== 'asked') return;
    this.#restart = 'answered';
    this.#after(this.#times.restart, () => (this.#connected ? this.#settle() : this.#renew()));
  }

  /** Watches no longer. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#restart = 'none';
  }

  #settle(): void {
    // The old path may come back while a restart is being asked for: the answer still changes the path.
    if (this.#restart === 'asked') return;
    clearTimeout(this.#timer);
    this.#restart = 'none';
  }

  #failed(): void {
    if (this.#restart === 'none') this.#ask();
    else if (this.#restart === 'answered') this.#renew();
  }

  #ask(): void {
    clearTimeout(this.#timer);
    this.#restart = 'asked';
    this.#remedies.restartIce();
  }

  #renew(): void {
    this.stop();
    this.#remedies.renew();
  }

  #after(ms: number, act: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, ms);
  }
}
