import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allMeet, scene } from '../lib/scene.mjs';

const stage = scene();

test('a tab that reloads is back in the call, and leaves no ghost', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'reload');
  await ben.join(stage.url, 'reload');
  await allMeet([ada, ben]);

  const before = await ada.idOf('Ben');
  await ben.tab.reload();
  await ben.tab.appears('[data-testid=call]');
  await ada.missesTile(before);
  await allMeet([ada, ben]);
  assert.deepEqual(await ada.others(), ['Ben']);
  assert.deepEqual(await ben.others(), ['Ada']);
  await ada.isWell();
  await ben.isWell();
});
