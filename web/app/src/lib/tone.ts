/** What sounds: tones (Hz) from and to a moment of each turn (s). */
interface Pattern {
  turn: number;
  tones: readonly { hertz: number; from: number; to: number }[];
}

/** Two notes, twice, and a pause: it is heard in the next room, and is no alarm. */
const INCOMING: Pattern = {
  turn: 3,
  tones: [0, 0.7].flatMap((at) => [
    { hertz: 659, from: at, to: at + 0.22 },
    { hertz: 880, from: at + 0.24, to: at + 0.52 },
  ]),
};
/** What callers know from the telephone: it rings at the other end. */
const OUTGOING: Pattern = { turn: 4, tones: [{ hertz: 425, from: 0, to: 1 }] };
/** Loud enough beside a voice, and not in the ear. */
const LOUDNESS = 0.12;

/** The tone of a call that rings, made by the page itself. Browsers let a page sound only after somebody has done something in it. */
export class RingTone {
  #context: AudioContext | undefined;
  #output: GainNode | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Whether it sounds. */
  get sounds(): boolean {
    return this.#timer !== undefined;
  }

  /** To be called when somebody clicks: from then on it may sound by itself. */
  unlock(): void {
    const context = this.#open();
    if (!context) return;
    const rest = () => this.sounds || void context.suspend();
    void context.resume().then(rest, () => undefined);
  }

  /** A machine without sound has none: a call shows all the same. */
  #open(): AudioContext | undefined {
    try {
      return (this.#context ??= new AudioContext());
    } catch {
      return undefined;
    }
  }

  start(direction: 'incoming' | 'outgoing'): void {
    this.stop();
    const context = this.#open();
    if (!context) return;
    void context.resume().catch(() => undefined);
    const output = (this.#output = new GainNode(context, { gain: LOUDNESS }));
    output.connect(context.destination);
    const { turn, tones } = direction === 'incoming' ? INCOMING : OUTGOING;
    const sound = () => {
      for (const { hertz, from, to } of tones) beep(context, output, hertz, context.currentTime + from, context.currentTime + to);
    };
    sound();
    this.#timer = setInterval(sound, turn * 1000);
  }

  /** Silence, at once: what was to sound later is cut off. */
  stop(): void {
    if (!this.sounds) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#output?.disconnect();
    this.#output = undefined;
    void this.#context?.suspend().catch(() => undefined);
  }
}

/** A tone that begins and ends softly: an edge would click. */
function beep(context: AudioContext, output: AudioNode, hertz: number, from: number, to: number): void {
  const [tone, swell] = [new OscillatorNode(context, { frequency: hertz }), new GainNode(context, { gain: 0 })];
  swell.gain.setValueAtTime(0, from);
  swell.gain.linearRampToValueAtTime(1, from + 0.02);
  swell.gain.setValueAtTime(1, to - 0.03);
  swell.gain.linearRampToValueAtTime(0, to);
  tone.connect(swell).connect(output);
  tone.start(from);
  tone.stop(to);
}
