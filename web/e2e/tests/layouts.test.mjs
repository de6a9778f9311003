import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const stage = scene();

/** The members that are shown large. */
const large = (/** @type {Person} */ person) =>
  person.tab.evaluate(() => [...document.querySelectorAll('[data-testid=large] [data-testid=tile]')].map((tile) => /** @type {HTMLElement} */ (tile).dataset['key']));
const choose = async (/** @type {Person} */ person, /** @type {string} */ entry) => {
  await person.tab.click('[data-testid=more]');
  await person.tab.click(`[data-testid=${entry}]`);
};

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;
  if (skip) console.error(`\n*** ${skip} ***\n`);

  test(`grid, speaker and pins, with ${browser}: the server is told what matters, and a reload keeps the layout`, { skip }, async () => {
    const room = `layouts-${browser}`;
    const [ada, ben, cleo] = [await stage.person('Ada', { browser }), await stage.person('Ben'), await stage.person('Cleo')];
    for (const person of [ada, ben, cleo]) await person.join(stage.url, room);
    const [idOfBen, idOfCleo] = [await ada.idOf('Ben'), await ada.idOf('Cleo')];
    await ada.sees('Ben');
    assert.deepEqual(await large(ada), [], 'all are alike at first');

    // Only Cleo speaks.
    await ben.tab.press('m');
    await choose(ada, 'layout-speaker');
    await until('who speaks is large', async () => String(await large(ada)) === idOfCleo);
    await ada.sees('Cleo');
    await cleo.tab.press('m');
    await ben.tab.press('m');
    await until('the next speaker is large', async () => String(await large(ada)) === idOfBen);

    /** How the server was told that Cleo is shown, last. */
    const told = () =>
      ada.tab.evaluate((member) => {
        const own = /** @type {any} */ (window);
        const { track } = own.althing.room.members.find((/** @type {any} */ other) => other.member === member).tracks.find((/** @type {any} */ track) => track.source === 'camera');
        return own.seen.views.flat().findLast((/** @type {any} */ tile) => tile.track === track)?.priority;
      }, idOfCleo);
    await until('the server is told that Cleo matters no more than others', async () => (await told()) === 'normal');
    await ada.tab.evaluate((member) => {
      document.querySelector(`[data-testid=tile][data-member="${member}"]`)?.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    }, idOfCleo);
    await until('a double click pins', async () => String(await large(ada)) === idOfCleo);
    await ada.tab.appears(`[data-member="${idOfCleo}"] [data-testid=tile-pinned]`);
    await until('the server is told that it matters', async () => (await told()) === 'high');
    await ada.sees('Cleo');

    await choose(ada, 'layout-grid');
    await ada.tab.evaluate((member) => /** @type {HTMLElement} */ (document.querySelector(`[data-member="${member}"] [data-testid=tile-more]`)).click(), idOfCleo);
    await ada.tab.click(':popover-open [data-testid=tile-pin]');
    await until('without the pin all are alike again', async () => (await large(ada)).length === 0);
    for (const name of /** @type {const} */ (['Ben', 'Cleo'])) await ada.sees(name);

    await choose(ada, 'layout-speaker');
    await ada.tab.reload();
    await ada.tab.appears('[data-testid=stage][data-layout=speaker]');
    for (const person of [ada, ben, cleo]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
