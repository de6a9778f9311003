import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { picturesSeen } from '../lib/inside.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { nearest } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

// One picture at a time: that of whoever spoke last.
const stage = scene({ ALTHING_ROOMS__LAST_N: '1' });

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of whole ? browsers : browsers.slice(0, 1)) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;
  if (skip) console.error(`\n*** ${skip} ***\n`);

  test(`in ${browser} no tile ever shows another one's picture while speakers take turns in one slot`, { skip }, async () => {
    const [ben, cleo, ada] = [await stage.person('Ben'), await stage.person('Cleo'), await stage.person('Ada', { browser })];
    for (const person of [ben, cleo, ada]) await person.join(stage.url, `turns-${browser}`);
    const ids = new Map([
      [await ada.idOf('Ben'), 'Ben'],
      [await ada.idOf('Cleo'), 'Cleo'],
    ]);
    const pair = async (/** @type {'Ben' | 'Cleo'} */ name) => (await ada.received(name)).pair;

    await cleo.tab.press('m');
    await ada.sees('Ben');
    const slot = await pair('Ben');
    await ada.tab.evaluate(picturesSeen);
    let [speaks, listens] = [ben, cleo];
    for (let turn = 0; turn < 5; turn++) {
      await speaks.tab.press('m');
      await listens.tab.press('m');
      [speaks, listens] = [listens, speaks];
      const name = speaks === ben ? 'Ben' : 'Cleo';
      await ada.sees(name);
      await until('it is the same slot', async () => (await pair(name)) === slot);
    }
    const seen = await ada.tab.evaluate(picturesSeen);
    const shown = seen.map((/** @type {string} */ each) => {
      const [member = '', color = ''] = each.split(' ');
      return [ids.get(member), nearest(color, 'camera')];
    });
    assert.deepEqual(shown.filter(([member, picture]) => member !== picture), [], 'nobody has another one\'s picture');
    assert.deepEqual([...new Set(shown.map(([member]) => member))].sort(), ['Ben', 'Cleo'], 'both were seen');
    for (const person of [ada, ben, cleo]) await stage.dismiss(person);
  });
}
