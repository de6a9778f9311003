import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, until } from '../../../web/e2e/lib/wait.mjs';
import { attempts } from '../lib/attempts.mjs';
import { evidence } from '../lib/meeting.mjs';
import { proof } from '../lib/rows.mjs';
import { LARGE, MEDIUM, SMALL, scene } from '../lib/scene.mjs';
import { AMPLE } from '../lib/way.mjs';

/** @typedef {import('../../../web/sdk/src/stats.ts').OutboundStats} OutboundStats */

const stage = scene();
const rows = proof();

/** The three of them take 730 kbit/s, and sound 110. */
const UPLINK = Object.freeze({ ...AMPLE, capacity: 1_500_000, delay_ms: 30 });
const SECONDS = 8;

for (const codec of ['VP8', 'VP9']) {
  test(`Chromium sends three layers of ${codec} up a link of 1.5 Mbit/s, and each viewer gets the one that fits`, (context) => {
    const prefix = `lab_publish_${codec.toLowerCase()}`;
    return attempts(context, stage, rows, prefix, (room) => published(codec, prefix, room));
  });
}

/** @param {string} codec @param {string} prefix @param {string} room */
async function published(codec, prefix, room) {
  const ada = await stage.guest('Ada', { prefer: `video/${codec}` });
  const [ben, cleo] = [await stage.guest('Ben', LARGE), await stage.guest('Cleo', MEDIUM)];
  await ada.way.shape({ up: UPLINK, down: AMPLE });
  await ada.enter(stage.url, room, { sends: true });
  for (const viewer of [ben, cleo]) {
    await viewer.enter(stage.url, room, { sends: false });
    await viewer.watch('Ada');
  }
  try {
    // What nobody wants is switched off: the smaller ones are looked at one after the other, beside the largest.
    for (const [rid, lines, size] of /** @type {const} */ ([['h', 180, MEDIUM], ['q', 90, SMALL]])) {
      await cleo.tab.resize(size.width, size.height);
      const since = Date.now();
      for (const [viewer, wanted] of /** @type {const} */ ([[ben, 360], [cleo, lines]])) await viewer.shows((shown) => shown === wanted, since, 40_000);
      await sleep(4000);
      const [before, benBefore, cleoBefore] = [await encodings(ada), await ben.counted(), await cleo.counted()];
      await sleep(SECONDS * 1000);
      const [after, benAfter, cleoAfter] = [await encodings(ada), await ben.counted(), await cleo.counted()];
      assert.deepEqual(Object.keys(after).sort(), ['f', 'h', 'q']);
      for (const [name, height] of /** @type {const} */ ([['f', 360], [rid, lines]])) {
        assert.equal(after[name].codec, `video/${codec}`);
        rows.note(`${prefix}_beside_${rid}_${name}_lines`, after[name].frameHeight, 'lines', '=', height);
        rows.note(`${prefix}_beside_${rid}_${name}_fps`, (after[name].framesEncoded - before[name].framesEncoded) / SECONDS, 'fps', '>=', 7.5);
        rows.note(`${prefix}_beside_${rid}_${name}_kbps`, ((after[name].bytesSent - before[name].bytesSent) * 8) / 1000 / SECONDS, 'kbit/s');
      }
      for (const [was, is, height] of /** @type {const} */ ([[benBefore, benAfter, 360], [cleoBefore, cleoAfter, lines]])) {
        assert.equal(is.codec, `video/${codec}`);
        rows.note(`${prefix}_beside_${rid}_viewer_${height}_lines`, is.lines, 'lines', '=', height);
        rows.note(`${prefix}_beside_${rid}_viewer_${height}_fps`, ((is.decoded - was.decoded) * 1000) / (is.at - was.at), 'fps', '>=', 7.5);
      }
    }
    rows.holds(prefix);
  } catch (error) {
    await evidence(stage, room, ada, [ben, cleo]);
    throw error;
  }
}

/**
 * The encodings that somebody sends, by rid, once the browser says something of all of them.
 * @param {import('../lib/scene.mjs').Guest} person
 * @returns {Promise<Record<string, OutboundStats>>}
 */
function encodings(person) {
  return until('all encodings are counted', async () => {
    /** @type {OutboundStats[]} */
    const lines = (await person.stats()).outbound.filter((/** @type {any} */ line) => line.kind === 'video');
    return lines.length === 3 ? Object.fromEntries(lines.map((line) => [line.rid ?? '', line])) : undefined;
  });
}
