import { test } from 'node:test';
import { attempts } from '../lib/attempts.mjs';
import { evidence, meet, observe } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const rows = proof();
const PREFIX = 'lab_jitter';

test('over a way with 200 ms of jitter the picture goes on, and is not the smallest for good', (context) => attempts(context, stage, rows, PREFIX, jittery));

/** @param {string} room */
async function jittery(room) {
  const { ada, guests: [ben] } = await meet(stage, room, [{ name: 'Ben' }]);
  try {
    await ben.way.shape({ down: { ...AMPLE, jitter_ms: 200 } });
    // The buffer of the browser grows at first, for which it holds pictures back.
    const first = await observe(ben, 10);
    const then = await observe(ben, 40);
    rows.note(`${PREFIX}_fps`, then.fps, 'fps', '>=', 12);
    rows.note(`${PREFIX}_still`, then.stillPercent, '%', '<=', 2);
    rows.note(`${PREFIX}_lowest_share`, 100 * then.lowest, '%', '<=', 50);
    rows.note(`${PREFIX}_last_lines`, then.last, 'lines', '>=', 180);
    rows.note(`${PREFIX}_top_share`, 100 * then.top, '%');
    console.log(JSON.stringify({ first, then }));
    rows.holds(PREFIX);
  } catch (error) {
    await evidence(stage, room, ada, [ben]);
    throw error;
  }
}
