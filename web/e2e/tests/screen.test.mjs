import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

const stage = scene();

test('a shared screen is seen and heard beside the camera, also by who comes late', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'screen');
  await ben.join(stage.url, 'screen');
  await ben.sees('Ada');

  await ada.tab.click('[data-testid=screen]');
  await ben.sees('Ada', { screen: true });
  await ben.hears('Ada', { screen: true });
  await ben.sees('Ada');
  await ben.hears('Ada');

  const cleo = await stage.person('Cleo');
  await cleo.join(stage.url, 'screen');
  await cleo.sees('Ada', { screen: true });
  await cleo.sees('Ben');

  const id = await ben.idOf('Ada');
  const screen = `[data-testid=tile][data-member="${id}"][data-kind=screen]`;
  const gone = (/** @type {import('../lib/person.mjs').Person} */ person) =>
    until(`the screen is gone at ${person.name}`, () => person.tab.evaluate((selector) => !document.querySelector(selector), screen));
  await ada.tab.click('[data-testid=screen]');
  await gone(ben);
  await gone(cleo);

  const offers = await ada.offers();
  await ada.tab.click('[data-testid=screen]');
  await ben.sees('Ada', { screen: true });
  await cleo.sees('Ada', { screen: true });
  assert.equal(await ada.offers(), offers, 'sharing again takes no offer');
  await ben.sees('Ada');
  for (const person of [ada, ben, cleo]) await person.isWell();
});

test("what the browser itself captures of a screen is seen", { skip: whole ? false : 'in make prove-page' }, async () => {
  const dan = await stage.person('Dan', { ownDevices: true });
  const ben = await stage.person('Ben');
  await dan.join(stage.url, 'capture');
  await ben.join(stage.url, 'capture');
  await dan.tab.press('s');
  await until('frames of the captured screen arrive', async () => (await ben.received('Dan', { screen: true })).frames > 5);
  await dan.isWell();
});
