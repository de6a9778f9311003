import { preferring } from './codecs.ts';
import type { Encryption } from './encryption.ts';
import type { MemberMedia, SlotMedia } from './slots.ts';
import type { Publication } from './publisher.ts';
import type { PublishLine, Source, TrackInfo } from './wire.ts';

/** Numbers of tracks that the server does not know: none of its own is below 1. */
const NUMBER: Record<Source, number> = { microphone: -1, camera: -2, screen_audio: -3, screen: -4 };
/** Which sources are one origin's sound and picture. */
const ORIGINS = { camera: { audio: 'microphone', video: 'camera', pair: -1 }, screen: { audio: 'screen_audio', video: 'screen', pair: -2 } } as const;

interface Line {
  transceiver: RTCRtpTransceiver;
  wanted: Publication | undefined;
}

/** What this end sends on the m-lines of a direct connection. A source that was never on has none: a call by voice has no m-line for pictures. */
export class SentLines {
  readonly #lines = new Map<Source, Line>();
  readonly #streams = new Map<string, MediaStream>();
  readonly #encryption: Encryption | undefined;
  #revision = 0;
  #told = '';

  constructor(encryption?: Encryption) {
    this.#encryption = encryption;
  }

  /** Brings the m-lines to what is published; true when what the other end should know of them has changed. */
  async attach(connection: RTCPeerConnection, publications: readonly Publication[]): Promise<boolean> {
    const before = JSON.stringify(this.lines());
    for (const publication of publications) {
      const line = this.#lines.get(publication.source);
      if (line) await put(line, publication);
      else if (publication.track) this.#lines.set(publication.source, { transceiver: this.#add(connection, publication), wanted: publication });
    }
    for (const [source, line] of this.#lines) if (!publications.some((wanted) => wanted.source === source)) await put(line, undefined);
    return JSON.stringify(this.lines()) !== before;
  }

  /** What the other end is told of them. An m-line has no name before its first description. */
  lines(): PublishLine[] {
    return [...this.#lines].flatMap(([source, { transceiver, wanted }]) => {
      const { mid } = transceiver;
      return wanted && mid !== null ? [{ mid, source, muted: wanted.muted || wanted.track === null }] : [];
    });
  }

  /** Rises with each change of `lines`. */
  get revision(): number {
    const now = JSON.stringify(this.lines());
    if (now !== this.#told) this.#revision += 1;
    this.#told = now;
    return this.#revision;
  }

  /**
   * Begins every picture anew, with a key frame. After an interruption the other end needs one; Chromium asks for it when it has shown nothing for
   * three seconds, and asks again three seconds later if that was lost on the way that was interrupted.
   */
  async refresh(): Promise<void> {
    const pictures = [...this.#lines.values()].map(({ transceiver }) => transceiver.sender).filter(({ track }) => track?.kind === 'video');
    await Promise.all(
      pictures.map(async (sender) => {
        await activate(sender, false);
        // Somebody else's change in between makes the first try stale.
        await activate(sender, true).catch(() => activate(sender, true));
      }),
    );
  }

  #add(connection: RTCPeerConnection, { source, track }: Publication): RTCRtpTransceiver {
    const transceiver = connection.addTransceiver(track as MediaStreamTrack, { direction: 'sendonly', streams: [this.#stream(source)] });
    if (this.#encryption) {
      if (track?.kind === 'video') transceiver.setCodecPreferences(preferring('vp8', RTCRtpSender.getCapabilities('video')?.codecs ?? []));
      this.#encryption.send(transceiver.sender, transceiver.receiver.track.kind);
    }
    return transceiver;
  }

  /** Sound and picture of one origin share a stream, so that the other end synchronises them. */
  #stream(source: Source): MediaStream {
    const origin = source.startsWith('screen') ? 'screen' : 'camera';
    const stream = this.#streams.get(origin) ?? new MediaStream();
    this.#streams.set(origin, stream);
    return stream;
  }
}

async function activate(sender: RTCRtpSender, active: boolean): Promise<void> {
  const parameters = sender.getParameters();
  for (const encoding of parameters.encodings) encoding.active = active;
  await sender.setParameters(parameters);
}

async function put(line: Line, wanted: Publication | undefined): Promise<void> {
  const track = wanted?.track ?? null;
  if (line.transceiver.sender.track !== track) await line.transceiver.sender.replaceTrack(track);
  const direction = wanted ? 'sendonly' : 'inactive';
  if (line.transceiver.direction !== direction) line.transceiver.direction = direction;
  line.wanted = wanted;
}

/** What the other end of a direct connection sends. */
export class ReceivedLines {
  #lines: readonly PublishLine[] = [];
  #revision = -1;
  #receivers = new Map<Source, RTCRtpReceiver>();
  readonly #streams = new Map<number, { tracks: string; stream: MediaStream }>();

  /** The other end says what its m-lines carry, by signals and by the channel, which overtake each other; false when that is no news. */
  learn(connection: RTCPeerConnection, said: readonly PublishLine[], revision: number): boolean {
    const lines = revision < this.#revision ? this.#lines : said;
    this.#revision = Math.max(revision, this.#revision);
    const byMid = new Map(connection.getTransceivers().map((transceiver) => [transceiver.mid, transceiver.receiver]));
    const receivers = new Map<Source, RTCRtpReceiver>();
    for (const { mid, source } of lines) {
      const receiver = byMid.get(mid);
      if (receiver) receivers.set(source, receiver);
    }
    const isNew = JSON.stringify(lines) !== JSON.stringify(this.#lines) || [...receivers].some(([source, receiver]) => this.#receivers.get(source) !== receiver);
    this.#lines = lines;
    this.#receivers = receivers;
    return isNew;
  }

  /** The sources that are to be heard or seen, with what receives them. */
  audible(): [Source, RTCRtpReceiver][] {
    return [...this.#receivers].filter(([source]) => !this.#isMuted(source));
  }

  /** As the server would tell of them. */
  tracks(): TrackInfo[] {
    return this.#lines.map(({ source, muted }) => ({ track: NUMBER[source], source, muted: muted ?? false, muted_by_moderator: false }));
  }

  /** Sounds and pictures, by origin. */
  media(): MemberMedia {
    const media: { camera?: SlotMedia; screen?: SlotMedia } = {};
    for (const origin of ['camera', 'screen'] as const) {
      const { audio, video, pair } = ORIGINS[origin];
      const tracks = { audio: this.#receivers.get(audio)?.track, video: this.#receivers.get(video)?.track };
      if (!tracks.audio && !tracks.video) continue;
      media[origin] = { pair, stream: this.#stream(pair, tracks), audio: tracks.audio, video: this.#isMuted(video) ? undefined : tracks.video };
    }
    return media;
  }

  /** Whose m-line it is. */
  sourceOf(mid: string): Source | undefined {
    return this.#lines.find((line) => line.mid === mid)?.source;
  }

  #isMuted(source: Source): boolean {
    return this.#lines.find((line) => line.source === source)?.muted ?? true;
  }

  #stream(pair: number, { audio, video }: { audio: MediaStreamTrack | undefined; video: MediaStreamTrack | undefined }): MediaStream {
    const tracks = [audio, video].filter((track) => track !== undefined);
    const ids = tracks.map((track) => track.id).join(' ');
    const known = this.#streams.get(pair);
    if (known?.tracks === ids) return known.stream;
    const stream = new MediaStream(tracks);
    this.#streams.set(pair, { tracks: ids, stream });
    return stream;
  }
}
