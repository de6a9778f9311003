import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** Kilobits a second that a member may publish: on this machine's own network a browser finds several times as much. */
const LIMIT = 300;
const stage = scene({ ALTHING_ROOMS__PUBLISH_KBPS: String(LIMIT) });

test('Chromium takes what it may publish for what the way carries, and nothing is ended', async () => {
  const ada = await stage.person('Ada', { width: 1600, height: 900 });
  const ben = await stage.person('Ben', { width: 1600, height: 900 });
  for (const person of [ada, ben]) await person.join(stage.url, 'limits');
  await ben.sees('Ada');
  await until('Ada knows what the way carries', async () => (await carries(ada)) > 0);
  // Long enough for the probes that would find more.
  for (let i = 0; i < 10; i += 1) {
    assert.ok((await carries(ada)) <= LIMIT * 1000, `${await carries(ada)} bit/s`);
    await sleep(1000);
  }
  const text = await (await fetch(`${stage.admin}/metrics`)).text();
  const excess = text.split('\n').filter((line) => line.startsWith('althing_publish_excess_total{'));
  assert.deepEqual(excess.map((line) => Number(line.split(' ').at(-1))), excess.map(() => 0));
  await ben.sees('Ada');
  for (const person of [ada, ben]) await person.isWell();
});

/** What a browser takes its way to the server for, in bit/s. */
async function carries(/** @type {import('../lib/person.mjs').Person} */ person) {
  const { transport } = await person.stats();
  return transport?.availableOutgoingBitrate ?? 0;
}
