import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { frame } from '../lib/files.mjs';
import { phase } from '../lib/here.mjs';
import { choose } from '../lib/menus.mjs';
import { nearest } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-library-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const stage = scene({ ALTHING_LIBRARY__UPLOADS: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });
const without = scene();

/** What the library has of a room. @param {string} room */
async function items(room) {
  const { items: found } = await (await fetch(`${stage.url}/api/v1/library?room=${room}`)).json();
  return /** @type {any[]} */ (found);
}

/** The bytes of an item's one file. @param {any} item */
async function bytesOf(item) {
  assert.equal(item.files.length, 1);
  return Buffer.from(await (await fetch(stage.url + item.files[0].url)).arrayBuffer());
}

test('a recording of the browser and a screenshot are given to the library, as they are here', async () => {
  const ada = await stage.person('Ada');
  await ada.join(stage.url, 'given');
  await choose(ada, 'record-call');
  await until('it is recorded', async () => (await phase(ada)) === 'recording');
  await sleep(3_000);
  await ada.tab.click('[data-testid=recorder-stop]');
  await ada.tab.appears('[data-testid=recording-view]', 20_000);
  const length = await ada.tab.evaluate(() => Number(/** @type {HTMLElement} */ (document.querySelector('[data-testid=recording-view]')).dataset['length']));
  const { path } = await ada.tab.downloads(() => ada.tab.click('[data-testid=recording-download]'));
  assert.equal(nearest(frame(path).colour(0.8, 0.8), 'camera'), 'Ada', 'who is there is seen in the first picture');
  await ada.tab.click('[data-testid=recording-upload]');
  const said = () => ada.tab.evaluate(() => document.querySelector('[data-testid=recording-told]')?.textContent);
  await until('it is in the library', async () => (await said()) === 'Saved to the library').catch(async (error) => ada.fail(`${error.message}: ${await said()}`));
  const [video] = await items('given');
  assert.deepEqual([video.kind, video.by.name, video.files[0].type.split(';')[0]], ['video', 'Ada', 'video/webm']);
  assert.ok(Math.abs(video.length / 1000 - length) < 1, `${video.length} µs of ${length} ms`);
  assert.ok((await bytesOf(video)).equals(readFileSync(path)), 'byte for byte');
  const canBeGiven = (/** @type {string} */ id) => ada.tab.evaluate((button) => document.querySelector(`[data-testid=${button}]:not(:disabled, [aria-disabled=true])`) !== null, id);
  assert.equal(await canBeGiven('recording-upload'), false, 'once is enough');
  assert.equal(await ada.tab.evaluate(() => document.activeElement?.getAttribute('data-testid')), 'recording-upload', 'whoever has pressed it is still there');
  await ada.tab.press('Enter');
  await sleep(500);
  assert.equal((await items('given')).length, 1, 'once is enough by keyboard, too');
  await ada.tab.press('Escape');
  await until('the focus is where recordings are begun', () => ada.tab.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset['testid'] === 'more'));

  await choose(ada, 'screenshot-stage');
  await ada.tab.appears('[data-testid=screenshot-upload]');
  const shot = await ada.tab.downloads(() => ada.tab.click('[data-testid=screenshot-save]'));
  await ada.tab.click('[data-testid=screenshot-upload]');
  const picture = await until('the screenshot is in the library', async () => (await items('given')).find((item) => item.kind === 'screenshot'));
  assert.ok((await bytesOf(picture)).equals(readFileSync(shot.path)), 'byte for byte');
  await until('once is enough', async () => !(await canBeGiven('screenshot-upload')));
  await ada.isWell();
});

test('where the server takes none, nothing is offered', async () => {
  const ben = await without.person('Ben');
  await ben.join(without.url, 'none');
  await choose(ben, 'screenshot-stage');
  await ben.tab.appears('[data-testid=screenshot-save]');
  assert.equal(await ben.tab.evaluate(() => document.querySelector('[data-testid=screenshot-upload]') === null), true);
});
