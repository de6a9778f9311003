import { test } from 'node:test';
import { evidence, meet, observe } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const { note, holds } = proof();

const BURSTS = { ...AMPLE, burst: { loss: 0.02, length: 4 } };
const FAR = { ...AMPLE, delay_ms: 50 };

test('with 2 % lost in bursts on the way to a viewer the picture goes on', () => lossy('burst_down', 40, { viewer: { down: BURSTS } }, { still: 2 }));

test('with 2 % lost in bursts on the way from who sends the picture goes on', () => lossy('burst_up', 40, { sender: { up: BURSTS } }, { still: 2 }));

test('with 10 % lost each way and a round trip of 100 ms the picture goes on', () =>
  lossy('loss_10', 40, { viewer: { up: { ...FAR, loss: 0.1 }, down: { ...FAR, loss: 0.1 } } }, { still: 2 }));

test('with 30 % lost each way and a round trip of 100 ms ten pictures a second are left', () =>
  lossy('loss_30', 60, { viewer: { up: { ...FAR, loss: 0.3 }, down: { ...FAR, loss: 0.3 } } }, { fps: 10 }));

/**
 * @param {string} name
 * @param {number} seconds
 * @param {{ viewer?: { up?: object, down?: object }, sender?: { up?: object, down?: object } }} ways
 * @param {{ still?: number, fps?: number }} reach the most that the picture may stand still, in per cent of the time; the fewest pictures a second
 */
async function lossy(name, seconds, ways, { still, fps = 12 }) {
  const [prefix, room] = [`lab_${name}`, name];
  const { ada, guests: [ben] } = await meet(stage, room, [{ name: 'Ben' }]);
  try {
    if (ways.viewer) await ben.way.shape(ways.viewer);
    if (ways.sender) await ada.way.shape(ways.sender);
    const [benBefore, adaBefore] = [await ben.way.counts(), await ada.way.counts()];
    const seen = await observe(ben, seconds);
    const [benAfter, adaAfter] = [await ben.way.counts(), await ada.way.counts()];
    const lost = benAfter.down.lost - benBefore.down.lost + adaAfter.up.lost - adaBefore.up.lost;
    note(`${prefix}_fps`, seen.fps, 'fps', '>=', fps);
    note(`${prefix}_still`, seen.stillPercent, '%', ...(still === undefined ? [] : /** @type {const} */ (['<=', still])));
    // Without losses nothing would have been shown.
    note(`${prefix}_lost`, lost, 'packets', '>=', seconds / 2);
    note(`${prefix}_top_share`, 100 * seen.top, '%');
    if (ways.viewer) note(`${prefix}_repaired`, seen.repaired ?? 0, 'packets', '>=', 1);
    note(`${prefix}_unrepaired`, seen.lost, 'packets');
    console.log(JSON.stringify(seen));
    holds(prefix);
  } catch (error) {
    await evidence(stage, room, ada, [ben]);
    throw error;
  }
}
