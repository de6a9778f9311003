import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { allMeet, scene } from '../lib/scene.mjs';

const skip = !installed.firefox
  ? 'SKIPPED: Firefox is not installed (apt-get install firefox-esr)'
  : !inNamespace()
    ? 'SKIPPED: Firefox pairs with no loopback address and needs a network namespace: run as root on Linux with iproute2'
    : false;
if (skip) console.error(`\n*** ${skip} ***\n`);

const stage = scene();

test('Chromium and Firefox see and hear each other', { skip }, async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben', { browser: 'firefox' });
  await ada.join(stage.url, 'both');
  await ben.join(stage.url, 'both');
  await allMeet([ada, ben]);
  assert.match(await ada.cipher(), /GCM/);
  assert.match(await ben.cipher(), /GCM/);
  await ada.isWell();
  await ben.isWell();
});

test('a screen shared in Chromium is seen in Firefox, and the other way round', { skip }, async () => {
  const cleo = await stage.person('Cleo');
  const dan = await stage.person('Dan', { browser: 'firefox' });
  await cleo.join(stage.url, 'screens');
  await dan.join(stage.url, 'screens');
  await cleo.tab.press('s');
  await dan.sees('Cleo', { screen: true });
  await dan.hears('Cleo', { screen: true });
  await cleo.tab.press('s');
  await dan.tab.press('s');
  await cleo.sees('Dan', { screen: true });
  await cleo.sees('Dan');
});
