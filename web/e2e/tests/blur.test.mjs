import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blurs, shows, tick } from '../lib/blur.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene();

blurs(stage, 'chromium');

test('where it cannot be done that is said, and nobody is seen with what was to be hidden', async () => {
  const ada = await stage.person('Ada', { portrait: true });
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'cannot');
  await ben.join(stage.url, 'cannot');
  const id = await ben.idOf('Ada');
  const told = (/** @type {string} */ text) => until(`Ada is told: ${text}`, () => ada.tab.evaluate((wanted) => document.body.innerText.includes(wanted), text));
  await shows(ben, id, false);
  await ada.tab.click('[data-testid=devices-toggle]');
  await tick(ada, true);
  await shows(ben, id, true);
  await ada.tab.press('v');
  // Whatever the reason is: no worker begins any more.
  await ada.tab.evaluate(() => {
    const own = /** @type {any} */ (window);
    own.Worker = class {
      constructor() {
        throw new Error('no worker today');
      }
    };
  });
  await ada.tab.press('v');
  await told('so your camera was turned off');
  const isOff = () => ben.tab.evaluate((member) => document.querySelector(`[data-testid=tile][data-member="${member}"][data-kind=camera] video`) === null, id);
  await until('Ben sees no camera', isOff);
  await sleep(500);
  assert.equal(await isOff(), true, 'the camera stayed off');
  await ada.tab.press('v');
  await shows(ben, id, false);

  await ada.tab.click('[data-testid=devices-toggle]');
  await ada.tab.appears('[data-testid=blur]');
  await ada.tab.click('[data-testid=blur]');
  await told('no worker today');
  await until('the tick is gone', () => ada.tab.evaluate(() => !(/** @type {HTMLInputElement} */ (document.querySelector('[data-testid=blur]')).checked)));
  await shows(ben, id, false);
  await ada.tab.press('Escape');

  await ada.tab.evaluate(() => Reflect.deleteProperty(window, 'OffscreenCanvas'));
  await ada.tab.click('[data-testid=devices-toggle]');
  await told('This browser cannot blur the background');
  assert.equal(await ada.tab.evaluate(() => /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=blur]')).disabled), true);
  for (const person of [ada, ben]) await stage.dismiss(person);
});
