import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allMeet, scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene();

test('media goes on while the signaling socket is cut for ten seconds, and nothing that was said is lost or doubled', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  const line = await stage.line();
  await ada.join(stage.url, 'cut');
  await ben.join(line.url, 'cut');
  await allMeet([ada, ben]);
  const begun = { ...(await ben.diagnostics()), offers: await ben.offers() };

  line.cut();
  await ben.tab.appears('[data-testid=reconnecting]');
  const said = ben.says('said while cut');
  await ada.says('said to who is cut');
  let last = { atAda: await ada.received('Ben'), atBen: await ben.received('Ada') };
  for (let second = 1; second <= 10; second++) {
    await sleep(1000);
    let now = last;
    // Two browsers on a busy machine may show nothing for a second.
    await until(`frames and sound go on at both ends after second ${second}`, async () => {
      now = { atAda: await ada.received('Ben'), atBen: await ben.received('Ada') };
      return (/** @type {const} */ (['atAda', 'atBen'])).every((where) => now[where].frames > last[where].frames && now[where].energy > last[where].energy);
    }, 4000);
    last = now;
  }

  line.mend();
  await said;
  await until('the session is resumed', async () => (await ben.diagnostics()).resumptions === begun.resumptions + 1);
  for (const person of [ada, ben]) {
    await until(`${person.name} has read both lines`, async () => (await person.chat()).length === 2);
    await sleep(500);
    assert.deepEqual((await person.chat()).sort(), ['Ada: said to who is cut', 'Ben: said while cut']);
  }
  const now = { ...(await ben.diagnostics()), offers: await ben.offers() };
  assert.equal(now.connections, begun.connections, 'the connection is the same');
  assert.equal(now.offers, begun.offers, 'resuming takes no offer');
  assert.deepEqual(await ada.others(), ['Ben']);
  await allMeet([ada, ben]);
  await ada.isWell();
});
