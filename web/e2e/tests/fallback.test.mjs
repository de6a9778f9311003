import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestGap } from '../lib/inside.mjs';
import { codecs, seen, sent } from '../lib/pictures.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { publish } from '../lib/whip.mjs';

const stage = scene();

for (const name of ['AV1', 'H264']) {
  test(`who cannot decode ${name} sees VP8, who can keeps ${name}, and only while somebody needs both are both sent`, async () => {
    const room = `fallback-${name}`;
    const ada = await stage.person('Ada', { prefer: `video/${name}` });
    const ben = await stage.person('Ben');
    const cleo = await stage.person('Cleo');
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ben.sees('Ada');
    assert.equal((await seen(ben)).codec, `video/${name}`);
    assert.deepEqual(await codecs(ada), [`video/${name}`]);
    await ben.tab.evaluate(longestGap, { member: await ben.idOf('Ada'), kind: 'camera' });
    const { offers } = await ben.diagnostics();

    await cleo.join(stage.url, `${room}?receive=vp8`);
    const joined = Date.now();
    await cleo.sees('Ada');
    const seenAfter = Date.now() - joined;
    assert.ok(seenAfter < 8000, `Cleo sees Ada after ${seenAfter} ms`);
    const line = await seen(cleo);
    assert.equal(line.codec, 'video/VP8');
    assert.deepEqual(await codecs(ada), [`video/${name}`, 'video/VP8'].sort());
    const { offers: cleosOffers } = await cleo.diagnostics();
    await sleep(3000);
    assert.equal((await cleo.diagnostics()).offers, cleosOffers, 'Cleo has negotiated nothing for it');
    assert.equal((await ben.diagnostics()).offers, offers, 'Ben has negotiated nothing either');
    assert.equal((await seen(ben)).codec, `video/${name}`);
    const gap = await ben.tab.evaluate(longestGap, { member: await ben.idOf('Ada'), kind: 'camera' });
    assert.ok(gap < 1000, `Ben's picture has stood still for ${gap} ms`);
    const others = await ben.tab.evaluate(() => /** @type {any} */ (window).althing.room.members.find((/** @type {any} */ m) => m.name === 'Ada').tracks);
    assert.equal(others.filter((/** @type {any} */ track) => track.source === 'camera').length, 1, 'nobody sees a second camera');

    await cleo.isWell();
    await cleo.leave();
    const left = Date.now();
    await until('Ada sends one codec again', async () => (await codecs(ada)).length === 1, 20_000);
    assert.ok(Date.now() - left > 3000, 'not at the first moment');
    assert.deepEqual(await codecs(ada), [`video/${name}`]);
    assert.ok((await sent(ada)).filter((encoding) => encoding.codec === 'video/VP8').every((encoding) => !encoding.active), 'nothing of it is switched on');
    await ben.sees('Ada');
    const rest = await ben.tab.evaluate(longestGap, { member: await ben.idOf('Ada'), kind: 'camera' });
    assert.ok(rest < 1000, `Ben's picture has stood still for ${rest} ms`);
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
    assert.equal(await until('the tile says something', said), words);
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
