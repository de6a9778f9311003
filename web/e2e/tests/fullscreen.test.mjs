import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('the page and a tile have the whole screen, and pictures float above other windows', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'large');
  const idOfBen = await ada.idOf('Ben');
  await ada.sees('Ben');
  await ada.tab.press('f');
  await until('the page has the screen', () => ada.tab.evaluate(() => document.fullscreenElement === document.documentElement));
  await until('the header is gone', () => ada.tab.evaluate(() => getComputedStyle(/** @type {Element} */ (document.querySelector('[data-testid=call] header'))).display === 'none'));
  await ada.tab.press('f');
  await until('it has it no longer', () => ada.tab.evaluate(() => document.fullscreenElement === null));

  const entry = async (/** @type {string} */ name) => {
    await ada.tab.evaluate((member) => /** @type {HTMLElement} */ (document.querySelector(`[data-member="${member}"] [data-testid=tile-more]`)).click(), idOfBen);
    await ada.tab.click(`:popover-open [data-testid=${name}]`);
  };
  await entry('tile-full');
  await until('the tile has the screen', () => ada.tab.evaluate((member) => /** @type {HTMLElement} */ (document.fullscreenElement)?.dataset['member'] === member, idOfBen));
  await ada.tab.evaluate(() => document.exitFullscreen());
  await until('the tile is back', () => ada.tab.evaluate(() => document.fullscreenElement === null));

  await entry('tile-float');
  await until('the picture floats', () => ada.tab.evaluate((member) => document.pictureInPictureElement?.closest('[data-testid=tile]')?.getAttribute('data-member') === member, idOfBen));
  await ada.tab.evaluate(() => document.exitPictureInPicture());
  await ada.sees('Ben');
  for (const person of [ada, ben]) await person.isWell();
});

test('the call goes into a small window above others, where pictures go on, and comes back', async (context) => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'small');
  await ada.sees('Ben');
  if (!(await ada.tab.evaluate(() => 'documentPictureInPicture' in window))) return context.skip('SKIPPED: this browser has no such windows');
  await ada.tab.click('[data-testid=more]');
  await ada.tab.click('[data-testid=mini-window]');
  const small = () => ada.tab.evaluate(() => {
    const own = /** @type {any} */ (window).documentPictureInPicture.window;
    const video = own?.document.querySelector('[data-testid=mini] video');
    const styled = own ? own.getComputedStyle(own.document.querySelector('[data-testid=mini-leave]')).borderRadius !== '0px' : false;
    return { open: own !== null && own !== undefined, frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0, styled };
  });
  await until('a picture moves there', async () => (await small()).frames > 3);
  await until('it has the looks of the page', async () => (await small()).styled);
  await ada.tab.evaluate(() => /** @type {any} */ (window).documentPictureInPicture.window.document.querySelector('[data-testid=mini-mic]').click());
  await ben.tab.appears(`[data-testid=tile][data-member="${await ben.idOf('Ada')}"] [data-testid=tile-muted]`);
  await ada.tab.click('[data-testid=more]');
  await ada.tab.click('[data-testid=mini-window]');
  await until('it is closed', async () => !(await small()).open);
  await ada.sees('Ben');
  for (const person of [ada, ben]) await person.isWell();
});
