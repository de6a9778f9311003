import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** The page looks every two seconds, and twice before it says anything; a busy machine looks later. */
const [SOONEST, LATEST] = [3_800, 12_000];

/** What is marked at somebody's camera. @param {Person} who @param {string} of */
const markOf = (who, of) =>
  who.tab.evaluate((member) => document.querySelector(`[data-testid=tile][data-member="${member}"][data-kind=camera] [data-testid=bars]`)?.getAttribute('aria-label') ?? '', of);

for (const via of /** @type {const} */ (['server', 'direct'])) {
  test(`a camera of which nothing comes any more is marked while its sender is still there, and no longer when it comes again (${via})`, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
    for (const person of [ada, ben]) await person.join(stage.url, `frozen-${via}`);
    await ada.sees('Ben');
    if (via === 'server') await ada.tab.evaluate(() => /** @type {any} */ (window).althing.setPolicy('sfu'));
    await ada.travels(via);
    await ada.sees('Ben');
    const id = await ada.idOf('Ben');
    // Two looks at a camera that is well.
    await sleep(5_000);
    assert.doesNotMatch(await markOf(ada, id), /nothing/);

    const goOn = await ben.tab.freeze();
    const begun = Date.now();
    try {
      await until('Ada is told that nothing arrives', async () => /nothing arrives/.test(await markOf(ada, id)), LATEST);
      assert.ok(Date.now() - begun > SOONEST, `one look without a packet is not enough: it was told after ${Date.now() - begun} ms`);
      assert.equal(await ada.tab.evaluate(() => /** @type {any} */ (window).althing.room.members[0].away), false, 'nobody has missed Ben yet');
      assert.equal(await ada.tab.evaluate(() => document.querySelectorAll('[data-testid=bars][aria-label*=nothing]').length), 1, 'Ben alone is marked');
    } finally {
      goOn();
    }
    await until('the mark is gone', async () => !/nothing/.test(await markOf(ada, id)));
    await ada.sees('Ben');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
