import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, until } from '../../../web/e2e/lib/wait.mjs';
import { evidence } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { LARGE, MEDIUM, SMALL, scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

const stage = scene();
const { note, holds } = proof();

/** The three of them take 730 kbit/s, and sound 110. */
const UPLINK = Object.freeze({ ...AMPLE, capacity: 1_500_000, delay_ms: 30 });
const LINES = { q: 90, h: 180, f: 360 };

for (const codec of ['VP8', 'VP9']) {
  test(`Chromium sends three layers of ${codec} up a link of 1.5 Mbit/s, and each viewer gets the one that fits`, async () => {
    const [prefix, room] = [`lab_publish_${codec.toLowerCase()}`, `publish-${codec}`];
    const ada = await stage.guest('Ada', { prefer: `video/${codec}` });
    const viewers = [await stage.guest('Ben', LARGE), await stage.guest('Cleo', MEDIUM), await stage.guest('Dan', SMALL)];
    await ada.way.shape({ up: UPLINK, down: { ...UPLINK, capacity: 10_000_000 } });
    await ada.enter(stage.url, room, { sends: true });
    for (const viewer of viewers) {
      await viewer.enter(stage.url, room, { sends: false });
      await viewer.watch('Ada');
    }
    try {
      for (const [at, lines] of [360, 180, 90].entries()) await viewers[at].shows((shown) => shown === lines, 0, 40_000);
      await sleep(5000);
      const before = await encodings(ada);
      const counted = await Promise.all(viewers.map((viewer) => viewer.counted()));
      await sleep(10_000);
      const after = await encodings(ada);
      assert.deepEqual(Object.keys(after).sort(), ['f', 'h', 'q']);
      for (const [rid, lines] of Object.entries(LINES)) {
        assert.equal(after[rid].codec, `video/${codec}`);
        note(`${prefix}_${rid}_lines`, after[rid].frameHeight, 'lines', '=', lines);
        note(`${prefix}_${rid}_fps`, (after[rid].framesEncoded - before[rid].framesEncoded) / 10, 'fps', '>=', 10);
        note(`${prefix}_${rid}_kbps`, ((after[rid].bytesSent - before[rid].bytesSent) * 8) / 10_000, 'kbit/s');
      }
      for (const [at, lines] of [360, 180, 90].entries()) {
        const now = await viewers[at].counted();
        note(`${prefix}_viewer_${lines}_fps`, ((now.decoded - counted[at].decoded) * 1000) / (now.at - counted[at].at), 'fps', '>=', 10);
        note(`${prefix}_viewer_${lines}_lines`, now.lines, 'lines', '=', lines);
      }
      holds(prefix);
    } catch (error) {
      await evidence(stage, room, ada, viewers);
      throw error;
    }
  });
}

/**
 * The encodings that somebody sends, by rid, once the browser says something of all of them.
 * @param {import('../lib/scene.mjs').Guest} person
 */
function encodings(person) {
  return until('all encodings are counted', async () => {
    /** @type {import('@althing/sdk').OutboundStats[]} */
    const lines = (await person.stats()).outbound.filter((/** @type {any} */ line) => line.kind === 'video');
    return lines.length === 3 && Object.fromEntries(lines.map((line) => [line.rid ?? '', line]));
  });
}
