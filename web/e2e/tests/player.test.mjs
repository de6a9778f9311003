import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { furnish, LENGTH } from '../lib/meeting.mjs';
import { isWell, openReader, picture, plays, report, seek, seen } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-player-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const ids = furnish(folder, { room: 'hall' });
const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** Pictures of two people are further apart than this (s) at no time but for a moment. */
const IN_STEP = 0.041;
/** Which files are seen at a time: the timeline of the meeting. @param {number} at */
const expected = (at) => [at < 12 ? '1.webm' : at >= 12.06 ? '5.mp4' : '', at >= 3.4 && at < 23.4 ? '3.webm' : '', at >= 14 && at < 22 ? '4.webm' : ''].filter(Boolean).sort();

/**
 * Looks for some seconds how far apart the pictures are that are shown at the same moment.
 * @param {import('../lib/browsers.mjs').Tab} tab
 * @param {number} looks
 */
async function apart(tab, looks) {
  const found = [];
  for (let look = 0; look < looks; look++) {
    await sleep(60);
    const { files, phase } = await seen(tab);
    const times = Object.values(files);
    if (phase === 'playing' && times.length > 1) found.push(Math.max(...times) - Math.min(...times));
  }
  return found.sort((a, b) => a - b);
}

for (const browser of /** @type {const} */ (['chromium', 'firefox'])) {
  test(`in ${browser} a meeting is played from its files, all in step, wherever one goes`, { skip: !installed[browser] && `${browser} is not installed` }, async () => {
    const tab = await openReader({ browser });
    try {
      await tab.goto(`${stage.url}/library/hall/${ids.meeting}`);
      await tab.appears('[data-testid=player-play]');
      await tab.click('[data-testid=player-play]');
      await plays(tab);
      await until('Ben has come', async () => (await report(tab)).position > 4.5);
      const straight = await apart(tab, 60);
      assert.ok(straight.length > 30, `only ${straight.length} looks`);
      const worst = straight[Math.floor(straight.length * 0.95)];
      assert.ok(worst <= IN_STEP, `the pictures are ${worst} s apart: ${straight}`);

      // Over Ada's change of codec, and into her screen.
      await seek(tab, 11);
      await plays(tab);
      await until('her second file is seen', async () => (await seen(tab)).files['5.mp4'] !== undefined);
      await until('her screen is seen', async () => (await seen(tab)).files['4.webm'] !== undefined);
      await until('her screen is large', async () => (await tab.evaluate(() => document.querySelector('[data-testid=player-stage]')?.getAttribute('data-large'))) === 'ada/screen');

      let random = 7;
      const drawn = () => (random = (random * 16_807) % 2_147_483_647) / 2_147_483_647;
      for (let round = 0; round < 6; round++) {
        const to = 0.5 + drawn() * (LENGTH - 5);
        await seek(tab, to);
        await plays(tab);
        await sleep(1_200);
        const shown = await until(`what is to be seen after ${to} is seen`, async () => {
          const look = await seen(tab);
          return look.phase === 'playing' && Object.keys(look.files).sort().join() === expected(look.position).join() ? look : undefined;
        });
        for (const [file, at] of Object.entries(shown.files)) assert.ok(Math.abs(at - shown.position) < 0.15, `${file} shows ${at} at ${shown.position}`);
        assert.ok(shown.open <= 6, `${shown.open} files are open`);
      }
      const sought = await apart(tab, 20);
      if (sought.length > 10) assert.ok(sought[Math.floor(sought.length * 0.9)] <= IN_STEP, `after seeking: ${sought}`);

      // Paused, a picture is exact: no look is between two of them.
      await tab.press('k');
      await until('it stands still', async () => (await report(tab)).phase === 'still');
      for (const at of [5.01, 7.77, 21.13]) {
        await seek(tab, at);
        await until(`the pictures of ${at} are seen`, async () => {
          const { files } = await seen(tab);
          return Object.keys(files).length === expected(at).length && Object.values(files).every((time) => Math.abs(time - at) <= 0.031);
        });
      }
      await isWell(tab);
    } catch (error) {
      await picture(tab, `player-${browser}`);
      throw error;
    } finally {
      await tab.close();
    }
  });
}
