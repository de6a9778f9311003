import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();
/** The lobby takes 32 characters. */
const EVIL = '<img src=x onerror="stolen=1">';
const SAID = `${EVIL}<script>window.stolen=2</script> javascript:window.stolen=3 https://x.invalid/"onmouseover="window.stolen=4`;

test('what members call themselves and say is text to others, whatever it looks like', async () => {
  const ada = await stage.person('Ada');
  await ada.join(stage.url, 'markup');
  const eve = await stage.person('Ben');
  await eve.tab.goto(`${stage.url}/r/markup`);
  await eve.tab.appears('[data-testid=preview] video');
  await eve.tab.fill('[data-testid=name]', EVIL);
  await eve.tab.click('[data-testid=join]');
  await eve.tab.appears('[data-testid=call]');
  await until('Ada has a tile of hers', () => ada.tab.evaluate((name) => [...document.querySelectorAll('[data-testid=tile]')].some((tile) => tile.textContent?.includes(name)), EVIL));

  await eve.tab.evaluate((text) => /** @type {any} */ (window).althing.say(text), SAID);
  await ada.says('who are you?');
  await until('Ada has heard it', () => ada.tab.evaluate((text) => /** @type {any} */ (window).althing.room.chat.some((/** @type {any} */ line) => line.text === text), SAID));
  await ada.tab.appears('[data-testid=chat-message]');
  await until('it is on the screen', () => ada.tab.evaluate(() => [...document.querySelectorAll('[data-testid=chat-message]')].some((line) => line.textContent?.includes('javascript:window.stolen=3'))));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const found = await ada.tab.evaluate(() => ({
    stolen: /** @type {any} */ (window).stolen,
    images: document.querySelectorAll('img[src="x"]').length,
    handlers: document.querySelectorAll('[onmouseover], [onerror]').length,
    links: [...document.querySelectorAll('a')].filter((link) => link.href.startsWith('javascript:')).length,
    shown: document.body.textContent?.includes('onerror="stolen=1"') ?? false,
  }));
  assert.deepEqual(found, { stolen: undefined, images: 0, handlers: 0, links: 0, shown: true });
});
