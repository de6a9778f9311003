import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allMeet, scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

const stage = scene();

test('three Chromiums in one room each see and hear the other two', async () => {
  const people = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  for (const person of people) await person.join(stage.url, 'three');
  await allMeet(people);

  for (const person of people) {
    assert.match(await person.cipher(), /GCM/, `${person.name}'s SRTP profile`);
    const { connections } = await person.diagnostics();
    assert.equal(connections, 1, `${person.name} has one connection`);
  }

  const [ada, ben, cleo] = people;
  const id = await ada.idOf('Cleo');
  await cleo.leave();
  await ada.missesTile(id);
  await ben.missesTile(id);
  await allMeet([ada, ben]);
  for (const person of people) await person.isWell();
});

test('a muted microphone is silent and a camera that is off shows no picture, until both are on again', async () => {
  const ada = await stage.person('Ada');
  const dan = await stage.person('Dan');
  await ada.join(stage.url, 'mute');
  await dan.join(stage.url, 'mute');
  await allMeet([ada, dan]);
  const offers = await dan.offers();
  const id = await ada.idOf('Dan');
  const tile = `[data-testid=tile][data-member="${id}"]`;

  await dan.tab.press('m');
  await ada.tab.appears(`${tile} [data-testid=tile-muted]`);
  await until('Dan is silent at Ada', async () => {
    const before = (await ada.received('Dan')).energy;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await ada.received('Dan')).energy - before < 1e-5;
  });
  await dan.tab.press('v');
  await until('the picture of Dan is gone at Ada', () => ada.tab.evaluate((selector) => !document.querySelector(`${selector} video`), tile));

  await dan.tab.press('m');
  await dan.tab.press('v');
  await ada.sees('Dan');
  await ada.hears('Dan');
  assert.equal(await dan.offers(), offers, 'muting takes no offer');
});

test("the browser's own fake devices are seen and heard as well", { skip: whole ? false : 'in make prove-page' }, async () => {
  const ada = await stage.person('Ada', { ownDevices: true });
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'devices');
  await ben.join(stage.url, 'devices');
  await ada.sees('Ben');
  const before = await ben.received('Ada');
  await until('pictures and sound of the fake devices arrive', async () => {
    const now = await ben.received('Ada');
    return now.frames > before.frames + 10 && now.energy > before.energy;
  });
});
