/** What an effect makes of a camera. */
export interface Processed {
  /** The picture that is shown and sent instead of the camera's. */
  readonly track: MediaStreamTrack;
  /** Resolves when it can go on no longer, with the reason; never after `close`. */
  readonly failed: Promise<Error>;
  /** Ends it. The camera itself stays as it is. */
  close(): void;
}

/** Makes another picture of a camera's: resolves once there is one, rejects when there will be none. */
export type CameraEffect = (camera: MediaStreamTrack) => Promise<Processed>;
