import { preferring, sendable } from './codecs.ts';
import type { Encryption } from './encryption.ts';
import { encodingsFor, oneEncoding, takesAbsoluteSizes } from './encodings.ts';
import type { VideoSource } from './encodings.ts';
import { isAlthingError } from './errors.ts';
import { SenderControl, sizeOf } from './sender.ts';
import type { OkResult, PublishLine, Request, Source, TrackInfo, TrackNumber, VideoCodec } from './wire.ts';

/** Asks the server for something. */
export type Ask = (request: Request) => Promise<OkResult | undefined>;

/** What a member sends of one source. */
export interface Publication {
  readonly source: Source;
  /** The track; none while its device is off. */
  readonly track: MediaStreamTrack | null;
  /** Whether the sender has muted it. */
  readonly muted: boolean;
  /** Whether a picture is sent in several sizes, so that each viewer gets the fitting one (it is, unless this says false). Settled by the first offer. */
  readonly simulcast?: boolean;
  /** The codec to send a picture with, if the server takes it. Settled by the first offer. */
  readonly codec?: VideoCodec;
}

interface Line {
  readonly source: Source;
  /** Whether it carries the picture of its source once more, in another codec. */
  readonly fallback: boolean;
  /** What is wanted: a publication, or none. */
  wanted: Publication | undefined;
  transceiver: RTCRtpTransceiver | undefined;
  /** What is sent of a picture. */
  control: SenderControl | undefined;
  /** What the server holds: its number and whether it takes it for muted. */
  held: { track: TrackNumber; muted: boolean } | undefined;
  /** The codec that is preferred on the m-line. */
  codec: VideoCodec | undefined;
  /** Whether it has another codec than before: to the server it is another track, then. */
  anew: boolean;
}

/**
 * The sending half of a connection. It is told what is wanted, and brings connection and server there by
 * differences, so that doing it twice changes nothing.
 */
export class Publisher {
  readonly #lines = new Map<string, Line>();
  readonly #streams = new Map<string, MediaStream>();
  readonly #encryption: Encryption | undefined;
  /** Which encodings others want, by track; the server may say so before it says that the track is ours. */
  readonly #demands = new Map<TrackNumber, readonly string[]>();
  /** The codecs in which others need a track once more, by its number. */
  readonly #fallbacks = new Map<TrackNumber, readonly VideoCodec[]>();

  constructor(encryption?: Encryption) {
    this.#encryption = encryption;
  }

  /** What is published. */
  get publications(): Publication[] {
    return this.#published().map((line) => line.wanted).filter((wanted) => wanted !== undefined);
  }

  /** What is published of a source. */
  publication(source: Source): Publication | undefined {
    return this.#lines.get(source)?.wanted;
  }

  /** Wants a source published like this. */
  want(publication: Publication): void {
    this.#line(publication.source, false).wanted = publication;
  }

  /** Wants a source published no longer. */
  unwant(source: Source): void {
    const line = this.#lines.get(source);
    if (line) line.wanted = undefined;
  }

