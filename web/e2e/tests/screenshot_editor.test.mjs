import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distance } from '../lib/files.mjs';
import { meet } from '../lib/here.mjs';
import { chooseAt } from '../lib/menus.mjs';
import { nearest } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { place } from '../lib/shots.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('the editor: each tool, taking back and doing again, the clipboard, by keys and by mouse', async () => {
  const { ada, ben } = await meet(stage, 'server', 'editor');
  const id = await ada.idOf('Ben');
  await chooseAt(ada, id, 'screenshot-tile');
  await ada.tab.appears('[data-testid=screenshot]');
  /** The colour of a share of the picture. @param {number} x @param {number} y */
  const colour = (x, y) =>
    ada.tab.evaluate(
      ([across, down]) => {
        const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector('[data-testid=screenshot-picture]'));
        const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
        return [...pen.getImageData(Math.floor(canvas.width * across), Math.floor(canvas.height * down), 1, 1).data.slice(0, 3)].join(',');
      },
      /** @type {[number, number]} */ ([x, y]),
    );
  const red = '#e5252a';
  // The pen, by mouse.
  await ada.tab.press('1');
  await ada.tab.click('[data-testid=width-2]');
  await ada.tab.drag([await place(ada, [0.1, 0.8]), await place(ada, [0.2, 0.8]), await place(ada, [0.4, 0.8])]);
  await until('a line is there', async () => distance(await colour(0.3, 0.8), red) < 20);
  // Taken back by a key, done again by another.
  await ada.tab.press('Control+z');
  await until('it is taken back', async () => nearest(await colour(0.3, 0.8), 'camera') === 'Ben');
  await ada.tab.press('Control+Shift+Z');
  await until('it is there again', async () => distance(await colour(0.3, 0.8), red) < 20);
  // An arrow by keys alone: from the middle to the right.
  await ada.tab.evaluate(() => /** @type {HTMLElement} */ (document.querySelector('[data-testid=screenshot-canvas]')).focus());
  await ada.tab.press('3');
  for (let step = 0; step < 3; step++) await ada.tab.press('Shift+ArrowDown');
  await ada.tab.press('Enter');
  for (let step = 0; step < 3; step++) await ada.tab.press('Shift+ArrowRight');
  await ada.tab.press('Enter');
  await until('it is said', () => ada.tab.evaluate(() => document.querySelector('[data-testid=screenshot-said]')?.textContent === 'Arrow: drawn'));
  // Three tenths of the longer side (640) are 192 pixels: from (320, 180) down to 360, which is the edge.
  await until('the arrow is there', async () => distance(await colour(0.65, 0.995), red) < 30);
  // A text, with a letter that is a shortcut elsewhere.
  await ada.tab.press('4');
  await ada.tab.click('[data-testid=colour-f5b800]');
  await ada.tab.drag([await place(ada, [0.05, 0.05])]);
  await ada.tab.appears('[data-testid=screenshot-text]');
  await ada.tab.fill('[data-testid=screenshot-text]', 'mmmm 你好');
  await ada.tab.press('Enter');
  const written = () => ada.tab.evaluate(() => {
    const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector('[data-testid=screenshot-picture]'));
    const { data } = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).getImageData(0, 0, canvas.width / 2, canvas.height / 4);
    let yellow = 0;
    for (let at = 0; at < data.length; at += 4) if (Math.abs((data[at] ?? 0) - 0xf5) + Math.abs((data[at + 1] ?? 0) - 0xb8) + (data[at + 2] ?? 0) < 40) yellow += 1;
    return yellow;
  });
  await until('the text is there', async () => (await written()) > 300);
  // A mosaic over the line: no pixel has its colour any more.
  await ada.tab.press('5');
  await ada.tab.drag([await place(ada, [0.05, 0.7]), await place(ada, [0.3, 0.8]), await place(ada, [0.45, 0.9])]);
  await until('the line is hidden', async () => distance(await colour(0.3, 0.8), red) > 40);
  // Into the clipboard.
  await ada.tab.press('Control+c');
  const copied = await until('the picture is in the clipboard', () =>
    ada.tab.evaluate(async () => {
      const [item] = await navigator.clipboard.read();
      if (!item?.types.includes('image/png')) return undefined;
      const picture = await createImageBitmap(await item.getType('image/png'));
      return `${picture.width} × ${picture.height}`;
    }),
  );
  assert.equal(copied, await ada.tab.evaluate(() => document.querySelector('[data-testid=screenshot-size]')?.textContent));
  // What is saved can be closed; what is not, after a question.
  await ada.tab.press('Escape');
  await until('the editor is closed', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=screenshot]')));
  await ada.isWell();
  for (const person of [ada, ben]) await stage.dismiss(person);
});

test('menus by keyboard: arrows, letters, Escape back to the button, and no shortcut of the call meanwhile', async () => {
  const ada = await stage.person('Ada');
  await ada.join(stage.url, 'menu');
  const focused = () => ada.tab.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset['testid']);
  await ada.tab.evaluate(() => /** @type {HTMLElement} */ (document.querySelector('[data-testid=more]')).focus());
  await ada.tab.press('Enter');
  const entries = await until('the menu is open', () => ada.tab.evaluate(() => [...document.querySelectorAll('[data-testid=more-menu] [role^=menuitem]')].map((entry) => /** @type {HTMLElement} */ (entry).dataset['testid'])).then((all) => (all.length > 0 ? all : undefined)));
  await until('the first entry has the focus', async () => (await focused()) === entries[0]);
  await ada.tab.press('ArrowUp');
  assert.equal(await focused(), entries.at(-1));
  await ada.tab.press('ArrowDown');
  assert.equal(await focused(), entries[0]);
  await ada.tab.press('End');
  assert.equal(await focused(), entries.at(-1));
  // S would share the screen, M mute.
  await ada.tab.press('s');
  await ada.tab.press('m');
  assert.equal(await ada.tab.evaluate(() => document.querySelector('[data-testid=mic]')?.getAttribute('aria-label')), 'Mute microphone');
  await ada.tab.press('Escape');
  await until('the button has the focus again', async () => (await focused()) === 'more');
  await until('the button says so', () => ada.tab.evaluate(() => document.querySelector('[data-testid=more]')?.getAttribute('aria-expanded') === 'false'));
  assert.equal(await ada.tab.evaluate(() => document.querySelectorAll('[data-testid=tile]').length), 1, 'no screen is shared');
  await ada.isWell();
});
