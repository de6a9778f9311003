import { isAlthingError } from './errors.ts';
import type { OkResult, PublishLine, Request, Source, TrackInfo, TrackNumber } from './wire.ts';

/** Asks the server for something. */
export type Ask = (request: Request) => Promise<OkResult | undefined>;

/** What a member sends of one source. */
export interface Publication {
  readonly source: Source;
  /** The track; none while its device is off. */
  readonly track: MediaStreamTrack | null;
  /** Whether the sender has muted it. */
  readonly muted: boolean;
}

interface Line {
  source: Source;
  /** What is wanted: a publication, or none. */
  wanted: Publication | undefined;
  transceiver: RTCRtpTransceiver | undefined;
  /** What the server holds: its number and whether it takes it for muted. */
  held: { track: TrackNumber; muted: boolean } | undefined;
}

/** Bounds of what is sent (bit/s): enough for 720p and for text on a shared screen; the server's feedback lowers it. */
const MOST_BITRATE: Partial<Record<Source, number>> = { camera: 1_700_000, screen: 2_500_000 };

/**
 * The sending half of a connection. It is told what is wanted, and brings connection and server there by
 * differences, so that doing it twice changes nothing.
 */
export class Publisher {
  readonly #lines = new Map<Source, Line>();
  #streams = new Map<string, MediaStream>();

  /** What is published. */
  get publications(): Publication[] {
    return [...this.#lines.values()].map((line) => line.wanted).filter((wanted) => wanted !== undefined);
  }

  /** What is published of a source. */
  publication(source: Source): Publication | undefined {
    return this.#lines.get(source)?.wanted;
  }

  /** Wants a source published like this. */
  want(publication: Publication): void {
    const line = this.#lines.get(publication.source);
    if (line) line.wanted = publication;
    else this.#lines.set(publication.source, { source: publication.source, wanted: publication, transceiver: undefined, held: undefined });
  }

  /** Wants a source published no longer. */
  unwant(source: Source): void {
    const line = this.#lines.get(source);
    if (line) line.wanted = undefined;
  }

  /** Puts tracks on their m-lines, adding what is missing; true when that takes an offer. */
  async attach(connection: RTCPeerConnection): Promise<boolean> {
    let added = false;
    for (const line of this.#lines.values()) {
      const track = line.wanted?.track ?? null;
      if (line.transceiver) {
        if (line.transceiver.sender.track !== track) await line.transceiver.sender.replaceTrack(track);
      } else if (line.wanted) {
        line.transceiver = this.#addLine(connection, line.source, track);
        added = true;
      }
    }
    return added;
  }

  /** What an offer says of its sending m-lines. */
  lines(): PublishLine[] {
    const lines: PublishLine[] = [];
    for (const { source, wanted, transceiver } of this.#lines.values()) {
      if (wanted && transceiver?.mid) lines.push({ mid: transceiver.mid, source, muted: wanted.muted });
    }
    return lines;
  }

  /** Learns from an answer, or from the room after resuming, what the server holds. */
  learn(tracks: readonly TrackInfo[]): void {
    for (const line of this.#lines.values()) {
      const track = tracks.find((other) => other.source === line.source);
      line.held = track && { track: track.track, muted: track.muted };
    }
  }

  /** Tells the server what differs from what it holds. */
  async settle(ask: Ask): Promise<void> {
    for (const line of this.#lines.values()) {
      if (!line.transceiver?.mid) continue;
      if (line.wanted && !line.held) await this.#publish(line, line.transceiver.mid, ask);
      if (!line.wanted && line.held) await unlessGone(line, ask({ type: 'unpublish', track: line.held.track }), undefined);
      if (line.wanted && line.held && line.wanted.muted !== line.held.muted) {
        const { muted } = line.wanted;
        await unlessGone(line, ask({ type: 'mute', track: line.held.track, muted }), { ...line.held, muted });
      }
    }
  }

  /** Gives up what the server has never taken: it refused it, and would refuse it again. False when there is nothing such. */
  dropRefused(): boolean {
    const refused = [...this.#lines.values()].filter((line) => line.wanted && !line.held);
    for (const line of refused) line.wanted = undefined;
    return refused.length > 0;
  }

  /** The connection is gone, and with it what the server held; what is wanted stays. */
  reset(): void {
    this.#streams.clear();
    for (const line of this.#lines.values()) {
      line.transceiver = undefined;
      line.held = undefined;
    }
  }

  async #publish(line: Line, mid: string, ask: Ask): Promise<void> {
    const muted = line.wanted?.muted ?? false;
    const result = await ask({ type: 'publish', mid, source: line.source, muted });
    if (result?.of === 'published') line.held = { track: result.track.track, muted: result.track.muted };
  }

  #addLine(connection: RTCPeerConnection, source: Source, track: MediaStreamTrack | null): RTCRtpTransceiver {
    const kind = source === 'camera' || source === 'screen' ? 'video' : 'audio';
    const maxBitrate = MOST_BITRATE[source];
    return connection.addTransceiver(track ?? kind, {
      direction: 'sendonly',
      streams: [this.#stream(source)],
      ...(maxBitrate === undefined ? {} : { sendEncodings: [{ maxBitrate }] }),
    });
  }

  /** Sound and picture of one origin share a stream, so that receivers synchronise them. */
  #stream(source: Source): MediaStream {
    const origin = source === 'screen' || source === 'screen_audio' ? 'screen' : 'camera';
    let stream = this.#streams.get(origin);
    if (!stream) this.#streams.set(origin, (stream = new MediaStream()));
    return stream;
  }
}

/** Notes what the server holds after a request; a track that the server does not know is held no longer. */
async function unlessGone(line: Line, asked: Promise<unknown>, then: Line['held']): Promise<void> {
  try {
    await asked;
    line.held = then;
  } catch (error) {
    if (!isAlthingError(error, 'not_found')) throw error;
    line.held = undefined;
  }
}
