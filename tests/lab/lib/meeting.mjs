// What the tests of the lab have in common: Ada sends her picture, others watch it.
import { sleep } from '../../../web/e2e/lib/wait.mjs';
import { frozen, runs } from './frames.mjs';
import { LARGE } from './scene.mjs';

/** @typedef {import('./scene.mjs').Guest} Guest */
/** @typedef {Awaited<ReturnType<Guest['counted']>>} Counted */

/**
 * Ada sends and each of the others shows her large; all are in the room and the top layer is shown for a while.
 * @param {ReturnType<typeof import('./scene.mjs').scene>} stage
 * @param {string} room
 * @param {{ name: import('./scene.mjs').Name, browser?: 'chromium' | 'firefox' }[]} viewers
 * @param {{ browser?: 'chromium' | 'firefox', prefer?: string, ways?: { up?: object, down?: object } }} [options] how Ada sends, and the viewers' ways
 */
export async function meet(stage, room, viewers, { ways, ...publisher } = {}) {
  const ada = await stage.guest('Ada', publisher);
  await ada.enter(stage.url, room, { sends: true });
  const guests = [];
  for (const { name, browser = 'chromium' } of viewers) {
    const guest = await stage.guest(name, { browser, ...LARGE });
    if (ways) await guest.way.shape(ways);
    await guest.enter(stage.url, room, { sends: false });
    await guest.watch('Ada');
    guests.push(guest);
  }
  for (const guest of guests) await guest.shows((lines) => lines === 360);
  // The estimate has grown beyond what is needed, and the first key frames are forgotten.
  await sleep(8000);
  return { ada, guests };
}

/**
 * How long a picture stood still between two counts (ms): as the browser counts it, or from its frames where it does not.
 * @param {Counted} before
 * @param {Counted} after
 * @param {[number, number][]} shown
 * @returns {number}
 */
export function stoodStill(before, after, shown) {
  // What stands still at the end is counted only when the next picture comes.
  const since = after.at - Math.max(before.at, shown.findLast(([at]) => at <= after.at)?.[0] ?? 0);
  return (since > 1000 ? since : 0) + untilLast(before, after, shown);
}

/** @type {typeof stoodStill} */
function untilLast(before, after, shown) {
  return after.frozen === undefined ? frozen(shown.filter(([at]) => at >= before.at && at <= after.at)) : (after.frozen - (before.frozen ?? 0)) * 1000;
}

/**
 * Watches for a while over ways as they are now, and tells what came of it.
 * @param {Guest} viewer
 * @param {number} seconds
 */
export async function observe(viewer, seconds) {
  const before = await viewer.counted();
  await sleep(seconds * 1000);
  const after = await viewer.counted();
  const shown = (await viewer.frames(before.at)).filter(([at]) => at <= after.at);
  const took = after.at - before.at;
  return {
    fps: ((after.decoded - before.decoded) * 1000) / took,
    stillPercent: (100 * stoodStill(before, after, shown)) / took,
    top: shown.filter(([, lines]) => lines === 360).length / Math.max(1, shown.length),
    lowest: shown.filter(([, lines]) => lines < 180).length / Math.max(1, shown.length),
    last: shown.at(-1)?.[1] ?? 0,
    nacks: after.nacks - before.nacks,
    repaired: after.repaired === undefined ? undefined : after.repaired - (before.repaired ?? 0),
    lost: after.lost - before.lost,
    plis: after.plis - before.plis,
    keyFrames: after.keyFrames - before.keyFrames,
    runs: runs(shown).map(({ lines, from, until, frames }) => `${lines}: ${frames} in ${Math.round(until - from)} ms`),
  };
}

/**
 * What there is to know when something was missed: the bridge's counts, what was shown, and what the server has decided.
 * @param {ReturnType<typeof import('./scene.mjs').scene>} stage
 * @param {string} room
 * @param {Guest} ada
 * @param {Guest[]} guests
 */
export async function evidence(stage, room, ada, guests) {
  console.log(`Ada sends: ${JSON.stringify((await ada.stats()).outbound.filter((/** @type {any} */ line) => line.kind === 'video'))}`);
  console.log(`Ada's way: ${JSON.stringify(await ada.way.counts())}`);
  for (const guest of guests) {
    console.log(`${guest.name} was shown: ${JSON.stringify(runs(await guest.frames()))}`);
    console.log(`${guest.name} has counted: ${JSON.stringify(await guest.counted())}`);
    console.log(`${guest.name}'s way: ${JSON.stringify(await guest.way.counts())}`);
  }
  for (const [member, entries] of await stage.journals(room)) console.log(`The server on ${member}: ${JSON.stringify(entries)}`);
  console.log(JSON.stringify(await stage.metrics('althing_layer')));
}
