/** A module with one instruction of 128 bits: browsers that take it run the model. */
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** Whether this browser can blur the background. (The page itself compiles nothing: its policy would not let it.) */
export function canBlur(): boolean {
  return (
    typeof WebAssembly === 'object' &&
    WebAssembly.validate(SIMD) &&
    typeof OffscreenCanvas === 'function' &&
    typeof OffscreenCanvasRenderingContext2D === 'function' &&
    (hasStreams() || 'captureStream' in HTMLCanvasElement.prototype)
  );
}

/** Whether pictures of a track come and go as streams, which leaves the page out of it. */
export function hasStreams(): boolean {
  return 'MediaStreamTrackProcessor' in globalThis && 'MediaStreamTrackGenerator' in globalThis;
}
