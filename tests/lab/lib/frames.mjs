// What a list of shown frames says: each frame is when it was shown (ms) and its lines.

/** What was shown one after another: lines, and from when until when (ms). @param {[number, number][]} frames */
export function runs(frames) {
  /** @type {{ lines: number, from: number, until: number, frames: number }[]} */
  const all = [];
  for (const [at, lines] of frames) {
    const last = all.at(-1);
    if (last?.lines === lines) [last.until, last.frames] = [at, last.frames + 1];
    else all.push({ lines, from: at, until: at, frames: 1 });
  }
  return all;
}

/**
 * How long a picture stood still (ms), as WebRTC's statistics define a freeze: a frame that comes later than three times the
 * mean distance, and than that and 150 ms. For browsers that do not count it.
 * @param {[number, number][]} frames
 */
export function frozen(frames) {
  let total = 0;
  /** @type {number[]} */
  const recent = [];
  for (let i = 1; i < frames.length; i++) {
    const distance = frames[i][0] - frames[i - 1][0];
    const mean = recent.reduce((sum, value) => sum + value, 0) / Math.max(1, recent.length);
    if (recent.length > 5 && distance > Math.max(3 * mean, mean + 150)) total += distance;
    recent.push(distance);
    if (recent.length > 30) recent.shift();
  }
  return total;
}
