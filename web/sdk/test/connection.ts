import type { Encoding } from '../src/encodings.ts';

globalThis.MediaStream ??= class {} as never;

/** A track of pictures of this size. */
export function picture(width = 1280, height = 720): MediaStreamTrack {
  return { kind: 'video', getSettings: () => ({ width, height }) } as unknown as MediaStreamTrack;
}

/** The little of an RTCRtpSender that publishing touches; browsers are tried in `e2e`. */
export class Sender {
  track: MediaStreamTrack | null;
  encodings: Encoding[];
  degradationPreference: string | undefined;
  /** What each change switched on, by rid. */
  changes: string[] = [];
  /** Changes under way at the same time, at most. */
  atOnce = 0;
  refusal: Error | undefined;
  #transaction = 0;
  #underWay = 0;

  constructor(track: MediaStreamTrack | null, encodings: Encoding[] = [{}]) {
    this.track = track;
    this.encodings = encodings.map((encoding) => ({ active: true, ...encoding }));
  }

  replaceTrack(track: MediaStreamTrack | null): Promise<void> {
    this.track = track;
    return Promise.resolve();
  }

  getParameters() {
    return { transactionId: String(++this.#transaction), encodings: structuredClone(this.encodings), degradationPreference: this.degradationPreference };
  }

  async setParameters(parameters: ReturnType<Sender['getParameters']>): Promise<void> {
    if (parameters.transactionId !== String(this.#transaction)) throw new DOMException('stale', 'InvalidModificationError');
    this.#transaction += 1;
    this.atOnce = Math.max(this.atOnce, ++this.#underWay);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.#underWay -= 1;
    if (this.refusal) throw this.refusal;
    this.encodings = parameters.encodings;
    this.degradationPreference = parameters.degradationPreference;
    this.changes.push(this.active.join(' '));
  }

  /** The rids that are sent. */
  get active(): string[] {
    return this.encodings.filter((encoding) => encoding.active).map((encoding) => encoding.rid ?? '-');
  }
}

interface Line {
  mid: string;
  kind: string;
  sender: Sender;
  preferred: string[];
  setCodecPreferences: (codecs: RTCRtpCodec[]) => void;
}

/** The little of an RTCPeerConnection that publishing touches. */
export class Lines {
  lines: Line[] = [];
  /** What a browser says that takes no simulcast. */
  refusal: Error | undefined;

  addTransceiver(track: MediaStreamTrack | string, { sendEncodings }: RTCRtpTransceiverInit): Line {
    if (this.refusal && (sendEncodings?.length ?? 0) > 1) throw this.refusal;
    const line: Line = {
      mid: String(this.lines.length),
      kind: typeof track === 'string' ? track : track.kind,
      sender: new Sender(typeof track === 'string' ? null : track, sendEncodings),
      preferred: [],
      setCodecPreferences: (codecs) => (line.preferred = codecs.map((codec) => codec.mimeType)),
    };
    this.lines.push(line);
    return line;
  }

  /** The same, as what it stands for. */
  get connection(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }

  /** What a line sends with. */
  sender(line = 0): Sender {
    return this.lines[line]?.sender as Sender;
  }
}
