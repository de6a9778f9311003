import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blurs, look, shows, tick, wall, watchWall } from '../lib/blur.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene();

blurs(stage, 'chromium');

const direct = scene({ ALTHING_ROOMS__POLICY: 'auto' });

for (const [way, at] of /** @type {const} */ ([['server', stage], ['direct', direct]])) {
  test(`no picture of a call by ${way} shows what was to be hidden: not the first ones, nor those of a camera that comes back, nor those after a reload`, async () => {
    const ben = await at.person('Ben');
    await ben.join(at.url, `hidden-${way}`);
    await watchWall(ben);
    const ada = await at.person('Ada', { portrait: true });
    await ada.tab.goto(`${at.url}/r/hidden-${way}`);
    await ada.tab.appears('[data-testid=preview] video');
    await ada.tab.click('[data-testid=lobby-settings]');
    await tick(ada, true);
    await until('the preview is blurred', async () => (await look(ada, '[data-testid=preview] video')).wall < 4);
    let seen = { most: 0, pictures: 0 };
    const more = async (/** @type {string} */ when) => {
      const before = seen.pictures;
      await until(`Ben has seen pictures ${when}`, async () => (seen = await wall(ben)).pictures > before + 30).catch((error) => ben.fail(error.message));
      assert.ok(seen.most < 8, `${when} a wall is seen as sharp as ${seen.most.toFixed(1)}`);
    };
    await ada.tab.fill('[data-testid=name]', 'Ada');
    await ada.tab.click('[data-testid=join]');
    await ada.tab.appears('[data-testid=call]');
    await more('of the beginning');
    await ada.travels(way);
    await ada.tab.press('v');
    await until('the camera is off', () => ben.tab.evaluate(() => document.querySelector('[data-testid=tile][data-kind=camera][data-mine=false] video') === null));
    await ada.tab.press('v');
    await more('of a camera that has come back');
    await ada.tab.reload();
    await ada.tab.appears('[data-testid=call]');
    await more('after a reload');
    await ada.tab.click('[data-testid=devices-toggle]');
    await tick(ada, false);
    await until('what is no longer hidden is seen', async () => (await wall(ben)).most > 12);
    for (const person of [ada, ben]) {
      await person.isWell();
      await at.dismiss(person);
    }
  });
}

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
