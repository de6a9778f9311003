import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heard, hears, listens, member, send } from '../lib/data.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

// Two workers, and rooms that use both from the second member on.
const stage = scene({ ALTHING_MEDIA__WORKERS: '2', ALTHING_MEDIA__SPREAD_FROM: '1' });

test('Chromium, Firefox and one without channels send to all, to one, reliably and not, across two workers', async () => {
  const ada = await member(stage, 'Ada', 'data');
  const ben = await member(stage, 'Ben', 'data', { browser: 'firefox' });
  const cleo = await member(stage, 'Cleo', 'data', { data: false });
  const [adas, bens, cleos] = [await ben.idOf('Ada'), await ada.idOf('Ben'), await ada.idOf('Cleo')];
  await cleo.idOf('Ben');

  await send(ada, 'to all', { topic: 'greeting' });
  await send(ada, [0, 255], { to: [cleos] });
  await send(ben, 'perhaps', { reliable: false });
  const [all, bytes, perhaps] = [
    { from: adas, topic: 'greeting', payload: 'to all' },
    { from: adas, topic: '', payload: [0, 255] },
    { from: bens, topic: '', payload: 'perhaps' },
  ];
  await hears(ben, [all]);
  await hears(ada, [perhaps]);
  // Its order is that in which the server had them, and they came from two.
  await until('Cleo hears all', async () => (await heard(cleo)).length === 3);
  const byText = (/** @type {any} */ a, /** @type {any} */ b) => JSON.stringify(a).localeCompare(JSON.stringify(b));
  assert.deepEqual((await heard(cleo)).sort(byText), [all, bytes, perhaps].sort(byText));

  await send(cleo, '不', { topic: 'answer', to: [adas, bens] });
  const answer = { from: cleos, topic: 'answer', payload: '不' };
  await hears(ben, [all, answer]);
  await hears(ada, [perhaps, answer]);

  // It went as it should: by channels, on both workers, and nothing was dropped. Workers report each second.
  let seen = '';
  const metrics = async () => (await fetch(`${stage.admin}/metrics`)).text();
  const went = (/** @type {number} */ worker) => new RegExp(`althing_data_messages_total\\{direction="sent",worker="${worker}"\\} [1-9]`);
  await until('both workers have sent', async () => [0, 1].every((worker) => went(worker).test(seen)) || ((seen = await metrics()), false));
  const drops = seen.split('\n').filter((line) => line.startsWith('althing_data_drops_total') && !line.endsWith(' 0'));
  assert.deepEqual(drops, []);
  for (const person of [ada, ben, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('three hundred reliable messages of all sizes come once and in order, also from a page that was loaded again', async () => {
  const ada = await member(stage, 'Ada', 'many');
  const ben = await member(stage, 'Ben', 'many');
  const cleo = await member(stage, 'Cleo', 'many', { data: false });
  const flood = (/** @type {any} */ person) =>
    person.tab.evaluate(async () => {
      for (let n = 0; n < 300; n += 1) await /** @type {any} */ (window).althing.sendData(`${n} ${'x'.repeat((n * 7919) % 3000)}`);
    });
  const numbers = async (/** @type {any} */ person) => (await heard(person)).map((/** @type {any} */ data) => Number(data.payload.split(' ')[0]));
  const wanted = Array.from({ length: 300 }, (_, n) => n);
  await flood(ada);
  for (const person of [ben, cleo]) {
    await until(`${person.name} has them`, async () => (await numbers(person)).length >= 300, 30_000);
    assert.deepEqual(await numbers(person), wanted, person.name);
  }

  await ada.tab.reload();
  await ada.tab.appears('[data-testid=call]');
  await listens(ada, true);
  for (const person of [ben, cleo]) await person.tab.evaluate(() => void (/** @type {any} */ (window).heard = []));
  await ben.idOf('Ada');
  await flood(ada);
  for (const person of [ben, cleo]) {
    await until(`${person.name} has them again`, async () => (await numbers(person)).length >= 300, 30_000);
    assert.deepEqual(await numbers(person), wanted, person.name);
  }
  await send(ben, 'welcome back');
  await until('Ada hears', async () => (await heard(ada)).length === 1);
  for (const person of [ada, ben, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('what is too long is refused at once', async () => {
  const dan = await member(stage, 'Dan', 'long');
  const error = await dan.tab.evaluate(() => /** @type {any} */ (window).althing.sendData('x'.repeat(20_000)).then(() => '', (/** @type {any} */ e) => e.code));
  assert.equal(error, 'limit_exceeded');
});
