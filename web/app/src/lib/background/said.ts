/** Pictures a second at most. More: smoother; less: time of a core for each. */
export const RATE = 24;

/** What the page tells the worker. */
export type Order =
  /** To take pictures from one stream, and give what is made of them to the other. */
  | { type: 'streams'; readable: ReadableStream<VideoFrame>; writable: WritableStream<VideoFrame> }
  /** To ask for pictures, and give back what is made of each. */
  | { type: 'pictures' }
  | { type: 'picture'; picture: ImageBitmap }
  /** To end. */
  | { type: 'close' };

/** What the worker tells the page. */
export type Told =
  /** It wants the next picture. */
  | { type: 'next' }
  | { type: 'made'; picture: ImageBitmap }
  /** The first picture has gone into the stream. */
  | { type: 'begun' }
  | { type: 'failed'; message: string };
