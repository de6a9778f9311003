// What a call is for, each by both ways, and the test with real browsers that shows it.

const WAYS = /** @type {const} */ (['direct', 'server']);
/** @type {Record<string, (way: 'direct' | 'server') => [file: string, test: string]>} */
const CELLS = {
  text: (way) => [`article_${way}`, `${way}: what one writes the other reads, and the answer too`],
  voice: (way) => [`article_${way}`, `${way}: two with their cameras off hear each other`],
  video: (way) => [`article_${way}`, `${way}: two see and hear each other`],
  screen: (way) => [`article_${way}`, `${way}: a screen is seen and heard beside the camera`],
  screenshot: (way) => ['screenshot', `${way}: a screenshot of a tile has the size of its picture, and is saved with what was drawn on it`],
  audio_recording: (way) => here(way, 'the sound of', 'is recorded'),
  video_recording: (way) => here(way, '', 'is recorded'),
  screen_recording: (way) => here(way, 'a screen during', 'is recorded'),
  playback: (way) => [`article_${way}`, `${way}: what the server records of a call plays in the page from start to end, and is downloaded`],
  download: (way) => [`article_${way}`, `${way}: what the server records of a call plays in the page from start to end, and is downloaded`],
};

/**
 * A test of what a browser records.
 * @param {'direct' | 'server'} way
 * @param {string} part
 * @param {string} does
 * @returns {[string, string]}
 */
function here(way, part, does) {
  const call = way === 'direct' ? 'a direct call' : 'a call by way of the server';
  return [`record_here_${way}`, `${part} ${call} ${does} in the browser: told, played, downloaded`.trim()];
}

/** @typedef {{ row: string, file: string, test: string }} Cell */

/** @type {Cell[]} */
export const cells = WAYS.flatMap((way) =>
  Object.entries(CELLS).map(([what, of]) => {
    const [file, test] = of(way);
    return { row: `article.${way}.${what}`, file, test };
  }),
);

/**
 * Whether a test has passed, by what the reporter says of a file; a test that is not there has not.
 * @param {string} said
 * @param {string} test
 */
export function hasPassed(said, test) {
  return said.split('\n').some((line) => line.startsWith(`✔ ${test} (`));
}
