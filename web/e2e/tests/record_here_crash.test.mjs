import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { probe } from '../lib/files.mjs';
import { clock, phase } from '../lib/here.mjs';
import { choose } from '../lib/menus.mjs';
import { playThrough } from '../lib/playing.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene();

/** Inside of a page: counts the bytes that the browser hands over of a recording. */
function noteHanded() {
  const own = /** @type {any} */ (window);
  own.handed = 0;
  const start = MediaRecorder.prototype.start;
  MediaRecorder.prototype.start = function (/** @type {number | undefined} */ piece) {
    this.addEventListener('dataavailable', ({ data }) => (own.handed += data.size));
    return start.call(this, piece);
  };
}

for (const [what, end] of /** @type {const} */ ([
  ['audio', 'crash'],
  ['call', 'crash'],
  ['audio', 'reload'],
])) {
  test(`${what}, ${end}: what was recorded is there when the page comes back, but for its last second`, async () => {
    const room = `lost-${what}-${end}`;
    const ada = await stage.person('Ada');
    const ben = await stage.person('Ben');
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ada.hears('Ben');
    await ada.tab.evaluate(noteHanded);
    await choose(ada, `record-${what}`);
    await until('it is recorded', async () => (await phase(ada)) === 'recording');
    await ben.tab.appears('[data-testid=recorded-locally]');
    await sleep(5_500);
    const recorded = await clock(ada);
    const handed = await ada.tab.evaluate(() => /** @type {any} */ (window).handed);
    // What it was handed now may be on its way to the disk.
    await sleep(400);
    if (end === 'crash') {
      await ada.tab.crash();
      await ada.tab.goto(`${stage.url}/r/elsewhere`);
    } else await ada.tab.reload();
    await ada.tab.appears('[data-testid=interrupted]');
    await ada.tab.click('[data-testid=interrupted-open]');
    await ada.tab.appears('[data-testid=shelf-item][data-finished=false]');
    await ada.tab.click('[data-testid=shelf-open]');
    await ada.tab.appears('[data-testid=recording-view]');
    const length = await clock(ada, 'recording-view');
    // Pieces of a second. A browser that is too busy to encode pictures in time hands over fewer.
    if (what === 'audio') assert.ok(length > recorded - 1.6, `${length} s of ${recorded}`);
    assert.ok(length < recorded + 1.5, `${length} s of ${recorded}`);
    const played = await playThrough(ada, '[data-testid=recording-player]');
    assert.ok(Math.abs(played.duration - length) < 0.1, `${length} s: ${JSON.stringify(played)}`);
    const { path } = await ada.tab.downloads(() => ada.tab.click('[data-testid=recording-download]'));
    const found = probe(path);
    assert.ok(Math.abs(found.duration - length) < 0.1, `${found.duration} s of ${length}`);
    assert.ok(statSync(path).size > handed - 2_000, `${statSync(path).size} bytes of ${handed}`);
    assert.equal(found.video !== undefined, what === 'call');
    // Whoever has crashed says nothing any more: the others forget it.
    await until('nobody is recorded any more', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=recorded-locally]')), 45_000);
    // Deleted, it is gone, and is not offered again.
    await ada.tab.evaluate(() => (window.confirm = () => true) && undefined);
    await ada.tab.click('[data-testid=recording-delete]');
    await until('the list is empty', () => ada.tab.evaluate(() => document.querySelector('[data-testid=shelf]') && !document.querySelector('[data-testid=shelf-item]')));
    await until('the focus is in it', () => ada.tab.evaluate(() => document.activeElement?.getAttribute('data-testid') === 'shelf-close'));
    await ada.tab.reload();
    await ada.tab.appears('[data-testid=lobby], [data-testid=call]');
    await sleep(500);
    assert.equal(await ada.tab.evaluate(() => document.querySelector('[data-testid=interrupted]') === null), true);
    await ada.isWell();
    for (const person of [ada, ben]) await stage.dismiss(person);
  });
}
