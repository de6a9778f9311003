import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { longestWithoutMedia, looksWithoutPicture } from '../lib/inside.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { allMeet, scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto', ALTHING_ROOMS__RETURN_SECONDS: '2' });

/** A picture may stand still for so long (ms) where it is to go on: browsers encode twice meanwhile, and others share the machine. */
const STILL = 5000;

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;
  if (skip) console.error(`\n*** ${skip} ***\n`);

  test(`two are connected directly, one of them with ${browser}: pictures, sound, a screen, and nothing through the server`, { skip }, async () => {
    const before = await served();
    const [ada, ben] = [await stage.person('Ada', { browser }), await stage.person('Ben')];
    await ada.join(stage.url, `direct-${browser}`);
    assert.equal((await ada.route()).via, 'none', 'alone there is nobody whom media could travel to');
    await ben.join(stage.url, `direct-${browser}`);
    await allMeet([ada, ben]);
    for (const person of [ada, ben]) await person.travels('direct');
    assert.equal((await ada.route()).pair.protocol, 'udp');
    await ada.tab.appears('[data-testid=route][data-route=direct]');
    // The server hears nothing: the pages find out who speaks.
    await until('Ada sees that Ben speaks', () => ada.tab.evaluate(isSpeaking, 'Ben'));
    await until('Ben sees that Ada speaks', () => ben.tab.evaluate(isSpeaking, 'Ada'));
    await until('Ben sees that he speaks himself', () => ben.tab.evaluate(isSpeaking, 'Ben'));

    await ben.tab.press('s');
    await ada.sees('Ben', { screen: true });
    await ben.tab.press('v');
    await until('Ada sees no camera of Ben', async () => !(await ada.tab.evaluate(pictureOf, await ada.idOf('Ben'))));
    await ben.tab.press('v');
    await ada.sees('Ben');
    await ben.tab.press('m');
    await until('Ada is told that Ben is muted', () => ada.tab.evaluate(isMuted, 'Ben'));
    await until('Ben speaks no more', async () => !(await ada.tab.evaluate(isSpeaking, 'Ben')));
    await ben.tab.press('m');
    await ada.hears('Ben');
    await ben.tab.press('s');
    await until('the screen is gone', async () => !(await ada.tab.evaluate(kindsOf, await ada.idOf('Ben'))).includes('screen'));

    // Workers report each second.
    await sleep(1_200);
    assert.deepEqual(await served(), before, 'not a packet went through the server');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

test('a member moves the call to the server, and takes that back', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'wish');
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) await person.travels('direct');
  await ben.tab.press('p');
  await ben.tab.click('[data-testid=to-server]');
  for (const person of [ada, ben]) await person.travels('server');
  await allMeet([ada, ben]);
  await ben.tab.click('[data-testid=to-auto]');
  for (const person of [ada, ben]) await person.travels('direct');
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('a third member moves the call to the server, and when two remain it returns: pictures and sound go on meanwhile', async () => {
  const [ada, ben, cleo] = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  for (const person of [ada, ben]) await person.join(stage.url, 'promotion');
  await allMeet([ada, ben]);
  await ada.travels('direct');
  const member = await ada.idOf('Ben');
  await ada.tab.evaluate(longestWithoutMedia, { member });
  const tile = { member, kind: 'camera' };
  await ada.tab.evaluate(looksWithoutPicture, tile);

  await cleo.join(stage.url, 'promotion');
  for (const person of [ada, ben]) await person.travels('server');
  await allMeet([ada, ben, cleo]);
  const there = await ada.tab.evaluate(longestWithoutMedia, { member });
  assert.ok(there < STILL, `the picture stood still for ${there} ms on its way to the server`);
  assert.equal(await ada.tab.evaluate(looksWithoutPicture, tile), 0, 'the picture before stays until the next one has begun');

  await cleo.leave();
  for (const person of [ada, ben]) await person.travels('direct');
  await allMeet([ada, ben]);
  const back = await ada.tab.evaluate(longestWithoutMedia, { member });
  assert.ok(back < STILL, `the picture stood still for ${back} ms on its way back`);
  assert.equal(await ada.tab.evaluate(looksWithoutPicture, tile), 0, 'on the way back, too');
  await until('the server carries nothing any more', async () => {
    const before = await served();
    await sleep(2000);
    return JSON.stringify(await served()) === JSON.stringify(before);
  }, 30_000);
  for (const person of [ada, ben, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('a direct call outlives the server, with chat, and both ends take it up again when the server is back', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'outlives');
  await allMeet([ada, ben]);
  await ada.travels('direct');
  await ada.says('before');
  await until('Ben reads it', async () => (await ben.chat()).includes('Ada: before'));
  const member = await ada.idOf('Ben');
  await ada.tab.evaluate(longestWithoutMedia, { member });
  assert.equal((await ada.diagnostics()).direct, 1);

  await stage.server.kill();
  await sleep(10_000);
  await allMeet([ada, ben]);
  await until('Ada reads that the call goes on all the same', () => ada.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent?.includes('goes on directly')));
  await ben.says('the server is gone');
  await until('Ada reads what was said without the server', async () => (await ada.chat()).includes('Ben: the server is gone'));
  await stage.server.again();
  for (const person of [ada, ben]) await until(`${person.name} is back`, async () => (await person.others()).length === 1 && (await person.tab.evaluate(() => /** @type {any} */ (window).althing.status)) === 'joined', 40_000);
  await sleep(2000);
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) await person.travels('direct');
  assert.equal(await ada.idOf('Ben'), member, 'nobody has become another one');
  const gap = await ada.tab.evaluate(longestWithoutMedia, { member });
  assert.ok(gap < STILL, `the picture stood still for ${gap} ms`);
  assert.equal((await ada.diagnostics()).direct, 1, 'no connection was made anew');
  await until('what was said meanwhile is said once', async () => {
    const said = await ada.chat();
    return said.filter((/** @type {string} */ line) => line === 'Ben: the server is gone').length === 1;
  });
  for (const person of [ada, ben]) await stage.dismiss(person);
});

test('a call by voice has no m-line for pictures until somebody turns a camera on', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'voice', { camera: false });
  await ada.hears('Ben');
  await ben.hears('Ada');
  assert.equal(await ada.tab.evaluate(mlines), 'audio');
  await ben.tab.press('v');
  await ada.sees('Ben');
  for (const person of [ada, ben]) await stage.dismiss(person);
});

