import { tune } from './encodings.ts';
import type { Encoding, Size, Tuning, VideoSource } from './encodings.ts';

type Parameters = RTCRtpSendParameters & { encodings: Encoding[] };

/**
 * Brings the encodings of one RTCRtpSender to what the capture and the others' demand ask for. One change follows
 * another, and only what differs is set; what the browser refuses is tried again the next time.
 */
export class SenderControl {
  readonly #sender: RTCRtpSender;
  readonly #source: VideoSource;
  #demand: readonly string[] | undefined;
  #rests = false;
  #size: Size | undefined;
  /** What the browser has taken of what is to be kept when not all can be had. */
  #kept: RTCDegradationPreference | undefined;
  #due = false;
  #busy = false;

  constructor(sender: RTCRtpSender, source: VideoSource) {
    this.#sender = sender;
    this.#source = source;
  }

  /** Only these rids are wanted; all of them, when nothing is known. */
  demand(rids: readonly string[] | undefined): void {
    this.#demand = rids;
    void this.apply();
  }

  /** Nothing is to be encoded, whatever is wanted; or it is again. */
  rest(rests: boolean): void {
    this.#rests = rests;
    void this.apply();
  }

  /** Looks at the capture, and sets what differs. Never rejects. */
  async apply(): Promise<void> {
    this.#due = true;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#due) {
      this.#due = false;
      try {
        // Without a pause in between: parameters are only good for the task that has read them.
        const parameters = this.#sender.getParameters();
        if (!this.#change(parameters)) continue;
        await this.#sender.setParameters(parameters);
        this.#kept = this.#toKeep();
      } catch (error) {
        console.info(`althing: the encodings of the ${this.#source} stay as they were: ${String(error)}`);
      }
    }
    this.#busy = false;
  }

  /** Writes what is wanted into the parameters; false when all of it is there already. */
  #change(parameters: Parameters): boolean {
    const { track } = this.#sender;
    if (track) this.#size = sizeOf(track) ?? this.#size;
    let changed = this.#prefer(parameters);
    const alone = parameters.encodings.length === 1;
    for (const encoding of parameters.encodings) {
      // An answer may have left one of several: that is the whole picture then.
      const rid = alone ? undefined : encoding.rid;
      const active = !this.#rests && (rid === undefined || this.#demand === undefined || this.#demand.includes(rid));
      const wanted = { active, ...tune(this.#source, rid, this.#size, encoding.scaleResolutionDownTo !== undefined) };
      if (isLike(encoding, wanted)) continue;
      Object.assign(encoding, wanted);
      changed = true;
    }
    return changed;
  }

  /** Asked for once, as not every browser tells whether it is so. */
  #prefer(parameters: Parameters): boolean {
    const kept = this.#toKeep();
    if (kept === undefined || kept === this.#kept) return false;
    parameters.degradationPreference = kept;
    return true;
  }

  /** Text must stay legible: a shared screen loses frames rather than lines, unless it shows what moves. */
  #toKeep(): RTCDegradationPreference | undefined {
    if (this.#source !== 'screen') return undefined;
    return this.#sender.track?.contentHint === 'motion' ? 'balanced' : 'maintain-resolution';
  }
}

/** The size of what a track shows, as far as it is known. */
export function sizeOf(track: MediaStreamTrack): Size | undefined {
  const { width, height } = track.getSettings();
  return width && height ? { width, height } : undefined;
}

function isLike(encoding: Encoding, wanted: Tuning & { active: boolean }): boolean {
  return encoding.active === wanted.active && encoding.maxBitrate === wanted.maxBitrate && isScaledLike(encoding, wanted);
}

function isScaledLike(encoding: Encoding, wanted: Tuning): boolean {
  const [is, be] = [encoding.scaleResolutionDownTo, wanted.scaleResolutionDownTo];
  if (be) return is?.maxWidth === be.maxWidth && is.maxHeight === be.maxHeight;
  return isNear(encoding.scaleResolutionDownBy, wanted.scaleResolutionDownBy);
}

/** Browsers keep factors in less than full precision. */
function isNear(is = 1, be = 1): boolean {
  return Math.abs(is - be) < 0.01;
}
