import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { codecs, growing, seen } from '../lib/pictures.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const skip = !installed.firefox
  ? 'SKIPPED: Firefox is not installed (apt-get install firefox-esr)'
  : !inNamespace()
    ? 'SKIPPED: Firefox pairs with no loopback address and needs a network namespace: run as root on Linux with iproute2'
    : false;
if (skip) console.error(`\n*** ${skip} ***\n`);

const stage = scene();

test('a fallback follows the camera through off and on, and a shared screen has its own', async () => {
  const ada = await stage.person('Ada', { prefer: 'video/VP9' });
  const cleo = await stage.person('Cleo');
  await ada.join(stage.url, 'follows');
  await cleo.join(stage.url, 'follows?receive=vp8');
  await cleo.sees('Ada');
  await until('VP9 is not encoded any more, as nobody wants it', async () => (await codecs(ada)).join() === 'video/VP8');
  const offers = await ada.offers();

  await ada.tab.click('[data-testid=camera]');
  await until('nothing of the camera is encoded', async () => (await codecs(ada)).length === 0);
  assert.ok(
    await ada.tab.evaluate(() => !document.querySelector('[data-testid=tile][data-mine=true] video')),
    'Ada sees herself no longer',
  );
  await ada.tab.click('[data-testid=camera]');
  await cleo.sees('Ada');
  assert.equal((await seen(cleo)).codec, 'video/VP8');
  assert.equal(await ada.offers(), offers, 'that takes no offer');

  await ada.tab.click('[data-testid=screen]');
  await cleo.sees('Ada', { screen: true });
  await cleo.sees('Ada');
  assert.equal((await seen(cleo, { screen: true })).codec, 'video/VP8');
  await ada.tab.click('[data-testid=screen]');
  await until('only the camera is sent', async () => new Set((await growing(ada)).map((line) => line.mid)).size === 1);
  await cleo.sees('Ada');
  const again = await ada.offers();
  await ada.tab.click('[data-testid=screen]');
  await cleo.sees('Ada', { screen: true });
  assert.equal(await ada.offers(), again, 'the m-lines are used again');
  for (const person of [ada, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

for (const [publisher, viewer] of /** @type {const} */ ([
  ['chromium', 'firefox'],
  ['firefox', 'chromium'],
])) {
  test(`a fallback from ${publisher} is seen in ${viewer}`, { skip }, async () => {
    const ada = await stage.person('Ada', { browser: publisher, prefer: 'video/VP9' });
    const ben = await stage.person('Ben');
    const cleo = await stage.person('Cleo', { browser: viewer });
    const room = `fallback-${publisher}`;
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ben.sees('Ada');
    await cleo.join(stage.url, `${room}?receive=vp8`);
    await cleo.sees('Ada');
    assert.deepEqual([(await seen(ben)).codec, (await seen(cleo)).codec], ['video/VP9', 'video/VP8']);
    await ben.sees('Ada');
    await cleo.leave();
    await until('Ada sends one codec again', async () => (await codecs(ada)).join() === 'video/VP9', 20_000);
    await ben.sees('Ada');
    for (const person of [ada, ben, cleo]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}
