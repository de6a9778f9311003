import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('statistics tell of each person and of oneself, and how good the connections are', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'statistics');
  await ada.sees('Ben');
  await ada.tab.press('i');
  const member = await ada.idOf('Ben');
  const text = () => ada.tab.evaluate((member) => document.querySelector(`[data-testid=member-statistics][data-member="${member}"]`)?.textContent ?? '', member);
  await until('the picture and the sound of Ben are told', async () => /VP8/.test(await text()) && /opus/.test(await text()) && /\d+×\d+/.test(await text()) && /[1-9]\d* kbit\/s/.test(await text()));
  const own = () => ada.tab.evaluate(() => document.querySelector('[data-testid=statistics] section')?.textContent ?? '');
  // How long the way is a browser knows after the first report.
  await until('the way is told, and how long it is', async () => /Server · UDP/.test(await own()) && /\d+ ms/.test(await own())).catch(async (error) => ada.fail(`${error.message}: ${await own()}`));
  await ada.tab.press('p');
  await until('everybody has bars', () => ada.tab.evaluate(() => document.querySelectorAll('[data-testid=person] [data-testid=bars]').length === 2));
  assert.match(await ada.tab.evaluate((member) => document.querySelector(`[data-testid=person][data-member="${member}"] [data-testid=bars]`)?.getAttribute('aria-label') ?? '', member), /connection/i);
  for (const person of [ada, ben]) await person.isWell();
});

test('the sheet of shortcuts opens by its key, and no key does anything behind it', async () => {
  const ada = await stage.person('Ada');
  await ada.join(stage.url, 'sheet');
  await ada.tab.press('?');
  await ada.tab.appears('[data-testid=shortcuts]');
  await ada.tab.press('m');
  await ada.tab.press('Escape');
  await until('the sheet is closed', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=shortcuts]')));
  assert.equal(await ada.tab.evaluate(() => document.querySelector('[data-testid=mic]')?.getAttribute('aria-label')), 'Mute microphone');
  await ada.isWell();
});

test('what is done to sound, and what a screen shows, is chosen and kept', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'settings');
  const asked = () => ada.tab.evaluate(() => /** @type {any} */ (window).seen.asked.at(-1)?.audio);
  await ada.tab.click('[data-testid=devices-toggle]');
  await ada.tab.appears('[data-testid=settings] [data-testid=level]');
  await ada.tab.click('[data-testid=processing-noiseSuppression]');
  await until('the microphone is opened anew without', async () => (await asked())?.noiseSuppression === false && (await asked())?.echoCancellation === true);
  await ben.hears('Ada');
  await ada.tab.click('[data-testid=screen-motion]');
  await ada.tab.click('[data-testid=test-sound]');
  await until('the sound is over', () => ada.tab.evaluate(() => !(/** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=test-sound]')).disabled)));
  await ada.tab.press('Escape');
  await ada.tab.press('s');
  await ben.sees('Ada', { screen: true });
  assert.equal(await ada.tab.evaluate(() => /** @type {any} */ (window).althing.publications.find((/** @type {any} */ one) => one.source === 'screen').track.contentHint), 'motion');
  await ada.tab.reload();
  await ada.tab.appears('[data-testid=call]');
  await until('after a reload it is so, too', async () => (await asked())?.noiseSuppression === false);
  await ben.hears('Ada');
  for (const person of [ada, ben]) await person.isWell();
});

test('links in chat lead out of the page, and what only looks like one does not', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'links');
  await ben.tab.press('c');
  await ada.says('see https://example.com/a. not javascript:alert(1) <b>nor this</b>');
  await ben.tab.appears('[data-testid=chat-message] a');
  const links = await ben.tab.evaluate(() => [.../** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll('[data-testid=chat-message] a'))].map((link) => [link.href, link.rel, link.target]));
  assert.deepEqual(links, [['https://example.com/a', 'noopener noreferrer nofollow', '_blank']]);
  await ben.tab.reload();
  await ben.tab.appears('[data-testid=call]');
  await ben.tab.press('c');
  await ben.tab.appears('[data-testid=chat-message] a');
  for (const person of [ada, ben]) await person.isWell();
});
