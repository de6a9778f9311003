/** The one time of what is played: all files follow it. It is told the time (ms, of any monotonic clock). */
export class Clock {
  #at = 0;
  #since = 0;
  #speed = 1;
  #runs = false;

  get runs(): boolean {
    return this.#runs;
  }

  get speed(): number {
    return this.#speed;
  }

  /** Seconds from the beginning. */
  position(now: number): number {
    return this.#runs ? this.#at + (Math.max(0, now - this.#since) / 1000) * this.#speed : this.#at;
  }

  run(now: number): void {
    if (!this.#runs) [this.#since, this.#runs] = [now, true];
  }

  stop(now: number): void {
    this.seek(this.position(now), now);
    this.#runs = false;
  }

  seek(to: number, now: number): void {
    [this.#at, this.#since] = [to, now];
  }

  setSpeed(speed: number, now: number): void {
    this.seek(this.position(now), now);
    this.#speed = speed;
  }
}

/** What a file does to be in step again. */
export interface Correction {
  /** How fast to play it. */
  rate: number;
  /** Whether it is so far off that it must be sought. */
  seek: boolean;
}

/** Nearer than this (s) is in step: half of a picture at 30 a second. */
const IN_STEP = 0.015;
/** Further away than this (s) is sought. */
const TOO_FAR = 0.25;
/** More than this changes how voices sound. */
const MOST_CHANGE = 0.08;
/** What is not heard may change more. */
const MOST_CHANGE_UNHEARD = 0.3;
/** So much faster or slower for each second that is missing: 40 ms are 8 %, gone within a second. */
const FIRMNESS = 2;

/** What to do about a file that is `drift` seconds ahead of the clock. */
export function steer(drift: number, speed: number, heard = true): Correction {
  if (Math.abs(drift) > TOO_FAR) return { rate: speed, seek: true };
  if (Math.abs(drift) <= IN_STEP) return { rate: speed, seek: false };
  const most = heard ? MOST_CHANGE : MOST_CHANGE_UNHEARD;
  const change = Math.min(most, Math.max(-most, -drift * FIRMNESS));
  // In steps: each change of rate costs the browser something.
  return { rate: speed * (1 + Math.round(change * 100) / 100), seek: false };
}

/** Browsers tell the position of a file some milliseconds off: the middle of the last five counts. */
const SAMPLES = 5;

/** How far a file is from the clock, without what is only noise. */
export class Drift {
  #samples: number[] = [];

  add(sample: number): void {
    this.#samples = [...this.#samples.slice(1 - SAMPLES), sample];
  }

  /** Not known before three samples. */
  get value(): number | undefined {
    return this.#samples.length < 3 ? undefined : median(this.#samples);
  }

  /** The clock was set `by` seconds forward. */
  shift(by: number): void {
    this.#samples = this.#samples.map((sample) => sample - by);
  }

  reset(): void {
    this.#samples = [];
  }
}

/**
 * By how much (s) the clock gives way to files that are off: where most are late or early alike, as after a start or while the machine was busy,
 * it is set to them, and none has to change how fast it is. Of an even number that which is ahead counts: one that hangs holds nobody up.
 */
export function concession(drifts: readonly number[]): number {
  const off = median(drifts);
  return Math.abs(off) > 0.008 ? off : 0;
}

/** The middle one of some values; 0 of none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
