// Plays what a page shows in its player.

/** @typedef {import('./person.mjs').Person} Person */

/**
 * Seeks to the middle of what a player has, then plays it from its start to its end.
 * @param {Person} who
 * @param {string} selector
 */
export function playThrough(who, selector) {
  return who.tab.evaluate(async (wanted) => {
    const media = /** @type {HTMLMediaElement} */ (document.querySelector(wanted));
    const once = (/** @type {string} */ name) =>
      new Promise((resolve, reject) => {
        media.addEventListener(name, resolve, { once: true });
        media.addEventListener('error', () => reject(new Error(`cannot be played: ${media.error?.message}`)), { once: true });
        setTimeout(() => reject(new Error(`no ${name} within 30 s, at ${media.currentTime} of ${media.duration}`)), 30_000);
      });
    media.muted = true;
    if (media.readyState < 1) await once('loadedmetadata');
    const duration = media.duration;
    // Firefox seeks in what it has read of a file that it was given in pieces.
    const isRead = () => media.seekable.length > 0 && media.seekable.end(media.seekable.length - 1) > duration / 2;
    for (let look = 0; !isRead() && look < 100; look++) await new Promise((resolve) => setTimeout(resolve, 100));
    const sought = once('seeked');
    media.currentTime = duration / 2;
    await sought;
    const middle = media.currentTime;
    const back = once('seeked');
    media.currentTime = 0;
    await back;
    media.playbackRate = 2;
    const ended = once('ended');
    await media.play();
    await ended;
    return { duration, middle, end: media.currentTime };
  }, selector);
}
