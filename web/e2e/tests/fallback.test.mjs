import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestGap } from '../lib/inside.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */
/** @typedef {import('@althing/sdk').OutboundStats} OutboundStats */

const stage = scene();

for (const name of ['AV1', 'H264', 'VP9']) {
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

/**
 * The line on which Ada's camera arrives.
 * @param {Person} person
 * @param {{ screen?: boolean }} [options]
 * @returns {Promise<import('@althing/sdk').MemberStats>}
 */
async function seen(person, { screen = false } = {}) {
  const member = await person.idOf('Ada');
  const { members } = await person.stats();
  const line = members.find((/** @type {import('@althing/sdk').MemberStats} */ found) => found.member === member && found.screen === screen && found.kind === 'video');
  return line ?? person.fail('nothing arrives of Ada');
}

/**
 * What somebody's browser has to send of pictures.
 * @param {Person} person
 * @returns {Promise<OutboundStats[]>}
 */
async function sent(person) {
  const { outbound } = await person.stats();
  return outbound.filter((/** @type {OutboundStats} */ line) => line.kind === 'video');
}

/**
 * The codecs in which somebody's browser encodes pictures at the moment.
 * @param {Person} person
 */
async function codecs(person) {
  const before = new Map((await sent(person)).map((line) => [`${line.mid}/${line.rid}`, line.framesEncoded]));
  await sleep(700);
  const grown = (await sent(person)).filter((line) => line.framesEncoded > (before.get(`${line.mid}/${line.rid}`) ?? 0));
  return [...new Set(grown.map((line) => line.codec))].sort();
}
