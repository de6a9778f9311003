import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { chooseAt } from '../lib/menus.mjs';
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
    await chooseAt(ada, id, 'screenshot-server');
    await until('Ben is told', () => ben.tab.evaluate(() => document.body.innerText.includes('take a picture of Ben')));
    await until('Ada is told that it is kept', () => ada.tab.evaluate(() => document.body.innerText.includes('The picture of Ben is in the library')));
    const item = await until('it is in the folder', () => readdirSync(folder).find((name) => !name.startsWith('.') && JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8')).room === room));
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

const settings = { ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__MINIMUM_FREE_MIB: '1', ALTHING_ROOMS__POLICY: 'auto' };
/** What says that it is FFmpeg, and decodes nothing. */
const broken = join(folder, '.ffmpeg');
writeFileSync(broken, '#!/bin/sh\ncase "$*" in *-version*|*-encoders*|*-decoders*) exec ffmpeg "$@";; esac\nexit 1\n', { mode: 0o755 });
const [none, ill] = ['none', 'ill'].map((name) => mkdtempSync(join(tmpdir(), `althing-pictures-${name}-`)));
after(() => [none, ill].forEach((made) => rmSync(made ?? '', { recursive: true, force: true })));
const without = scene({ ...settings, ALTHING_RECORDING__FOLDER: none ?? '', ALTHING_JOBS__FFMPEG: '/nowhere/ffmpeg' });
const failing = scene({ ...settings, ALTHING_RECORDING__FOLDER: ill ?? '', ALTHING_JOBS__FFMPEG: broken });

/** Whether somebody is offered a picture by the server, or why not. @param {import('../lib/person.mjs').Person} who @param {string} of */
async function isOffered(who, of) {
  await who.tab.evaluate((id) => /** @type {HTMLElement} */ (document.querySelector(`[data-testid=tile][data-member="${id}"] [data-testid=tile-more]`)).focus(), of);
  await who.tab.press('Enter');
  await who.tab.appears(`[data-testid=tile][data-member="${of}"] [data-testid=screenshot-tile]`);
  const found = await who.tab.evaluate(() => {
    const entry = document.querySelector('[data-testid=screenshot-server]');
    if (!entry) return 'not there';
    return entry.ariaDisabled === 'true' ? document.querySelector('[data-testid=screenshot-server-reason]')?.textContent : 'offered';
  });
  await who.tab.press('Escape');
  return found;
}

test('it is offered where the server has the picture and an FFmpeg, and where that fails the page says what to do', async () => {
  for (const stage of [without, failing]) {
    const ada = await stage.person('Ada');
    const ben = await stage.person('Ben');
    await ada.join(stage.url, 'none');
    if (stage === failing) assert.match(String(await isOffered(ada, await ada.tab.evaluate(() => /** @type {any} */ (window).althing.room.me.member))), /^Nobody else is here/);
    await ben.join(stage.url, 'none');
    await ada.sees('Ben');
    await ada.travels('direct');
    const id = await ada.idOf('Ben');
    assert.equal(await isOffered(ada, id), stage === failing ? 'The call goes directly: the server does not see it' : 'The server has no FFmpeg, which this needs');
    await ada.tab.evaluate(() => /** @type {any} */ (window).althing.setPolicy('sfu'));
    await ada.travels('server');
    await ada.sees('Ben');
    assert.equal(await isOffered(ada, id), stage === failing ? 'offered' : 'The server has no FFmpeg, which this needs');
    if (stage === failing) {
      await chooseAt(ada, id, 'screenshot-server');
      await until('Ada is told what to do', () => ada.tab.evaluate(() => document.body.innerText.includes('A screenshot on this device needs neither')));
    }
    await ada.isWell();
    for (const person of [ada, ben]) await stage.dismiss(person);
  }
});

test('in a call that is encrypted end to end its entry says that the server cannot see it, directly and by way of the server', async () => {
  const ada = await failing.person('Ada');
  const ben = await failing.person('Ben');
  for (const person of [ada, ben]) await person.join(failing.url, 'sealed#key=AAECAwQFBgcICQoLDA0ODw');
  await ada.sees('Ben');
  const id = await ada.idOf('Ben');
  for (const via of /** @type {const} */ (['direct', 'server'])) {
    await ada.travels(via);
    assert.equal(await isOffered(ada, id), 'The call is encrypted end to end: the server cannot see it', via);
    if (via === 'direct') await ada.tab.evaluate(() => /** @type {any} */ (window).althing.setPolicy('sfu'));
  }
  await ada.isWell();
  for (const person of [ada, ben]) await failing.dismiss(person);
});
