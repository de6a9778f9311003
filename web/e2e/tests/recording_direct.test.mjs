import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-recordings-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const stage = scene({
  ALTHING_ROOMS__POLICY: 'auto',
  ALTHING_RECORDING__ENABLED: 'true',
  ALTHING_RECORDING__FOLDER: folder,
  ALTHING_RECORDING__MINIMUM_FREE_MIB: '1',
});

test('a direct call goes through the server while it is recorded, and whoever comes later is told', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'promoted');
  await ben.join(stage.url, 'promoted');
  await until('they are connected directly', async () => (await ada.route()).via === 'direct' && (await ben.route()).via === 'direct');
  await ada.tab.evaluate(() => /** @type {any} */ (window).althing.record({ sources: ['microphone'] }));
  await ben.tab.appears('[data-testid=recording]');
  await until('the call goes through the server', async () => (await ada.route()).via === 'server' && (await ben.route()).via === 'server');
  await sleep(3_000);
  const cleo = await stage.person('Cleo');
  await cleo.join(stage.url, 'promoted');
  await cleo.tab.appears('[data-testid=recording]');
  await ada.tab.evaluate(() => /** @type {any} */ (window).althing.stopRecording());
  const manifest = await until('the recording is whole', async () => manifests().find((it) => it.state === 'finished'));
  assert.ok(manifest.files.length >= 2 && manifest.files.every((/** @type {any} */ entry) => entry.audio === 'opus' && entry.video === undefined), JSON.stringify(manifest.files));
  for (const person of [ada, ben, cleo]) await stage.dismiss(person);
});

/** The manifests of what was recorded. */
function manifests() {
  const all = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return all.map((name) => JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8')));
}
