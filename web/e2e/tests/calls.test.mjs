import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_ROOMS__GRACE_SECONDS: '1' });
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

test('an operator finds a call, while it lasts and when it is over, by keys alone, on a phone, in both languages', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'inspected');
  await ada.sees('Ben');

  const { tab } = await stage.person('Cleo', { width: 360, height: 740, locale: 'en' });
  const text = () => tab.evaluate(() => document.querySelector('main')?.textContent ?? '');
  const shows = (/** @type {RegExp} */ what) => until(`the page shows ${what}`, async () => what.test(await text()));
  const isSound = async (/** @type {string} */ where) => {
    assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${where}: nothing is wider than a phone`);
    await tab.evaluate(/** @type {any} */ (`${AXE}; undefined`));
    const found = await tab.evaluate(async () => {
      const { violations } = await /** @type {any} */ (window).axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] });
      return violations.map((/** @type {any} */ violation) => `${violation.id}: ${violation.nodes[0]?.html}`);
    });
    assert.deepEqual(found, [], where);
  };
  await tab.goto(`${stage.admin}/calls`);
  await shows(/inspected.*under way/s);
  await isSound('the list');
  await tab.evaluate(() => /** @type {HTMLElement} */ (document.querySelector('.calls a')).focus());
  await tab.press('Enter');
  await shows(/Who had it bad.*Ada.*Ben/s);
  assert.equal(await tab.evaluate(() => document.activeElement?.id), 'main', 'what has come is read out');
  await isSound('the call');
  for (const person of [ada, ben]) await person.leave();
  await shows(/came [\d:]+, left [\d:]+/);

  await tab.click('#language');
  await shows(/谁、何时、在哪一段线路上出了问题/);
  await isSound('in Chinese');
  const file = await tab.downloads(() => tab.click('main a.button'));
  assert.match(file.name, /^call-\d+\.json$/);
  const account = JSON.parse(readFileSync(file.path, 'utf8'));
  assert.deepEqual([account.room, account.members.map((/** @type {any} */ member) => member.name).sort()], ['inspected', ['Ada', 'Ben']]);
  await until('the call is over', async () => (await (await fetch(`${stage.admin}/calls/list`)).json())[0]?.ended_unix_ms > 0);
});
