import { test } from 'node:test';
import { attempts } from '../lib/attempts.mjs';
import { evidence, meet, observe } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const rows = proof();

const BURSTS = { ...AMPLE, burst: { loss: 0.02, length: 4 } };
const FAR = { ...AMPLE, delay_ms: 50 };

test('with 2 % lost in bursts on the way to a viewer the picture goes on', (context) => lossy(context, 'burst_down', 40, { viewer: { down: BURSTS } }, { still: 2 }));

test('with 2 % lost in bursts on the way from who sends the picture goes on', (context) => lossy(context, 'burst_up', 40, { sender: { up: BURSTS } }, { still: 2 }));

test('with 10 % lost each way and a round trip of 100 ms the picture goes on', (context) =>
  lossy(context, 'loss_10', 40, { viewer: { up: { ...FAR, loss: 0.1 }, down: { ...FAR, loss: 0.1 } } }, { still: 2, far: true }));

test('with 30 % lost each way and a round trip of 100 ms ten pictures a second are left', (context) =>
  lossy(context, 'loss_30', 60, { viewer: { up: { ...FAR, loss: 0.3 }, down: { ...FAR, loss: 0.3 } } }, { fps: 10, far: true }));

/**
 * @typedef {{ viewer?: { up?: object, down?: object }, sender?: { up?: object, down?: object } }} Ways
 * @typedef {{ still?: number, fps?: number, far?: boolean }} Reach the most that the picture may stand still, in per cent of the time; the
 *   fewest pictures a second; `far`: the viewer's round trip is 100 ms from the beginning
 */

/** @param {import('node:test').TestContext} context @param {string} name @param {number} seconds @param {Ways} ways @param {Reach} reach */
function lossy(context, name, seconds, ways, reach) {
  const prefix = `lab_${name}`;
  return attempts(context, stage, rows, prefix, (room) => impaired(prefix, room, seconds, ways, reach));
}

/**
 * @param {string} prefix
 * @param {string} room
 * @param {number} seconds
 * @param {Ways} ways
 * @param {Reach} reach
 */
async function impaired(prefix, room, seconds, ways, { still, fps = 12, far = false }) {
  const { ada, guests: [ben] } = await meet(stage, room, [{ name: 'Ben' }], { ways: far ? { up: FAR, down: FAR } : undefined });
  try {
    if (ways.viewer) await ben.way.shape(ways.viewer);
    if (ways.sender) await ada.way.shape(ways.sender);
    const [benBefore, adaBefore] = [await ben.way.counts(), await ada.way.counts()];
    const seen = await observe(ben, seconds);
    const [benAfter, adaAfter] = [await ben.way.counts(), await ada.way.counts()];
    const lost = benAfter.down.lost - benBefore.down.lost + adaAfter.up.lost - adaBefore.up.lost;
    rows.note(`${prefix}_fps`, seen.fps, 'fps', '>=', fps);
    rows.note(`${prefix}_still`, seen.stillPercent, '%', still === undefined ? undefined : '<=', still);
    // Without losses nothing would have been shown.
    rows.note(`${prefix}_lost`, lost, 'packets', '>=', seconds / 2);
    rows.note(`${prefix}_top_share`, 100 * seen.top, '%');
    if (ways.viewer) rows.note(`${prefix}_repaired`, seen.repaired ?? 0, 'packets', '>=', 1);
    rows.note(`${prefix}_unrepaired`, seen.lost, 'packets');
    console.log(JSON.stringify(seen));
    rows.holds(prefix);
  } catch (error) {
    await evidence(stage, room, ada, [ben]);
    throw error;
  }
}
