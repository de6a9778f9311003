import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { installed, openChromium, openFirefox } from '../lib/browsers.mjs';
import { prepare } from '../lib/inside.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { PEOPLE } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { cipher, end, looked, play, publish, restart, trickle } from '../lib/whip.mjs';
import { whole } from '../lib/whole.mjs';

const stage = scene();
/** A page of another origin: what plays is let in by CORS only. */
const elsewhere = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>player</title>'));
let page = '';

before(async () => {
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', () => resolve(undefined)));
  page = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (elsewhere.address()).port}/`;
});
after(() => {
  elsewhere.closeAllConnections();
  elsewhere.close();
});

/** @type {[string, typeof openChromium | typeof openFirefox, string | false][]} */
const browsers = [
  ['Chromium', openChromium, false],
  [
    'Firefox',
    openFirefox,
    !installed.firefox
      ? 'SKIPPED: Firefox is not installed (apt-get install firefox-esr)'
      : !inNamespace() && 'SKIPPED: Firefox pairs with no loopback address and needs a network namespace: run as root on Linux with iproute2',
  ],
];

for (const [name, open, skip] of whole ? browsers : browsers.slice(0, 1)) {
  if (skip) console.error(`\n*** ${skip} ***\n`);
  test(`${name} publishes by WHIP into a room, and plays its members by WHEP`, { skip }, async () => {
    const room = `whip-${name}`;
    const cleo = await stage.person('Cleo');
    await cleo.join(stage.url, room);
    const ada = await open({ prepare, argument: PEOPLE.Ada });
    const player = await open({ prepare, argument: null });
    try {
      await ada.goto(stage.url);
      const published = await ada.evaluate(publish, `${stage.url}/whip/${room}/Ada`);
      await cleo.sees('Ada');
      await cleo.hears('Ada');

      await player.goto(page);
      const me = await cleo.tab.evaluate(() => /** @type {any} */ (window).althing.room.me.member);
      const played = await player.evaluate(play, { url: `${stage.url}/whep/${room}/Ada,nobody,${me}`, pairs: 4 });
      await shows(player, 0, 'Ada');
      await shows(player, 2, 'Cleo');
      for (const pair of [1, 3]) assert.equal((await player.evaluate(looked, pair)).frames, 0, `nothing in pair ${pair}`);
      for (const [tab, session, pair, who] of /** @type {const} */ ([[ada, published, 0, 'Ada'], [player, played, 2, 'Cleo']])) {
        assert.equal(await tab.evaluate(trickle, session), 204);
        assert.deepEqual(await tab.evaluate(restart, session), { status: 200, over: true });
        assert.equal(await tab.evaluate(trickle, session), 204, 'the entity tag is the new one');
        await shows(player, pair, who);
      }
      for (const tab of [ada, player]) assert.match(await until('the cipher is told', () => tab.evaluate(cipher)), /GCM/);

      const id = await cleo.idOf('Ada');
      assert.equal(await ada.evaluate(end, published), 200);
      await cleo.missesTile(id);
      assert.equal(await player.evaluate(end, played), 200);
      assert.equal(await player.evaluate(end, played), 404);
      await until('Cleo is alone', async () => (await cleo.others()).length === 0);
      await cleo.isWell();
    } finally {
      await ada.close();
      await player.close();
      await stage.dismiss(cleo);
    }
  });
}

/**
 * Waits until a pair shows and plays somebody.
 * @param {import('../lib/browsers.mjs').Tab} player
 * @param {number} pair
 * @param {keyof typeof PEOPLE} who
 */
async function shows(player, pair, who) {
  const { camera, tone } = PEOPLE[who];
  const wanted = [1, 3, 5].map((at) => Number.parseInt(camera.slice(at, at + 2), 16));
  let seen = await player.evaluate(looked, pair);
  await until(`pair ${pair} is ${who}'s`, async () => {
    seen = await player.evaluate(looked, pair);
    return seen.colour.every((value, i) => Math.abs(value - (wanted[i] ?? 0)) < 40) && Math.abs(seen.tone - tone) < 25;
  }).catch((error) => assert.fail(`${error.message}: ${JSON.stringify(seen)}`));
  await until(`frames of ${who} go on`, async () => (await player.evaluate(looked, pair)).frames > seen.frames + 5);
}
