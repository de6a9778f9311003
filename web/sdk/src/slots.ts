import { receivableVideo } from './codecs.ts';
import type { Encryption } from './encryption.ts';
import type { MemberId, PairMids, SlotPair, VideoCodec } from './wire.ts';

/** What a slot pair receives. The tracks stay the same for the life of the connection; who is in them changes. */
export interface PairTracks {
  readonly stream: MediaStream;
  readonly audio: MediaStreamTrack | undefined;
  readonly video: MediaStreamTrack | undefined;
  /** The receiver of the pictures. */
  readonly receiver?: RTCRtpReceiver | undefined;
  /** The receiver of the sound. */
  readonly hearing?: RTCRtpReceiver | undefined;
}

/** What is received of one member's camera and microphone, or of its screen. */
export interface SlotMedia {
  /** The slot pair's number. */
  readonly pair: number;
  /** Sound and picture of the pair, synchronised. */
  readonly stream: MediaStream;
  /** The sound; absent while the pair carries none. */
  readonly audio: MediaStreamTrack | undefined;
  /** The picture; absent while the pair carries none, or still another one's. */
  readonly video: MediaStreamTrack | undefined;
}

/** What is received of one member. */
export interface MemberMedia {
  readonly camera?: SlotMedia;
  readonly screen?: SlotMedia;
}

/** Who is heard and seen where. A pair whose m-lines are not negotiated yet shows nobody; `isThere`: whether its picture is what it is to be. */
export function mediaByMember(
  slots: readonly SlotPair[],
  tracksOf: (pair: number) => PairTracks | undefined,
  isThere: (slot: SlotPair) => boolean = () => true,
): Map<MemberId, MemberMedia> {
  const media = new Map<MemberId, MemberMedia>();
  for (const slot of slots) {
    const tracks = tracksOf(slot.pair);
    if (!tracks) continue;
    const entry: SlotMedia = {
      pair: slot.pair,
      stream: tracks.stream,
      audio: slot.audio === undefined ? undefined : tracks.audio,
      video: slot.video === undefined || !isThere(slot) ? undefined : tracks.video,
    };
    media.set(slot.member, { ...media.get(slot.member), [slot.screen ? 'screen' : 'camera']: entry });
  }
  return media;
}

/** The receiving half of a connection: m-lines in pairs, which the server fills as it sees fit. */
export class SlotBoard {
  readonly #receive: readonly VideoCodec[] | undefined;
  readonly #encryption: Encryption | undefined;
  #created = 0;
  #pairs = new Map<number, PairTracks & { mids: PairMids }>();

  /** `receive`: the codecs of pictures to receive, if not all that the browser has. */
  constructor(receive?: readonly VideoCodec[], encryption?: Encryption) {
    this.#receive = receive;
    this.#encryption = encryption;
  }

  /** Adds transceivers until there are `wanted` pairs; true when that takes an offer. */
  grow(connection: RTCPeerConnection, wanted: number): boolean {
    const missing = wanted - this.#created;
    for (let i = 0; i < missing; i++) {
      const audio = connection.addTransceiver('audio', { direction: 'recvonly' });
      const video = connection.addTransceiver('video', { direction: 'recvonly' });
      preferCodecs(video, this.#receive);
      for (const { receiver } of [audio, video]) this.#encryption?.receive(receiver);
    }
    this.#created = Math.max(this.#created, wanted);
    return missing > 0;
  }

  /** Learns from an answer which m-lines belong together. A pair that is known keeps its stream. */
  bind(connection: RTCPeerConnection, pairs: readonly PairMids[]): void {
    const byMid = new Map(connection.getTransceivers().map((transceiver) => [transceiver.mid, transceiver.receiver]));
    const before = this.#pairs;
    this.#pairs = new Map(
      pairs.map((mids) => {
        const known = before.get(mids.pair);
        if (known && known.mids.audio === mids.audio && known.mids.video === mids.video) return [mids.pair, known];
        const hearing = mids.audio === undefined ? undefined : byMid.get(mids.audio);
        const audio = hearing?.track;
        const receiver = mids.video === undefined ? undefined : byMid.get(mids.video);
        const video = receiver?.track;
        return [mids.pair, { mids, audio, video, receiver, hearing, stream: new MediaStream([audio, video].filter((track) => track !== undefined)) }];
      }),
    );
  }

  /** The tracks of a pair. */
  tracks(pair: number): PairTracks | undefined {
    return this.#pairs.get(pair);
  }

  /** The pair that an m-line belongs to. */
  pairOf(mid: string): number | undefined {
    for (const [pair, { mids }] of this.#pairs) if (mids.audio === mid || mids.video === mid) return pair;
    return undefined;
  }

  /** The connection is gone. */
  reset(): void {
    this.#created = 0;
    this.#pairs.clear();
  }
}

function preferCodecs(transceiver: RTCRtpTransceiver, receive: readonly VideoCodec[] | undefined): void {
  const codecs = receivableVideo(RTCRtpReceiver.getCapabilities('video')?.codecs ?? [], receive);
  if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
}
