import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allMeet, scene } from '../lib/scene.mjs';

const stage = scene();

test('ten joins and leaves cost those who stay no offer', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'churn');
  await ben.join(stage.url, 'churn');
  await allMeet([ada, ben]);
  const before = [await ada.offers(), await ben.offers()];

  const cleo = await stage.person('Cleo');
  for (let round = 1; round <= 10; round++) {
    await cleo.join(stage.url, 'churn');
    await ada.sees('Cleo');
    await ben.hears('Cleo');
    await cleo.sees('Ada');
    const id = await ada.idOf('Cleo');
    await cleo.leave();
    await ada.missesTile(id);
    await ben.missesTile(id);
  }

  await allMeet([ada, ben]);
  assert.deepEqual([await ada.offers(), await ben.offers()], before, 'offers of those who stay');
  for (const person of [ada, ben]) {
    assert.equal((await person.diagnostics()).connections, 1);
    await person.isWell();
  }
});
