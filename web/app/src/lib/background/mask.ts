/** Below, a pixel is of the background; above the other one, of the person; between, it is of both. */
const BACKGROUND = 0.3;
const PERSON = 0.75;
/** How much of the mask before is in the next one: edges that jump from picture to picture are seen more than late ones. */
const BEFORE = 0.4;

/**
 * Makes the alpha of a mask of how sure a model is that pixels are of a person (0 to 1).
 * @param sure the model's answer, a number a pixel
 * @param settled what the last call made of it, changed
 * @param rgba the mask's pixels: their alpha is written
 */
export function settle(sure: Float32Array, settled: Float32Array, rgba: Uint8ClampedArray): void {
  for (let pixel = 0; pixel < settled.length; pixel++) {
    const now = (1 - BEFORE) * (sure[pixel] ?? 0) + BEFORE * (settled[pixel] ?? 0);
    settled[pixel] = now;
    rgba[4 * pixel + 3] = (255 * (now - BACKGROUND)) / (PERSON - BACKGROUND);
  }
}
