import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { furnish, furnishMany } from '../lib/meeting.mjs';
import { isWell, openReader, picture, plays } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-library-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const ids = furnish(folder, { room: 'hall' });
furnishMany(folder, ids.screenshot);
const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1', ALTHING_JOBS__IDLE: 'false' });

/** @typedef {import('../lib/browsers.mjs').Tab} Tab */

/** @param {string} id @param {string} part */
const within = (id, part) => `[data-testid=library-item][data-id="${id}"] [data-testid=${part}]`;
/** @param {Tab} tab @param {string} selector */
const has = (tab, selector) => tab.evaluate((wanted) => document.querySelector(wanted) !== null, selector);
/** Whether it has the focus. @param {Tab} tab @param {string} selector */
const isAt = (tab, selector) => tab.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
/** By keyboard: gives something the focus, and presses it. @param {Tab} tab @param {string} selector */
async function presses(tab, selector) {
  await tab.appears(selector);
  await tab.evaluate((wanted) => /** @type {HTMLElement} */ (document.querySelector(wanted)).focus(), selector);
  await tab.press('Enter');
}

/** @param {string} name @param {Parameters<typeof openReader>[0]} look @param {(tab: Tab) => Promise<void>} act */
function reading(name, look, act) {
  test(name, async () => {
    const tab = await openReader(look);
    try {
      await act(tab);
      await isWell(tab);
    } catch (error) {
      await picture(tab, `library-dialogs-${Date.now()}`);
      throw error;
    } finally {
      await tab.close();
    }
  });
}

reading('a dialog is closed by a click beside it, not between its lines, and a link that is not copied stays within it on a phone', { width: 360, height: 740, locale: 'zh-CN', dark: true }, async (tab) => {
  await tab.goto(`${stage.url}/library/hall`);
  await tab.appears(within(ids.meeting, 'item-share'));
  await tab.click(within(ids.meeting, 'item-share'));
  await tab.appears('[data-testid=share]');
  const box = await tab.evaluate(() => {
    const { left, top, right, bottom } = /** @type {Element} */ (document.querySelector('[data-testid=share]')).getBoundingClientRect();
    return { left, top, right, bottom };
  });
  const edge = { x: box.left + 8, y: (box.top + box.bottom) / 2 };
  assert.equal(await tab.evaluate(({ x, y }) => document.elementFromPoint(x, y)?.getAttribute('data-testid'), edge), 'share', 'it is at no line of it');
  await tab.drag([edge]);
  // As by somebody who selects a text, and goes too far.
  await tab.drag([{ x: box.left + 40, y: box.top + 40 }, { x: box.left + 40, y: box.top - 40 }]);
  await tab.click('[data-testid=share-make]');
  await tab.appears('[data-testid=share-link]');
  await tab.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error('no'));
  });
  await tab.click('[data-testid=share-copy]');
  await until('the link is said', () => tab.evaluate(() => document.querySelector('[data-testid=share-said]')?.textContent?.includes('signature=') ?? false));
  const widths = await tab.evaluate(() => {
    const { scrollWidth, clientWidth } = /** @type {Element} */ (document.querySelector('[data-testid=share]'));
    return { scrollWidth, clientWidth };
  });
  assert.ok(widths.scrollWidth <= widths.clientWidth, JSON.stringify(widths));
  await tab.drag([{ x: 4, y: 4 }]);
  await until('it is closed', async () => !(await has(tab, '[data-testid=share]')));
});

reading('by keyboard: who has the rest of a list shown, or deletes something of it, goes on there', {}, async (tab) => {
  await tab.goto(`${stage.url}/library/many`);
  await presses(tab, '[data-testid=library-more]');
  /** @type {() => Promise<string[]>} */
  const listed = () => tab.evaluate(() => [...document.querySelectorAll('[data-testid=library-item]')].map((item) => item.getAttribute('data-id') ?? ''));
  await until('all is listed', async () => (await listed()).length === 45);
  const all = await listed();
  await until('the first of the rest has the focus', () => isAt(tab, within(all[40] ?? '', 'item-title')));
  for (const [gone, next] of [[all[40], all[41]], [all[44], all[43]]]) {
    await presses(tab, within(gone ?? '', 'item-delete'));
    await presses(tab, '[data-testid=confirm-yes]');
    await until('it is gone', async () => !(await listed()).includes(gone ?? ''));
    await until('what stands in its place has the focus, or the last one', () => isAt(tab, within(next ?? '', 'item-title')));
  }
});

reading('by keyboard: films are begun and taken back, and the player is begun, and its chat closed, without a way back', {}, async (tab) => {
  await tab.goto(`${stage.url}/library/hall/${ids.meeting}`);
  await presses(tab, '[data-testid=player-downloads]');
  await presses(tab, '[data-testid=film-webm] [data-testid=film-make]');
  await until('what ends it has the focus', () => isAt(tab, '[data-testid=film-webm] [data-testid=film-remove]'));
  assert.match(await tab.evaluate(() => document.querySelector('[data-testid=film-told]')?.textContent ?? ''), /^WEBM/, 'that it has begun is said');
  await tab.press('Enter');
  await until('what begins it has the focus', () => isAt(tab, '[data-testid=film-webm] [data-testid=film-make]'));
  assert.equal(await has(tab, '[data-testid=film-webm][data-state=none]'), true, 'what was taken back has not failed');
  await tab.press('Escape');

  // Its chat is gone meanwhile.
  rmSync(join(folder, ids.meeting, 'chat.jsonl'));
  await presses(tab, '[data-testid=player-chat]');
  await until('that there is no chat is told from one in which nothing was written', () => tab.evaluate(() => /not here any more/.test(document.querySelector('[data-testid=player-chat-lines]')?.textContent ?? '')));
  await presses(tab, '[data-testid=player-chat-close]');
  await until('what opens the chat has the focus', () => isAt(tab, '[data-testid=player-chat]'));

  await presses(tab, '[data-testid=player-big-play]');
  await plays(tab);
  await until('what pauses has the focus', () => isAt(tab, '[data-testid=player-play]'));
  await tab.press('f');
  await until('that it fills the screen is said', () => tab.evaluate(() => document.querySelector('[data-testid=player-full]')?.getAttribute('aria-pressed') === 'true'));
  await tab.press('f');
  await until('and that it does not', () => tab.evaluate(() => document.querySelector('[data-testid=player-full]')?.getAttribute('aria-pressed') === 'false'));
});
