/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Waits until something holds; fails with its description and what was seen last.
 * @template T
 * @param {string} what
 * @param {() => T | Promise<T>} look
 * @param {number} [ms]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) return /** @type {NonNullable<T>} */ (seen);
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(100);
  }
}
