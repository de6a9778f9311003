/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How long something is waited for (ms) where nothing else is said: several times what it takes on an idle machine, as others may be busy. */
export const PATIENCE = 30_000;

/**
 * Waits until something holds; fails with its description.
 * @template T
 * @param {string} what
 * @param {() => T | Promise<T>} look
 * @param {number} [ms]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) return /** @type {NonNullable<T>} */ (seen);
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(100);
  }
}
