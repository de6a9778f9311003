/** How loud a voice is now, 0 to 1 of full scale; absent where the browser does not say. */
export type Level = () => number | undefined | Promise<number | undefined>;

/** How often levels are looked at (ms). */
const EVERY = 200;
/** Louder than this is speech: -50 dB of full scale, as the server has it. */
const SPEECH = 10 ** (-50 / 20);
/** Silence must last so long to count (ms): pauses between words are shorter. */
const RELEASE = 800;

/**
 * Who speaks in a call that the server does not hear. A voice speaks from the second loud look on: a click is shorter.
 */
export class Speech<Id> {
  readonly #voices: () => Iterable<readonly [Id, Level]>;
  readonly #told: () => void;
  #known = new Map<Id, { loud: number; heard: number; level: number }>();
  #speakers: readonly Id[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking = false;

  /** `voices` are those to listen to, `told` is called when who speaks has changed. */
  constructor(voices: () => Iterable<readonly [Id, Level]>, told: () => void) {
    this.#voices = voices;
    this.#told = told;
  }

  /** Who speaks, loudest first. */
  get speakers(): readonly Id[] {
    return this.#speakers;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.#look(), EVERY);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#known = new Map();
    this.#speakers = [];
  }

  async #look(): Promise<void> {
    // A browser that is slow to say is not asked twice.
    if (this.#looking) return;
    this.#looking = true;
    const levels = await Promise.all([...this.#voices()].map(async ([id, level]) => [id, await Promise.resolve(level()).catch(() => undefined)] as const));
    this.#looking = false;
    if (this.#timer === undefined) return;
    const now = performance.now();
    const known = new Map<Id, { loud: number; heard: number; level: number }>();
    for (const [id, level = 0] of levels) {
      const before = this.#known.get(id) ?? { loud: 0, heard: Number.NEGATIVE_INFINITY, level: 0 };
      const isLoud = level > SPEECH;
      const loud = isLoud ? before.loud + 1 : 0;
      known.set(id, { loud, heard: loud > 1 ? now : before.heard, level: isLoud ? level : before.level });
    }
    this.#known = known;
    const speaking = [...known].filter(([, { heard }]) => now - heard < RELEASE);
    const speakers = speaking.sort(([, a], [, b]) => b.level - a.level).map(([id]) => id);
    // Which of two is louder changes with each word: only who speaks is news.
    if (speakers.length === this.#speakers.length && speakers.every((id) => this.#speakers.includes(id))) return;
    this.#speakers = speakers;
    this.#told();
  }
}

/** How loud what comes to a receiver is; silence where nothing has come since it was last looked at. */
export function heardBy(receiver: Pick<RTCRtpReceiver, 'getSynchronizationSources'>): Level {
  let last: number | undefined;
  return () => {
    const source = receiver.getSynchronizationSources()[0];
    const isNew = source !== undefined && source.timestamp !== last;
    last = source?.timestamp;
    return isNew ? source.audioLevel : 0;
  };
}

/** How loud what a sender is given is. */
export function givenTo(sender: Pick<RTCRtpSender, 'getStats'>): Level {
  return async () => {
    for (const report of (await sender.getStats()).values()) if (report.type === 'media-source') return report.audioLevel as number | undefined;
    return undefined;
  };
}
