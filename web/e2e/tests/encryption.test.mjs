import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const KEY = 'AAECAwQFBgcICQoLDA0ODw';
const skip = installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs to be installed, and a network namespace (root)';
if (skip) console.error(`\n*** ${skip} ***\n`);

const server = scene();
const direct = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** @type {[string, typeof server, 'direct' | 'server'][]} */
const ways = [
  ['by way of the server', server, 'server'],
  ['directly', direct, 'direct'],
];
for (const [title, stage, via] of ways) {
  test(`Chromium and Firefox see and hear each other ${title} with the key of the link, and the mark says so`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser: 'firefox' })];
    for (const person of [ada, ben]) await person.join(stage.url, `sealed#key=${KEY}`);
    for (const [one, other] of /** @type {[Person, 'Ada' | 'Ben'][]} */ ([[ada, 'Ben'], [ben, 'Ada']])) {
      await one.travels(via);
      await one.sees(other);
      await one.hears(other);
      await one.tab.appears('[data-testid=encrypted]');
      assert.equal((await one.line(other, 'video'))?.codec, 'video/VP8');
    }
    await ada.tab.press('s');
    await ben.sees('Ada', { screen: true });
    await ada.says('nobody else reads this');
    await until('Ben reads it', async () => String(await ben.chat()) === 'Ada: nobody else reads this');
    await until('Ada reads it herself, when the server has it too', async () => String(await ada.chat()) === 'Ada: nobody else reads this');
    await until('the server is told it', async () => (await ada.tab.evaluate(() => /** @type {any} */ (window).seen.written)).length === 1);
    assert.match(String(await ada.tab.evaluate(() => /** @type {any} */ (window).seen.written)), /^althing-sealed:1:[\w+/=]+$/, 'the server cannot read it');
    await ben.tab.reload();
    await ben.tab.appears('[data-testid=call]');
    await until('after a reload Ben reads it still', async () => String(await ben.chat()) === 'Ada: nobody else reads this');
    await ben.sees('Ada');
    assert.match(await ada.tab.evaluate(() => location.hash), /key=AAECAwQFBgcICQoLDA0ODw/, 'a reload finds the key');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
