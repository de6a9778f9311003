import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

// In development mode everybody may moderate.
const stage = scene();

test('a moderator mutes, locks and removes, and everybody is told', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'order');
  await ben.join(stage.url, 'order');
  await ada.hears('Ben');
  const id = await ada.idOf('Ben');
  const own = await ben.tab.evaluate(() => /** @type {any} */ (window).althing.room.me.member);
  assert.equal(own, id);

  await ada.tab.click('[data-testid=people-toggle]');
  const person = `[data-testid=person][data-member="${id}"]`;
  await ada.tab.click(`${person} [data-testid=mute-member]`);
  await ben.tab.appears('[data-testid=tile][data-mine=true] [data-testid=tile-muted]');
  // Her button takes it back once she is told, too.
  await ada.tab.appears(`[data-testid=tile][data-member="${id}"] [data-testid=tile-muted]`);
  await until('Ben is silent at Ada', async () => {
    const before = (await ada.received('Ben')).energy;
    await sleep(500);
    return (await ada.received('Ben')).energy - before < 1e-5;
  });
  await ada.tab.click(`${person} [data-testid=mute-member]`);
  await ada.hears('Ben');

  await ada.tab.click('[data-testid=lock]');
  for (const who of [ada, ben]) await who.tab.appears('[data-testid=locked]');
  const cleo = await stage.person('Cleo');
  await cleo.tab.goto(`${stage.url}/r/order`);
  await cleo.tab.fill('[data-testid=name]', 'Cleo');
  await cleo.tab.click('[data-testid=join]');
  await cleo.tab.appears('[data-testid=message]');
  await ada.tab.click('[data-testid=lock]');
  await until('the room is open again', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=locked]')));
  await cleo.tab.click('[data-testid=join]');
  await cleo.tab.appears('[data-testid=call]');

  await ada.tab.evaluate(() => void (window.confirm = () => true));
  await ada.tab.click(`${person} [data-testid=kick]`);
  await ben.tab.appears('[data-testid=lobby] [data-testid=message]');
  await ada.missesTile(id);
  await cleo.missesTile(id);
  assert.deepEqual(await ada.others(), ['Cleo']);
  for (const who of [ada, ben, cleo]) await who.isWell();
});
