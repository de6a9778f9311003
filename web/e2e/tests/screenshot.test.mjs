import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame } from '../lib/files.mjs';
import { meet } from '../lib/here.mjs';
import { choose } from '../lib/menus.mjs';
import { nearest } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { takesTile } from '../lib/shots.mjs';

const stages = { direct: scene({ ALTHING_ROOMS__POLICY: 'auto' }), server: scene() };

for (const way of /** @type {const} */ (['direct', 'server'])) {
  test(`${way}: a screenshot of a tile has the size of its picture, and is saved with what was drawn on it`, () => takesTile(stages[way], way, 'chromium'));

  test(`${way}: a screenshot of the stage has all who are on it, with their names, in the size of the pictures`, async () => {
    const stage = stages[way];
    const { ada, ben } = await meet(stage, way, 'stage');
    const shown = await ada.tab.evaluate(() => {
      const boxes = [...document.querySelectorAll('[data-testid=tile]')].map((tile) => tile.getBoundingClientRect());
      const side = (/** @type {'left' | 'top' | 'right' | 'bottom'} */ name, /** @type {(...all: number[]) => number} */ outermost) => outermost(...boxes.map((box) => box[name]));
      const stage = /** @type {Element} */ (document.querySelector('[data-testid=stage]')).getBoundingClientRect();
      // With eight pixels around them, as far as the stage goes.
      const width = Math.min(stage.right, side('right', Math.max) + 8) - Math.max(stage.left, side('left', Math.min) - 8);
      const height = Math.min(stage.bottom, side('bottom', Math.max) + 8) - Math.max(stage.top, side('top', Math.min) - 8);
      const scales = [...document.querySelectorAll('[data-testid=tile]')].map((tile) => {
        const { width, height } = tile.getBoundingClientRect();
        const video = /** @type {HTMLVideoElement} */ (tile.querySelector('video'));
        return 1 / Math.max(width / video.videoWidth, height / video.videoHeight);
      });
      const scale = Math.max(1, ...scales);
      return { width: Math.round(width * scale), height: Math.round(height * scale), scale };
    });
    await choose(ada, 'screenshot-stage');
    await ada.tab.appears('[data-testid=screenshot]');
    const file = await ada.tab.downloads(() => ada.tab.press('Control+s'));
    const picture = frame(file.path);
    assert.deepEqual([picture.width, picture.height], [shown.width, shown.height], JSON.stringify(shown));
    assert.ok(shown.scale > 1.1, `tiles are smaller than their pictures here: ${JSON.stringify(shown)}`);
    assert.deepEqual(picture.people((colour) => nearest(colour, 'camera')), ['Ada', 'Ben']);
    await ada.isWell();
    for (const person of [ada, ben]) await stage.dismiss(person);
  });
}
