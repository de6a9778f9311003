import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecs, seen, sent } from '../lib/pictures.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { publish } from '../lib/whip.mjs';
import { whole } from '../lib/whole.mjs';

const stage = scene();

/** How many fallbacks the server asks for, and is sent. */
async function fallbacks() {
  const metrics = await (await fetch(`${stage.admin}/metrics`)).text();
  const count = (/** @type {string} */ state) => Number(new RegExp(`^althing_fallbacks{state="${state}"} (\\d+)$`, 'm').exec(metrics)?.[1]);
  return { wanted: count('wanted'), sent: count('sent') };
}

for (const name of whole ? ['AV1', 'H264'] : ['AV1']) {
  test(`who cannot decode ${name} sees VP8, who can keeps ${name}, and only while somebody needs both are both sent`, async () => {
    const room = `fallback-${name}`;
    const ada = await stage.person('Ada', { prefer: `video/${name}` });
    const ben = await stage.person('Ben');
    const cleo = await stage.person('Cleo');
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ben.sees('Ada');
    assert.equal((await seen(ben)).codec, `video/${name}`);
    // An encoder may rest for as long as is looked, on a busy machine.
    await until(`Ada sends ${name} alone`, async () => (await codecs(ada)).join() === `video/${name}`);
    const untouched = await seen(ben);
    const { offers } = await ben.diagnostics();

    await cleo.join(stage.url, `${room}?receive=vp8`);
    await cleo.sees('Ada');
    const line = await seen(cleo);
    assert.equal(line.codec, 'video/VP8');
    await until('Ada sends both', async () => (await codecs(ada)).join() === [`video/${name}`, 'video/VP8'].sort().join());
    const { offers: cleosOffers } = await cleo.diagnostics();
    await sleep(3000);
    assert.equal((await cleo.diagnostics()).offers, cleosOffers, 'Cleo has negotiated nothing for it');
    assert.equal((await ben.diagnostics()).offers, offers, 'Ben has negotiated nothing either');
    const bens = await seen(ben);
    assert.deepEqual([bens.codec, bens.pliCount], [`video/${name}`, untouched.pliCount], 'Ben has gone on decoding what he had');
    await ben.sees('Ada');
    const others = await ben.tab.evaluate(() => /** @type {any} */ (window).althing.room.members.find((/** @type {any} */ m) => m.name === 'Ada').tracks);
    assert.equal(others.filter((/** @type {any} */ track) => track.source === 'camera').length, 1, 'nobody sees a second camera');

    await cleo.isWell();
    await until('one is asked for, and sent', async () => Object.values(await fallbacks()).every((count) => count === 1));
    await cleo.leave();
    await until('nobody asks for the fallback, and there is none', async () => Object.values(await fallbacks()).every((count) => count === 0));
    await until('Ada sends one codec again', async () => (await codecs(ada)).join() === `video/${name}`);
    const fallback = async () => (await sent(ada)).filter((encoding) => encoding.codec === 'video/VP8');
    await until('nothing of it is switched on', async () => (await fallback()).every((encoding) => !encoding.active));
    // What was encoded before is on its way for a moment.
    await sleep(1000);
    const packets = async () => (await fallback()).map((encoding) => encoding.packetsSent);
    const rest = await packets();
    await ben.sees('Ada');
    assert.deepEqual(await packets(), rest, 'and nothing of it is sent');
    for (const person of [ada, ben, cleo]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

test('where nobody can be asked for another codec, the tile says what is wrong', async () => {
  const studio = await stage.person('Ben', { prefer: 'video/H264' });
  await studio.tab.goto(`${stage.url}/r/elsewhere`);
  await studio.tab.evaluate(publish, `${stage.url}/whip/studio/Ben`);
  for (const [locale, words] of /** @type {const} */ ([
    ['zh-CN', '你的浏览器无法显示此画面'],
    ['en-US', 'Your browser cannot show this picture'],
  ])) {
    const cleo = await stage.person('Cleo', { locale });
    await cleo.join(stage.url, 'studio?receive=vp8');
    const said = () => cleo.tab.evaluate(() => document.querySelector('[data-testid=tile-paused]')?.textContent?.trim());
    // Before it is known why, it may be said that nothing comes.
    await until(`the tile says: ${words}`, async () => (await said()) === words).catch(async (error) => cleo.fail(`${error.message}; it says: ${await said()}`));
    await cleo.isWell();
    await stage.dismiss(cleo);
  }
  const dan = await stage.person('Dan');
  await dan.join(stage.url, 'studio');
  await dan.sees('Ben');
  for (const person of [studio, dan]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});
