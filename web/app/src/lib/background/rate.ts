/** Lets so many pictures a second through, whatever comes. Told the time of each (s). */
export class Rate {
  readonly #period: number;
  #next = Number.NEGATIVE_INFINITY;

  /** @param perSecond pictures a second at most */
  constructor(perSecond: number) {
    this.#period = 1 / perSecond;
  }

  /** Whether the picture of this time is to be taken. */
  takes(at: number): boolean {
    const early = this.#next - at;
    // Cameras are not exact; a clock that was set back begins anew.
    if (early > this.#period / 8 && early < 2 * this.#period) return false;
    // What comes a little late is not held against the next one; what comes after a pause has nothing to make good.
    this.#next = Math.abs(at - this.#next) < this.#period ? this.#next + this.#period : at + this.#period;
    return true;
  }
}
