import { test } from 'node:test';
import { installed } from '../../../web/e2e/lib/browsers.mjs';
import { sleep } from '../../../web/e2e/lib/wait.mjs';
import { attempts } from '../lib/attempts.mjs';
import { runs } from '../lib/frames.mjs';
import { evidence, meet, stoodStill } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const rows = proof();

/**
 * Of 360 lines the largest encoding takes 500 kbit/s, the middle one 150 and the smallest 80; sound takes up to 110, as its
 * redundancy doubles it.
 */
const NARROW = Object.freeze({ ...AMPLE, capacity: 300_000 });

test('a Chromium whose link breaks down is sent a lower layer, others notice nothing, and it has the top layer again when the link is back', (context) =>
  breakdown(context, 'chromium'));

test('a Firefox whose link breaks down is sent a lower layer, and has the top layer again when the link is back', {
  skip: installed.firefox ? process.env['LAB_SHORT'] && 'not among the short ones' : 'SKIPPED: Firefox is not installed',
}, (context) => breakdown(context, 'firefox'));

/** @param {import('node:test').TestContext} context @param {'chromium' | 'firefox'} browser */
function breakdown(context, browser) {
  const prefix = `lab_capacity_${browser}`;
  return attempts(context, stage, rows, prefix, (room) => narrowed(browser, prefix, room));
}

/** @param {'chromium' | 'firefox'} browser @param {string} prefix @param {string} room */
async function narrowed(browser, prefix, room) {
  const { ada, guests } = await meet(stage, room, [{ name: 'Ben', browser }, { name: 'Cleo' }]);
  const [ben, cleo] = guests;
  try {
    const [before, other] = [await ben.counted(), await cleo.counted()];
    const narrow = await ben.way.shape({ down: NARROW });
    const lower = await ben.shows((lines) => lines < 360, narrow, 20_000);
    rows.note(`${prefix}_lower_ms`, lower - narrow, 'ms', '<=', 2000);
    await sleep(Math.max(0, narrow + 8000 - Date.now()));
    await ben.way.forget();
    await sleep(10_000);
    const { queue_ms: queue } = (await ben.way.counts()).down;
    const after = await ben.counted();
    rows.note(`${prefix}_frozen_ms`, stoodStill(before, after, await ben.frames(narrow)), 'ms', '<=', 2600);
    rows.note(`${prefix}_queue_p95_ms`, queue.p95, 'ms', '<=', 200);
    rows.note(`${prefix}_narrow_fps`, ((after.decoded - before.decoded) * 1000) / (after.at - before.at), 'fps');

    const wide = await ben.way.shape({ down: AMPLE });
    const top = await ben.shows((lines) => lines === 360, wide, 60_000);
    rows.note(`${prefix}_top_again_ms`, top - wide, 'ms', '<=', 30_000);
    const frames = await cleo.frames(narrow);
    rows.note(`${prefix}_other_still_ms`, stoodStill(other, await cleo.counted(), frames), 'ms', '=', 0);
    rows.note(`${prefix}_other_switches`, runs(frames).length - 1, 'switches', '=', 0);
    rows.holds(prefix);
  } catch (error) {
    await evidence(stage, room, ada, guests);
    throw error;
  }
}
