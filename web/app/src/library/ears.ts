/** Listens to what is played where no waveform says who speaks. What is listened to sounds through here, so nothing is before the browser lets it sound. */
export class Ears {
  #context: AudioContext | undefined;
  /** By element, since an element is connected once and for all. */
  readonly #heard = new Map<HTMLMediaElement, { source: MediaElementAudioSourceNode; analyser: AnalyserNode; values: Float32Array<ArrayBuffer> }>();

  /** To be called after a click: before, browsers let nothing sound. */
  async open(): Promise<void> {
    try {
      this.#context ??= new AudioContext();
      await this.#context.resume();
    } catch {
      this.#context = undefined;
    }
  }

  /** How loud an element is (0 to 1); 0 is no speech. Not known while nothing can be listened to. */
  level(element: HTMLMediaElement): number | undefined {
    if (this.#context?.state !== 'running') return undefined;
    const { analyser, values } = this.#heard.get(element) ?? this.#listen(this.#context, element);
    analyser.getFloatTimeDomainData(values);
    const level = Math.max(...values.map(Math.abs));
    return level < 0.02 ? 0 : Math.min(1, level);
  }

  forget(element: HTMLMediaElement): void {
    const ear = this.#heard.get(element);
    ear?.source.disconnect();
    ear?.analyser.disconnect();
    this.#heard.delete(element);
  }

  close(): void {
    for (const element of [...this.#heard.keys()]) this.forget(element);
    void this.#context?.close();
    this.#context = undefined;
  }

  #listen(context: AudioContext, element: HTMLMediaElement) {
    const source = context.createMediaElementSource(element);
    const analyser = context.createAnalyser();
    analyser.fftSize = 2048;
    source.connect(context.destination);
    source.connect(analyser);
    const ear = { source, analyser, values: new Float32Array(analyser.fftSize) };
    this.#heard.set(element, ear);
    return ear;
  }
}
