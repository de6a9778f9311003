import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

/** @typedef {import('../lib/person.mjs').Person} Person */

/**
 * Presses Tab until something has the focus, which has to be seen there. Nothing on the way may hold it.
 * @param {Person} person @param {string} testid @param {string} [key]
 */
async function to(person, testid, key = 'Tab') {
  /** @type {string[]} */
  const way = [];
  for (let step = 0; step < 60; step += 1) {
    const at = await person.tab.evaluate(() => {
      const focused = /** @type {HTMLElement | null} */ (document.activeElement);
      const style = focused && getComputedStyle(focused);
      const marked = style !== null && ((style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none');
      return { testid: focused?.dataset['testid'] ?? focused?.tagName ?? '', marked };
    });
    if (at.testid === testid) return assert.ok(at.marked, `${testid} has the focus, and nothing shows it`);
    way.push(at.testid);
    await person.tab.press(key);
  }
  assert.fail(`${key} does not lead to ${testid}: ${way.join(' ')}`);
}

/** @param {Person} person @param {string} text */
async function type(person, text) {
  for (const letter of text) await person.tab.press(letter);
}

/** @param {Person} person */
const focused = (person) => person.tab.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset['testid'] ?? document.activeElement?.tagName);

test('a whole call by keyboard alone: joined, spoken, written, looked around in, left', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  await ben.join(stage.url, 'keyboard');

  await ada.tab.goto(`${stage.url}/r/keyboard`);
  await ada.tab.appears('[data-testid=preview] video');
  await to(ada, 'lobby-mic');
  await to(ada, 'name');
  await type(ada, 'Ada');
  await to(ada, 'join');
  await ada.tab.press('Enter');
  await ada.tab.appears('[data-testid=call]');
  await ada.sees('Ben');
  await ben.sees('Ada');

  await to(ada, 'mic');
  await ada.tab.press(' ');
  await until('Ben sees that Ada is muted', () => ben.tab.evaluate(() => document.querySelector('[data-testid=tile-muted]') !== null));
  await ada.tab.press('Enter');
  await ben.hears('Ada');

  await to(ada, 'chat-toggle');
  await ada.tab.press('Enter');
  await ada.tab.appears('[data-testid=chat-input]');
  if ((await focused(ada)) !== 'chat-input') await to(ada, 'chat-input');
  await type(ada, 'hello');
  await ada.tab.press('Enter');
  await ben.tab.press('c');
  await until('Ben reads it', () => ben.tab.evaluate(() => document.querySelector('[data-testid=chat-message]')?.textContent?.includes('hello') ?? false));
  await to(ada, 'panel-close', 'Shift+Tab');
  await ada.tab.press('Enter');
  await until('the chat is closed, and the focus where it was opened', async () => (await focused(ada)) === 'chat-toggle');

  await to(ada, 'more');
  await ada.tab.press('Enter');
  await until('an entry of the menu has the focus', () => ada.tab.evaluate(() => document.activeElement?.getAttribute('role')?.startsWith('menuitem') ?? false));
  const first = await ada.tab.evaluate(() => document.activeElement?.textContent);
  await ada.tab.press('ArrowDown');
  assert.notEqual(await ada.tab.evaluate(() => document.activeElement?.textContent), first);
  await ada.tab.press('Escape');
  await until('the menu is closed, and the focus on its button', async () => (await focused(ada)) === 'more');

  await to(ada, 'tile-more');
  await ada.tab.press('Enter');
  await until('the menu of a picture is open', () => ada.tab.evaluate(() => document.activeElement?.getAttribute('role')?.startsWith('menuitem') ?? false));
  await ada.tab.press('Escape');
  // In a menu a key means an entry.
  await until('it is closed, and the focus on its button', async () => (await focused(ada)) === 'tile-more');

  await ada.tab.press('?');
  await ada.tab.appears('[data-testid=shortcuts]');
  for (let step = 0; step < 4; step += 1) {
    await ada.tab.press('Tab');
    // Behind the last thing of a sheet is the browser itself: then nothing of the page has the focus.
    assert.ok(await ada.tab.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null), 'nothing behind the sheet has the focus');
  }
  await ada.tab.press('Escape');

  await to(ada, 'leave');
  await ada.tab.press('Enter');
  await ada.tab.appears('[data-testid=lobby]');
  for (const person of [ada, ben]) await person.isWell();
});
