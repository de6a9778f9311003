import type { Ask } from './publisher.ts';

/** Where STUN and TURN are, as the server says: asked for when it is needed, and again before the credentials expire. */
export class Relays {
  readonly #ask: Ask;
  #known: { servers: Promise<RTCIceServer[]>; until: number } | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** A server that does not say has none. */
  servers(): Promise<RTCIceServer[]> {
    if (!this.#known || performance.now() > this.#known.until) {
      const asked = this.#ask({ type: 'ice_servers' });
      const known = { servers: asked.then((result) => (result?.of === 'ice_servers' ? result.servers : [])).catch(() => []), until: Number.POSITIVE_INFINITY };
      void asked.then((result) => (known.until = performance.now() + (result?.of === 'ice_servers' ? result.lifetime_ms / 2 : 0))).catch(() => (known.until = 0));
      this.#known = known;
    }
    return this.#known.servers;
  }

  /** Another session: its credentials are others. */
  reset(): void {
    this.#known = undefined;
  }
}
