/** Why a device could not be had. */
export type DeviceProblem =
  /** The person, or the browser on their behalf, has said no. */
  | 'denied'
  /** There is no such device. */
  | 'not_found'
  /** Another program holds it, or it has failed. */
  | 'in_use'
  /** The page is not served over https or from localhost, so that browsers give it no device. */
  | 'insecure'
  /** The person closed the picker without choosing. */
  | 'dismissed'
  /** What was to be made of its picture cannot be made. */
  | 'effect'
  /** Anything else. */
  | 'failed';

/** A device could not be had. */
export class DeviceError extends Error {
  readonly problem: DeviceProblem;

  constructor(problem: DeviceProblem, message: string) {
    super(message);
    this.name = 'DeviceError';
    this.problem = problem;
  }
}

/** The devices of a kind, as far as the browser shows them. */
export interface DeviceList {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

/** What the browser does with the sound of a microphone. */
export interface Processing {
  echoCancellation: boolean;
  noiseSuppression: boolean;
  autoGainControl: boolean;
}

/** All of it: what voices need. Music needs none. */
export const PROCESSING: Processing = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** What a shared screen shows most of: text stays legible and loses frames, motion stays smooth and loses sharpness. */
export type ScreenContent = 'text' | 'motion';

/** Whether this page may ask for devices at all. */
export function devicesAllowed(): boolean {
  return globalThis.isSecureContext && navigator.mediaDevices !== undefined;
}

/** Lists the devices. Names are empty until one of the kind has been granted. */
export async function listDevices(): Promise<DeviceList> {
  const all = devicesAllowed() ? await navigator.mediaDevices.enumerateDevices() : [];
  const of = (kind: MediaDeviceKind) => all.filter((device) => device.kind === kind && device.deviceId !== '');
  return { cameras: of('videoinput'), microphones: of('audioinput'), speakers: of('audiooutput') };
}

/** Opens a camera: this one if given and present, else any. */
export async function openCamera(deviceId?: string): Promise<MediaStreamTrack> {
  return first(await capture({ video: { ...PICTURE, ...preferring(deviceId) } }));
}

/** Opens a microphone: this one if given and present, else any. */
export async function openMicrophone(deviceId?: string, processing: Processing = PROCESSING): Promise<MediaStreamTrack> {
  return first(await capture({ audio: { ...processing, ...preferring(deviceId) } }));
}

/** Opens any of both at once, so that the person is asked once. Rejects when either cannot be had. */
export async function openBoth(ids: { camera?: string | undefined; microphone?: string | undefined }, processing: Processing = PROCESSING): Promise<{ camera: MediaStreamTrack; microphone: MediaStreamTrack }> {
  const tracks = await capture({ video: { ...PICTURE, ...preferring(ids.camera) }, audio: { ...processing, ...preferring(ids.microphone) } });
  return { camera: first(tracks.filter((track) => track.kind === 'video')), microphone: first(tracks.filter((track) => track.kind === 'audio')) };
}

/** Lets the person choose a screen, window or tab; its sound comes along where the browser offers it. */
export async function openScreen(content: ScreenContent = 'text'): Promise<{ video: MediaStreamTrack; audio: MediaStreamTrack | undefined }> {
  if (!devicesAllowed() || !('getDisplayMedia' in navigator.mediaDevices)) throw insecure();
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: content === 'text' ? 15 : 30, max: 30 } }, audio: true });
    const video = first(stream.getVideoTracks());
    video.contentHint = hintOf(content);
    return { video, audio: stream.getAudioTracks()[0] };
  } catch (error) {
    // For a screen, `NotAllowedError` is how the picker reports that nothing was chosen.
    const problem = classify(error);
    throw new DeviceError(problem === 'denied' ? 'dismissed' : problem, String(error));
  }
}

/** How browsers call it (mst-content-hint). */
export function hintOf(content: ScreenContent): 'detail' | 'motion' {
  return content === 'text' ? 'detail' : 'motion';
}

/** What an error of `getUserMedia` or `getDisplayMedia` means. */
export function classify(error: unknown): DeviceProblem {
  switch (error instanceof Error || error instanceof DOMException ? error.name : '') {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
      return 'denied';
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError':
      return 'not_found';
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError':
      return 'in_use';
    case 'SecurityError':
      return 'insecure';
    default:
      return 'failed';
  }
}

async function capture(constraints: MediaStreamConstraints): Promise<MediaStreamTrack[]> {
  if (!devicesAllowed()) throw insecure();
  try {
    return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks();
  } catch (error) {
    throw new DeviceError(classify(error), String(error));
  }
}

function preferring(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId ? { deviceId: { ideal: deviceId } } : {};
}

function first(tracks: MediaStreamTrack[]): MediaStreamTrack {
  const track = tracks[0];
  if (!track) throw new DeviceError('failed', 'the browser gave no track');
  return track;
}

function insecure(): DeviceError {
  return new DeviceError('insecure', 'devices are given to pages of https and localhost only');
}
