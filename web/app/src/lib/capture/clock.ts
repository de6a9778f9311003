/** Counts time while it runs (ms). */
export class Clock {
  readonly #now: () => number;
  #counted = 0;
  #since: number | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  get elapsed(): number {
    return this.#counted + (this.#since === undefined ? 0 : this.#now() - this.#since);
  }

  start(): void {
    this.#since ??= this.#now();
  }

  stop(): void {
    this.#counted = this.elapsed;
    this.#since = undefined;
  }
}

/** As clocks show it: minutes and seconds, hours when there are some. */
export function shown(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
