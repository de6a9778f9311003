import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecs, seen, sent } from '../lib/pictures.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('when who needed H264 has gone, who needs VP8 is sent that, on the same m-line', async () => {
  const ada = await stage.person('Ada', { prefer: 'video/VP9' });
  const ben = await stage.person('Ben');
  const cleo = await stage.person('Cleo');
  const dan = await stage.person('Dan');
  await ada.join(stage.url, 'changes');
  await ben.join(stage.url, 'changes');
  await ben.sees('Ada');
  await cleo.join(stage.url, 'changes?receive=h264');
  await cleo.sees('Ada');
  assert.equal((await seen(cleo)).codec, 'video/H264');
  const lines = async () => new Set((await sent(ada)).map((line) => line.mid)).size;
  const before = await lines();

  await dan.join(stage.url, 'changes?receive=vp8');
  await dan.sees('Cleo');
  await cleo.sees('Ada');
  assert.equal((await seen(cleo)).codec, 'video/H264', 'one in need is no reason to take it from another');
  await cleo.leave();
  await dan.sees('Ada');
  assert.equal((await seen(dan)).codec, 'video/VP8');
  await until('Ada sends VP9 and VP8', async () => (await codecs(ada)).join() === 'video/VP8,video/VP9');
  assert.equal(await lines(), before, 'no m-line has been added');
  await ben.sees('Ada');
  assert.equal((await seen(ben)).codec, 'video/VP9');
  for (const person of [ada, ben, cleo, dan]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('a publisher that loads its page again is asked again', async () => {
  const ada = await stage.person('Ada', { prefer: 'video/VP9' });
  const cleo = await stage.person('Cleo');
  await ada.join(stage.url, 'again');
  await cleo.join(stage.url, 'again?receive=vp8');
  await cleo.sees('Ada');
  const before = await cleo.idOf('Ada');
  await ada.tab.reload();
  await ada.tab.appears('[data-testid=call]');
  await cleo.missesTile(before);
  await cleo.sees('Ada');
  assert.equal((await seen(cleo)).codec, 'video/VP8');
  for (const person of [ada, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});
