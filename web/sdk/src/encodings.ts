import type { Source } from './wire.ts';

/** What TypeScript's library does not know yet of an encoding: WebRTC-SVC and WebRTC's extensions. */
export interface Encoding extends RTCRtpEncodingParameters {
  scalabilityMode?: string;
  scaleResolutionDownTo?: { maxWidth: number; maxHeight: number };
}

/** Width and height of a picture. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What of an encoding follows from the picture that is captured. */
export type Tuning = { maxBitrate: number } & Pick<Encoding, 'scaleResolutionDownBy' | 'scaleResolutionDownTo'>;

/** The sources that are pictures. */
export type VideoSource = Extract<Source, 'camera' | 'screen'>;

/** Encodings by name, smallest first: a quarter, half and all of the lines. */
const RIDS = ['q', 'h', 'f'] as const;
/** Without a track, as while the camera is off, this is what will come. */
const EXPECTED: Size = { width: 1280, height: 720 };
/** Nobody is helped by a picture of fewer lines. */
const LEAST_LINES = 90;
/** Three temporal layers. VP9 and AV1 are simulcast only where a mode without spatial layers is asked for. */
const TEMPORAL_LAYERS = 'L1T3';
/** Text is legible at this size on a phone, and costs little. */
const SMALL_SCREEN: Size = { width: 960, height: 540 };
const SCREEN_BITRATE = { small: 400_000, whole: 2_500_000 };
/** More than any display: the encoding is never scaled, however large the capture becomes. */
const WHOLE = { maxWidth: 16_384, maxHeight: 16_384 };

/** The encodings of a line. There cannot be more of them later, while how each is sent may change. */
export function encodingsFor(source: VideoSource, size: Size | undefined, absolute: boolean): Encoding[] {
  const rids = RIDS.slice(-count(source, size ?? EXPECTED, absolute));
  if (rids.length === 1) return [oneEncoding(source, size)];
  return rids.map((rid) => ({ rid, scalabilityMode: TEMPORAL_LAYERS, ...tune(source, rid, size, absolute) }));
}

/** A line's only encoding. */
export function oneEncoding(source: VideoSource, size: Size | undefined): Encoding {
  return { maxBitrate: tune(source, undefined, size).maxBitrate };
}

/** How an encoding of a picture of this size is sent, in pixels or by factors. Without a rid it is the only one. */
export function tune(source: VideoSource, rid: string | undefined, size: Size = EXPECTED, absolute = false): Tuning {
  const whole = rid === undefined || rid === 'f';
  if (source === 'screen') {
    const maxBitrate = whole ? SCREEN_BITRATE.whole : SCREEN_BITRATE.small;
    if (!absolute) return { maxBitrate, scaleResolutionDownBy: whole ? 1 : 2 };
    return { maxBitrate, scaleResolutionDownTo: whole ? WHOLE : { maxWidth: SMALL_SCREEN.width, maxHeight: SMALL_SCREEN.height } };
  }
  const lines = Math.min(size.width, size.height);
  const factor = whole ? 1 : Math.max(1, Math.min(rid === 'q' ? 4 : 2, lines / LEAST_LINES));
  const maxBitrate = cameraBitrate(lines / factor);
  if (!absolute) return { maxBitrate, scaleResolutionDownBy: factor };
  const bounds = { maxWidth: Math.round(size.width / factor), maxHeight: Math.round(size.height / factor) };
  return { maxBitrate, scaleResolutionDownTo: whole ? WHOLE : bounds };
}

let absolute: boolean | undefined;

/** Whether the browser takes sizes in pixels for encodings. It reads only those members of a dictionary that it knows. */
export function takesAbsoluteSizes(): boolean {
  if (absolute !== undefined) return absolute;
  let read = false;
  const probe: Encoding = {
    get scaleResolutionDownTo() {
      read = true;
      return undefined as never;
    },
  };
  try {
    const connection = new RTCPeerConnection();
    connection.addTransceiver('video', { sendEncodings: [probe] });
    connection.close();
  } catch {
    // Then it does not.
  }
  return (absolute = read);
}

/**
 * How many encodings are worth sending. Where they are scaled by factors, libwebrtc counts pixels and leaves out the
 * largest of too many, so that nobody would ever get the whole picture; sizes in pixels it takes as they are.
 */
function count(source: VideoSource, { width, height }: Size, absolute: boolean): 1 | 2 | 3 {
  const most = source === 'screen' ? 2 : 3;
  const pixels = width * height;
  if (!absolute) return pixels >= 960 * 540 ? most : pixels >= 480 * 270 ? 2 : 1;
  if (source === 'screen') return most;
  const lines = Math.min(width, height);
  return lines >= 360 ? most : lines >= 200 ? 2 : 1;
}

/**
 * The most that so many lines of a face need (bit/s): 1.7 Mbit/s for 720, 500 kbit/s for half and 150 kbit/s for a
 * quarter of them. The server's feedback lowers it.
 */
function cameraBitrate(lines: number): number {
  const bitrate = 1_700_000 * (lines / 720) ** 1.765;
  return Math.min(3_500_000, Math.max(80_000, Math.round(bitrate / 10_000) * 10_000));
}