  /** Of which source a track of ours is. */
  sourceOf(track: TrackNumber): Source | undefined {
    return [...this.#lines.values()].find((line) => line.held?.track === track)?.source;
  }

  /** The server has ended a track of ours: it is wanted no longer. */
  ended(track: TrackNumber): void {
    for (const line of this.#lines.values()) {
      if (line.held?.track !== track) continue;
      line.wanted = undefined;
      const of = line.fallback && this.#lines.get(line.source)?.held;
      if (of) this.#fallbacks.delete(of.track);
      this.#hold(line, undefined);
    }
  }

  /** Puts tracks on their m-lines, adding what is missing; true when that takes an offer. */
  async attach(connection: RTCPeerConnection): Promise<boolean> {
    let added = false;
    this.#followFallbacks();
    for (const line of this.#lines.values()) {
      const track = line.wanted?.track ?? null;
      if (line.transceiver) {
        if (line.transceiver.sender.track !== track) await line.transceiver.sender.replaceTrack(track);
        if (line.fallback && line.wanted && line.codec !== line.wanted.codec) {
          prefer(line, line.transceiver, line.wanted.codec);
          line.anew = added = true;
        }
      } else if (line.wanted) {
        this.#addLine(connection, line, line.wanted);
        added = true;
      }
    }
    return added;
  }

  /** What an offer says of its sending m-lines. */
  lines(): PublishLine[] {
    const lines: PublishLine[] = [];
    for (const { source, fallback, wanted, transceiver, anew } of this.#lines.values()) {
      if (wanted && transceiver?.mid && !anew) lines.push(lineOf(transceiver.mid, source, wanted.muted, fallback));
    }
    return lines;
  }

  /** Learns from an answer, or from the room after resuming, what the server holds. */
  learn(tracks: readonly TrackInfo[]): void {
    for (const line of this.#lines.values()) {
      const track = tracks.find((other) => other.source === line.source && (other.fallback ?? false) === line.fallback);
      this.#hold(line, track && { track: track.track, muted: track.muted });
    }
  }

  /** Others want only these encodings of a track. */
  demand(track: TrackNumber, rids: readonly string[]): void {
    this.#demands.set(track, rids);
    for (const line of this.#lines.values()) if (line.held?.track === track) line.control?.demand(rids);
  }

  /** Others cannot decode a track: it is sent in one of these codecs as well, until there are none of them. */
  fallback(track: TrackNumber, codecs: readonly VideoCodec[]): void {
    this.#fallbacks.set(track, codecs);
  }

  /** Brings the encodings to what is captured, and tells the server what differs from what it holds. */
  async settle(ask: Ask): Promise<void> {
    for (const line of this.#lines.values()) {
      if (line.fallback) line.control?.rest(!line.wanted);
      else void line.control?.apply();
    }
    for (const line of this.#lines.values()) {
      if (!line.transceiver?.mid) continue;
      if (line.wanted && !line.held) await this.#publish(line, line.transceiver.mid, ask);
      if (!line.wanted && line.held) await this.#unlessGone(line, ask({ type: 'unpublish', track: line.held.track }), undefined);
      if (line.wanted && line.held && line.wanted.muted !== line.held.muted) {
        const { muted } = line.wanted;
        await this.#unlessGone(line, ask({ type: 'mute', track: line.held.track, muted }), { ...line.held, muted });
      }
    }
  }

  /** Gives up what the server has never taken: it refused it, and would refuse it again. False when there is nothing such. */
  dropRefused(): boolean {
    const refused = [...this.#lines.values()].filter((line) => line.wanted && !line.held);
    for (const line of refused) {
      line.wanted = undefined;
      const held = line.fallback && this.#lines.get(line.source)?.held;
      if (held) this.#fallbacks.delete(held.track);
    }
    return refused.length > 0;
  }

  /** The connection is gone, and with it what the server held; what is wanted stays. */
  reset(): void {
    this.#streams.clear();
    this.#demands.clear();
    this.#fallbacks.clear();
    for (const [key, line] of this.#lines) {
      if (line.fallback) this.#lines.delete(key);
      line.transceiver = undefined;
      line.control = undefined;
      line.held = undefined;
    }
  }

  /** What is published without fallbacks. */
  #published(): Line[] {
    return [...this.#lines.values()].filter((line) => !line.fallback);
  }

  #line(source: Source, fallback: boolean): Line {
    const key = fallback ? `${source} again` : source;
    const line = this.#lines.get(key) ?? { source, fallback, wanted: undefined, transceiver: undefined, control: undefined, held: undefined, codec: undefined, anew: false };
    this.#lines.set(key, line);
    return line;
  }

  /**
   * Wants what others need: the same track as it is published, not a clone of it. A clone would have an `enabled` and a life of its
   * own, and show a camera that its person has turned off.
   */
  #followFallbacks(): void {
    const capable = () => RTCRtpSender.getCapabilities('video')?.codecs ?? [];
    for (const { source, wanted, held } of this.#published()) {
      const codecs = (held && this.#fallbacks.get(held.track)) ?? [];
      const codec = codecs.length > 0 ? sendable(codecs, capable()) : undefined;
      if (wanted && codec) this.#line(source, true).wanted = { ...wanted, muted: false, codec };
      else for (const line of this.#lines.values()) if (line.fallback && line.source === source) line.wanted = undefined;
    }
  }

  async #publish(line: Line, mid: string, ask: Ask): Promise<void> {
    const muted = line.wanted?.muted ?? false;
    const result = await ask({ type: 'publish', ...lineOf(mid, line.source, muted, line.fallback) });
    line.anew = false;
    if (result?.of === 'published') this.#hold(line, { track: result.track.track, muted: result.track.muted });
  }

  /** Notes what the server holds. A track that begins is wanted whole until the server says otherwise. */
  #hold(line: Line, held: Line['held']): void {
    if (line.held && line.held.track !== held?.track) {
      this.#demands.delete(line.held.track);
      this.#fallbacks.delete(line.held.track);
    }
    line.held = held;
    line.control?.demand(held && this.#demands.get(held.track));
  }

  /** Notes what the server holds after a request; a track that the server does not know is held no longer. */
  async #unlessGone(line: Line, asked: Promise<unknown>, then: Line['held']): Promise<void> {
    try {
      await asked;
      this.#hold(line, then);
    } catch (error) {
      if (!isAlthingError(error, 'not_found')) throw error;
      this.#hold(line, undefined);
    }
  }

  #addLine(connection: RTCPeerConnection, line: Line, publication: Publication): void {
    const { source } = publication;
    if (source === 'camera' || source === 'screen') this.#addPicture(connection, line, source, publication);
    else line.transceiver = connection.addTransceiver(publication.track ?? 'audio', { direction: 'sendonly', streams: [this.#stream(source)] });
    if (line.transceiver) this.#encryption?.send(line.transceiver.sender, line.transceiver.receiver.track.kind);
  }

  #addPicture(connection: RTCPeerConnection, line: Line, source: VideoSource, { track, codec, simulcast = true }: Publication): void {
    const size = track ? sizeOf(track) : undefined;
    const one = [oneEncoding(source, size)];
    const add = (sendEncodings: RTCRtpEncodingParameters[]) =>
      connection.addTransceiver(track ?? 'video', { direction: 'sendonly', streams: [this.#stream(source)], sendEncodings });
    try {
      line.transceiver = add(simulcast ? encodingsFor(source, size, takesAbsoluteSizes()) : one);
    } catch (error) {
      console.info(`althing: the ${source} is sent in one size: ${String(error)}`);
      line.transceiver = add(one);
    }
    // Of what is sealed the server knows key frames in this one only.
    prefer(line, line.transceiver, this.#encryption ? 'vp8' : codec);
    line.control = new SenderControl(line.transceiver.sender, source);
  }

  /** Sound and picture of one origin share a stream, so that receivers synchronise them. */
  #stream(source: Source): MediaStream {
    const origin = source === 'screen' || source === 'screen_audio' ? 'screen' : 'camera';
    let stream = this.#streams.get(origin);
    if (!stream) this.#streams.set(origin, (stream = new MediaStream()));
    return stream;
  }
}

function lineOf(mid: string, source: Source, muted: boolean, fallback: boolean): PublishLine {
  return { mid, source, muted, ...(fallback ? { fallback } : {}) };
}

function prefer(line: Line, transceiver: RTCRtpTransceiver, codec: VideoCodec | undefined): void {
  line.codec = codec;
  if (codec) transceiver.setCodecPreferences(preferring(codec, RTCRtpSender.getCapabilities('video')?.codecs ?? []));
}
