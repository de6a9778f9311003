import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-pictures-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const stage = scene({
  ALTHING_RECORDING__ENABLED: 'true',
  ALTHING_RECORDING__FOLDER: folder,
  ALTHING_RECORDING__MINIMUM_FREE_MIB: '1',
  ALTHING_ROOMS__POLICY: 'sfu',
  ALTHING_JOBS__IDLE: 'false',
});

/** The size of a picture, and how bright it is: the mean of all of it. @param {string} file */
function look(file) {
  const probed = execFileSync('ffprobe', ['-v', 'error', '-show_streams', '-of', 'json', file], { encoding: 'utf8' });
  const { codec_name: codec, width, height } = JSON.parse(probed).streams[0];
  const [brightness] = execFileSync('ffmpeg', ['-v', 'error', '-i', file, '-vf', 'scale=1:1', '-pix_fmt', 'gray', '-f', 'rawvideo', 'pipe:1']);
  return { codec, width, height, brightness };
}

for (const [codec, prefer] of [
  ['vp8', 'video/VP8'],
  ['h264', 'video/H264'],
]) {
  test(`the server takes a picture of a camera in ${codec}, and everybody is told`, async () => {
    const room = `picture-${codec}`;
    const ada = await stage.person('Ada');
    const ben = await stage.person('Ben', { prefer });
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ada.sees('Ben');
    const id = await ada.idOf('Ben');
    const item = await ada.tab.evaluate((of) => /** @type {any} */ (window).althing.screenshot(of), id);
    await until('Ben is told', () => ben.tab.evaluate(() => document.body.innerText.includes('take a picture of')));
    const manifest = JSON.parse(readFileSync(join(folder, item, 'manifest.json'), 'utf8'));
    assert.deepEqual([manifest.kind, manifest.room, manifest.by.name, manifest.state], ['screenshot', room, 'Ada', 'finished']);
    assert.deepEqual(manifest.members.map((/** @type {any} */ member) => member.name).sort(), ['Ada', 'Ben']);
    const picture = look(join(folder, item, manifest.upload.name));
    assert.ok(picture.codec === 'png' && picture.width >= 320 && picture.height >= 180 && picture.brightness > 20, JSON.stringify(picture));
    // The screen of somebody who shares none is no picture.
    const refused = await ada.tab.evaluate((of) => /** @type {any} */ (window).althing.screenshot(of, 'screen').catch((/** @type {any} */ error) => error.code), id);
    assert.equal(refused, 'not_found');
    await stage.dismiss(ada);
    await stage.dismiss(ben);
  });
}
