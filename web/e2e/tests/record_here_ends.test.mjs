import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock, phase } from '../lib/here.mjs';
import { choose } from '../lib/menus.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene();

test('whoever comes later is told who records; a recording ends with the call, and is there in the lobby', async () => {
  const ada = await stage.person('Ada');
  await ada.join(stage.url, 'ends');
  await choose(ada, 'record-audio');
  await until('it is recorded', async () => (await phase(ada)) === 'recording');
  const ben = await stage.person('Ben');
  await ben.join(stage.url, 'ends');
  await ben.tab.appears('[data-testid=recorded-locally]');
  // The menu offers no second one, but the end of this one.
  await ada.tab.click('[data-testid=more]');
  await ada.tab.appears('[data-testid=end-recording]');
  assert.equal(await ada.tab.evaluate(() => document.querySelector('[data-testid=record-call]') === null), true);
  await ada.tab.press('Escape');
  await sleep(2_000);
  const recorded = await clock(ada);
  await ada.leave();
  await ada.tab.appears('[data-testid=recording-view]', 20_000);
  const length = await clock(ada, 'recording-view');
  assert.ok(length > recorded - 0.2 && length < recorded + 5, `${length} s of ${recorded}`);
  await until('nobody is recorded any more', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=recorded-locally]')));
  await ada.isWell();
  await ben.isWell();
});
