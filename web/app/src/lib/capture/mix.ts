/** All that is heard as one track: each voice joins and leaves while it goes on. */
export class Mix {
  readonly #context = new AudioContext({ latencyHint: 'playback' });
  readonly #end: MediaStreamAudioDestinationNode;
  readonly #sources = new Map<MediaStreamTrack, MediaStreamAudioSourceNode>();

  constructor() {
    // Two channels whoever is there: recorders do not follow a change.
    this.#end = new MediaStreamAudioDestinationNode(this.#context, { channelCount: 2, channelCountMode: 'explicit' });
  }

  get track(): MediaStreamTrack {
    const [track] = this.#end.stream.getAudioTracks();
    if (!track) throw new Error('the browser mixes no sound');
    return track;
  }

  /** Browsers let sound run when somebody has touched the page. */
  async start(): Promise<void> {
    await this.#context.resume();
  }

  /** These are heard from now on, and no others. */
  follow(tracks: readonly MediaStreamTrack[]): void {
    const wanted = new Set(tracks.filter((track) => track.readyState === 'live'));
    for (const [track, source] of this.#sources) {
      if (wanted.has(track)) continue;
      source.disconnect();
      this.#sources.delete(track);
    }
    for (const track of wanted) {
      if (this.#sources.has(track)) continue;
      const source = this.#context.createMediaStreamSource(new MediaStream([track]));
      source.connect(this.#end);
      this.#sources.set(track, source);
    }
  }

  close(): void {
    this.follow([]);
    void this.#context.close();
  }
}
