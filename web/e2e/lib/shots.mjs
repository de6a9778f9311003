// Screenshots, and the editor that they open in.
import assert from 'node:assert/strict';
import { distance, frame, probe } from './files.mjs';
import { meet } from './here.mjs';
import { chooseAt } from './menus.mjs';
import { nearest } from './person.mjs';

/** @typedef {import('./person.mjs').Person} Person */

/**
 * Where a share of the picture that is edited is in the window.
 * @param {Person} who
 * @param {[number, number]} share
 */
export function place(who, [x, y]) {
  return who.tab.evaluate(
    ([across, down]) => {
      const box = /** @type {Element} */ (document.querySelector('[data-testid=screenshot-canvas]')).getBoundingClientRect();
      return { x: box.left + box.width * across, y: box.top + box.height * down };
    },
    /** @type {[number, number]} */ ([x, y]),
  );
}

/**
 * Takes a screenshot of a tile, draws a rectangle and saves it: it has the size of the picture, its colours, and what was drawn.
 * @param {ReturnType<typeof import('./scene.mjs').scene>} stage
 * @param {'direct' | 'server'} way
 * @param {'chromium' | 'firefox'} browser
 */
export async function takesTile(stage, way, browser) {
  const { ada, ben } = await meet(stage, way, `shot-${browser}`, browser);
  const id = await ada.idOf('Ben');
  const [width = 0, height = 0] = await ada.tab.evaluate((member) => {
    const video = /** @type {HTMLVideoElement} */ (document.querySelector(`[data-testid=tile][data-member="${member}"] video`));
    return [video.videoWidth, video.videoHeight];
  }, id);
  await chooseAt(ada, id, 'screenshot-tile');
  await ada.tab.appears('[data-testid=screenshot]');
  await ada.tab.click('[data-testid=tool-rectangle]');
  await ada.tab.click('[data-testid=colour-16a34a]');
  await ada.tab.click('[data-testid=width-2]');
  await ada.tab.drag([await place(ada, [0.1, 0.6]), await place(ada, [0.3, 0.7]), await place(ada, [0.5, 0.9])]);
  const file = await ada.tab.downloads(() => ada.tab.click('[data-testid=screenshot-save]'));
  assert.match(file.name, /^shot-(chromium|firefox)-\d{4}-\d\d-\d\d-\d{6}\.png$/);
  assert.equal(probe(file.path).video.codec_name, 'png');
  const picture = frame(file.path);
  const shown = await ada.tab.evaluate(() => document.querySelector('[data-testid=screenshot-size]')?.textContent);
  assert.equal(`${picture.width} × ${picture.height}`, shown);
  // It may have become sharper meanwhile.
  assert.ok(picture.width >= width && picture.height >= height && picture.width <= 640, `${shown} of ${width} × ${height}`);
  assert.equal(nearest(picture.colour(0.8, 0.8), 'camera'), 'Ben', picture.colour(0.8, 0.8));
  assert.equal(nearest(picture.colour(0.3, 0.8), 'camera'), 'Ben', 'a rectangle is empty');
  for (const [x, y] of /** @type {const} */ ([[0.1, 0.75], [0.5, 0.75], [0.3, 0.6], [0.3, 0.9]])) assert.ok(distance(picture.colour(x, y), '#16a34a') < 40, `${x},${y}: ${picture.colour(x, y)}`);
  await ada.isWell();
  for (const person of [ada, ben]) await stage.dismiss(person);
}
