import { test } from 'node:test';
import { evidence, meet, observe } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const { note, holds } = proof();

test('over a way with 200 ms of jitter the picture goes on, and is not the smallest for good', async () => {
  const [prefix, room] = ['lab_jitter', 'jitter'];
  const { ada, guests: [ben] } = await meet(stage, room, [{ name: 'Ben' }]);
  try {
    await ben.way.shape({ down: { ...AMPLE, jitter_ms: 200 } });
    // The buffer of the browser grows at first, for which it holds pictures back.
    const first = await observe(ben, 10);
    const then = await observe(ben, 40);
    note(`${prefix}_fps`, then.fps, 'fps', '>=', 12);
    note(`${prefix}_still`, then.stillPercent, '%', '<=', 2);
    note(`${prefix}_lowest_share`, 100 * then.lowest, '%', '<=', 50);
    note(`${prefix}_last_lines`, then.last, 'lines', '>=', 180);
    note(`${prefix}_top_share`, 100 * then.top, '%');
    console.log(JSON.stringify({ first, then }));
    holds(prefix);
  } catch (error) {
    await evidence(stage, room, ada, [ben]);
    throw error;
  }
});