/** What the workers have received and forwarded of media: how they are seen from outside clients do ask them. */
async function served() {
  const text = await (await fetch(`${stage.admin}/metrics`)).text();
  const lines = text.split('\n').filter((line) => /^althing_(rtp_packets_(received|forwarded)|rtcp_packets_(received|sent)|dtls_handshakes)_total/.test(line));
  assert.ok(lines.length >= 4, 'there are such figures');
  return lines;
}

function isMuted(/** @type {string} */ name) {
  const { room } = /** @type {any} */ (window).althing;
  const member = room.members.find((/** @type {any} */ other) => other.name === name);
  return member.tracks.find((/** @type {any} */ track) => track.source === 'microphone')?.muted === true;
}

/** Whether a person's tile says that they speak. */
function isSpeaking(/** @type {string} */ name) {
  const { room } = /** @type {any} */ (window).althing;
  const { member } = [room.me, ...room.members].find((/** @type {any} */ other) => other.name === name) ?? {};
  return document.querySelector(`[data-testid=tile][data-member="${member}"]`)?.getAttribute('data-speaking') === 'true';
}

/** The kinds of tiles of a member. */
function kindsOf(/** @type {string} */ member) {
  return [...document.querySelectorAll(`[data-testid=tile][data-member="${member}"]`)].map((tile) => tile.getAttribute('data-kind'));
}

/** Whether a member's camera is shown. */
function pictureOf(/** @type {string} */ member) {
  return document.querySelector(`[data-testid=tile][data-member="${member}"][data-kind=camera] video`) !== null;
}

/** The kinds of m-lines of the connection, without the data channel's. */
function mlines() {
  const sdp = /** @type {any} */ (window).althing.connection.localDescription.sdp;
  return [...new Set([...sdp.matchAll(/^m=(audio|video)/gm)].map((match) => match[1]))].sort().join(' ');
}
