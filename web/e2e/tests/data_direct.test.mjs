import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hears, member, send } from '../lib/data.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

const direct = scene({ ALTHING_ROOMS__POLICY: 'auto' });

test('in a direct call data goes from browser to browser, and through the server when a third one comes', async () => {
  const ada = await member(direct, 'Ada', 'direct', { data: false });
  const ben = await member(direct, 'Ben', 'direct', { data: false });
  await ada.travels('direct');
  await ben.travels('direct');
  // Media may travel before the channel is open: what is sent until then goes by the server.
  for (const person of [ada, ben]) await until(`the channel of ${person.name} is open`, () => person.tab.evaluate(hasOpenChannel));
  const [adas, bens] = [await ben.idOf('Ada'), await ada.idOf('Ben')];
  await send(ada, [1, 2, 3], { topic: 't', reliable: false });
  await send(ben, 'back', { to: [adas] });
  await hears(ben, [{ from: adas, topic: 't', payload: [1, 2, 3] }]);
  await hears(ada, [{ from: bens, topic: '', payload: 'back' }]);
  const asked = await (await fetch(`${direct.admin}/metrics`)).text();
  assert.doesNotMatch(asked, /signaling_messages_total\{[^}]*type="data"/, 'the server has not heard of it');

  const cleo = await member(direct, 'Cleo', 'direct', { data: false });
  await ada.travels('server');
  await ada.idOf('Cleo');
  await send(ada, 'to both');
  await hears(cleo, [{ from: adas, topic: '', payload: 'to both' }]);
  await hears(ben, [
    { from: adas, topic: 't', payload: [1, 2, 3] },
    { from: adas, topic: '', payload: 'to both' },
  ]);
});

test('more than a channel takes at once waits for its turn, and comes whole and in order', { skip: whole ? false : 'in make prove-page' }, async () => {
  const ada = await member(direct, 'Ada', 'much', { data: false });
  const ben = await member(direct, 'Ben', 'much', { data: false });
  await ada.travels('direct');
  await ben.travels('direct');
  for (const person of [ada, ben]) await until(`the channel of ${person.name} is open`, () => person.tab.evaluate(hasOpenChannel));
  await ben.tab.evaluate(() => {
    const page = /** @type {any} */ (window);
    page.numbers = [];
    page.althing.on('data', (/** @type {any} */ { payload }) => page.numbers.push(Number(payload.slice(0, 5))));
  });
  // Browsers refuse what goes beyond 16 MiB.
  const refused = await ada.tab.evaluate(async () => {
    const sent = Array.from({ length: 1500 }, (_, number) => /** @type {any} */ (window).althing.sendData(String(number).padEnd(15_000)));
    return (await Promise.allSettled(sent)).filter(({ status }) => status === 'rejected').map((/** @type {any} */ { reason }) => String(reason)).slice(0, 3);
  });
  assert.deepEqual(refused, []);
  await until('all of it has come', () => ben.tab.evaluate(() => /** @type {any} */ (window).numbers.length === 1500), 60_000);
  assert.ok(await ben.tab.evaluate(() => /** @type {any} */ (window).numbers.every((/** @type {number} */ number, /** @type {number} */ at) => number === at)), 'in order');
});

async function hasOpenChannel() {
  const report = await /** @type {any} */ (window).althing.connection.getStats();
  return [...report.values()].some((entry) => entry.type === 'data-channel' && entry.state === 'open');
}
