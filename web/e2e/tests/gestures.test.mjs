import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

// In development mode everybody may moderate.
const server = scene();
const direct = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** @type {[string, typeof server, 'direct' | 'server'][]} */
const ways = [
  ['by way of the server', server, 'server'],
  ['in a direct call', direct, 'direct'],
];
for (const [title, stage, via] of ways) {
  test(`hands are raised in order, lowered, and reactions are shown, ${title}`, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
    for (const person of [ada, ben]) await person.join(stage.url, 'gestures');
    await ada.travels(via);
    const [idOfAda, idOfBen] = [await ben.idOf('Ada'), await ada.idOf('Ben')];
    const handOf = (/** @type {Person} */ person, /** @type {string} */ member) =>
      person.tab.evaluate((member) => document.querySelector(`[data-testid=tile][data-member="${member}"] [data-testid=tile-hand]`)?.textContent?.trim() ?? '', member);

    await ben.tab.press('h');
    await until('Ben is first', async () => (await handOf(ada, idOfBen)) === '1' && (await handOf(ben, idOfBen)) === '1');
    await until('it is said to screen readers', async () => /Ben raised a hand/.test(await ada.tab.evaluate(() => document.querySelector('[data-testid=announced]')?.textContent ?? '')));
    await ada.tab.click('[data-testid=reactions-toggle]');
    await ada.tab.click('[data-testid=hand]');
    await until('Ada is second', async () => (await handOf(ben, idOfAda)) === '2');
    await ada.tab.click('[data-testid=people-toggle]');
    await ada.tab.appears('[data-testid=hand-count]');
    await until('Ada knows of her own hand, too', async () => (await handOf(ada, idOfAda)) === '2');
    assert.deepEqual(await ada.tab.evaluate(() => [...document.querySelectorAll('[data-testid=person]')].map((row) => /** @type {HTMLElement} */ (row).dataset['member'])), [idOfBen, idOfAda], 'in the order of raising');

    await ada.tab.click(`[data-testid=person][data-member="${idOfBen}"] [data-testid=lower-hand]`);
    await until("Ben's hand is down", async () => (await handOf(ben, idOfBen)) === '' && (await handOf(ben, idOfAda)) === '1');
    await ada.tab.click('[data-testid=lower-all]');
    await until('all hands are down', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=tile-hand]')));

    // It is there for five seconds: all of it is looked for from the beginning.
    await Promise.all([
      ...[ada, ben].map((person) => person.tab.appears(`[data-testid=tile][data-member="${idOfAda}"] [data-reaction=heart]`)),
      until('it is counted', () => ada.tab.evaluate(() => /❤️ 1/.test(document.querySelector('[data-testid=gesture-counts]')?.textContent ?? ''))),
      ada.tab.click('[data-testid=react-heart]'),
    ]);
    await until('it goes by itself', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=tile-reactions]')));
    await ada.tab.press('Escape');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
