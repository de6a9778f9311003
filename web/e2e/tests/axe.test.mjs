import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { choose } from '../lib/menus.mjs';
import { scene } from '../lib/scene.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const stage = scene();
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds that is serious, by the WCAG's levels A and AA. */
async function finds(/** @type {Person} */ person) {
  // The page's policy allows no script but its own: this one comes by the browser's own door.
  await person.tab.evaluate(/** @type {any} */ (`${AXE}; undefined`));
  return person.tab.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] });
    const serious = violations.filter((/** @type {any} */ found) => ['serious', 'critical'].includes(found.impact));
    return serious.map((/** @type {any} */ found) => `${found.id}: ${found.nodes.map((/** @type {any} */ node) => node.html.slice(0, 160)).join(' | ')}`);
  });
}

for (const dark of [false, true]) {
  test(`axe finds nothing serious in the lobby, the call, its panels and dialogs (${dark ? 'dark' : 'light'})`, async () => {
    const room = dark ? 'axe-dark' : 'axe-light';
    const [ada, ben] = [await stage.person('Ada', { width: 1100, height: 700, ...(dark ? { dark } : {}) }), await stage.person('Ben', dark ? { dark } : {})];
    await ada.tab.goto(`${stage.url}/r/${room}`);
    await ada.tab.appears('[data-testid=preview] video');
    assert.deepEqual(await finds(ada), [], 'lobby');
    for (const person of [ada, ben]) await person.join(stage.url, room);
    await ada.sees('Ben');
    assert.deepEqual(await finds(ada), [], 'call');
    await choose(ben, 'record-audio');
    await ada.tab.appears('[data-testid=recorded-locally]');
    await ben.tab.appears('[data-testid=recorder]');
    assert.deepEqual([await finds(ada), await finds(ben)], [[], []], 'a call that is recorded');
    await ben.tab.click('[data-testid=recorder-stop]');
    await ben.tab.appears('[data-testid=recording-view]');
    assert.deepEqual(await finds(ben), [], 'what was recorded');
    await ben.tab.press('Escape');
    await ben.tab.press('h');
    await ben.says('see https://example.com');
    await ada.tab.press('r');
    await ada.tab.appears('[data-testid=reactions]');
    for (const [key, panel] of [['p', 'people'], ['c', 'chat'], ['i', 'statistics']]) {
      // Out of what is written into.
      await ada.tab.evaluate(() => /** @type {HTMLElement | null} */ (document.activeElement)?.blur());
      await ada.tab.press(key ?? '');
      await ada.tab.appears(`[data-testid=${panel}]`);
      await ada.tab.appears('[data-testid=call]');
      assert.deepEqual(await finds(ada), [], panel);
    }
    await ada.tab.click('[data-testid=more]');
    assert.deepEqual(await finds(ada), [], 'menu');
    await ada.tab.press('Escape');
    for (const [entry, dialog] of [['shortcuts-open', 'shortcuts'], ['invite-open', 'invite'], ['settings-open', 'settings']]) {
      await ada.tab.click('[data-testid=more]');
      await ada.tab.click(`[data-testid=${entry}]`);
      await ada.tab.appears(`[data-testid=${dialog}]`);
      assert.deepEqual(await finds(ada), [], dialog);
      await ada.tab.press('Escape');
    }
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
