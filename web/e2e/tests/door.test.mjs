import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

// In development mode everybody may moderate.
const stage = scene();

test('whoever knocks at a locked room is let in or sent away by a moderator', async () => {
  const [ada, ben, cleo] = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  await ada.join(stage.url, 'door');
  await ada.tab.click('[data-testid=people-toggle]');
  await ada.tab.click('[data-testid=lock]');
  await ada.tab.appears('[data-testid=locked]');
  for (const person of [ben, cleo]) {
    await person.tab.goto(`${stage.url}/r/door`);
    await person.tab.appears('[data-testid=preview] video');
    await person.tab.fill('[data-testid=name]', person.name);
    await person.tab.click('[data-testid=join]');
    await person.tab.click('[data-testid=knock]');
    await person.tab.appears('[data-testid=knocking-wait]');
  }
  await until('both knock', () => ada.tab.evaluate(() => document.querySelectorAll('[data-testid=knocker]').length === 2));
  const answer = (/** @type {string} */ name, /** @type {string} */ how) =>
    ada.tab.evaluate(
      ({ name, how }) => {
        const row = [...document.querySelectorAll('[data-testid=knocker]')].find((row) => row.textContent?.includes(name));
        /** @type {HTMLElement | null | undefined} */ (row?.querySelector(`[data-testid=${how}]`))?.click();
      },
      { name, how },
    );
  await answer('Ben', 'admit');
  await ben.tab.appears('[data-testid=call]');
  await ada.sees('Ben');
  await answer('Cleo', 'send-away');
  await until('Cleo is told', async () => /not let you in/.test(await cleo.tab.evaluate(() => document.querySelector('[data-testid=message]')?.textContent ?? '')));
  await until('nobody knocks any more', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=knocking]')));
  assert.deepEqual(await ada.others(), ['Ben']);

  await ada.tab.click('[data-testid=mute-all]');
  await ben.tab.appears('[data-testid=tile][data-mine=true] [data-testid=tile-muted]');
  // Ben may be told before Ada, whose button takes it back only then.
  await ada.tab.appears('[data-testid=mute-all][aria-pressed=true]');
  await ada.tab.click('[data-testid=mute-all]');
  await ada.hears('Ben');
  for (const person of [ada, ben, cleo]) await person.isWell();
});
