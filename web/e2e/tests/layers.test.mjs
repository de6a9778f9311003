import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longestWithoutMedia } from '../lib/inside.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const stage = scene();

/** Windows in which each of two tiles has more than 360 lines, and fewer than 180. */
const LARGE = /** @type {const} */ ([1600, 900]);
const SMALL = /** @type {const} */ ([420, 320]);

/** A picture that changes its size may stand still for so long (ms), and one that was not wanted takes so long to come back: several times what an idle machine needs. */
const [STILL, BACK] = [2000, 5000];

for (const name of ['VP8', 'VP9']) {
  test(`${name} is sent in three sizes, and each viewer gets the one that fits the tile`, async () => {
    const ada = await stage.person('Ada', { prefer: `video/${name}` });
    const ben = await stage.person('Ben', { width: LARGE[0], height: LARGE[1] });
    const cleo = await stage.person('Cleo', { width: SMALL[0], height: SMALL[1] });
    for (const person of [ben, cleo, ada]) await person.join(stage.url, `layers-${name}`);
    // Nobody shows the middle one, so that it may be switched off before its first picture.
    await until('Ada encodes the sizes that are shown', async () => {
      const encodings = await sent(ada);
      return encodings.length === 3 && encodings.every(({ rid, framesEncoded }) => rid === 'h' || framesEncoded > 0);
    });
    assert.deepEqual((await sent(ada)).map((encoding) => encoding.rid).sort(), ['f', 'h', 'q']);

    await ben.sees('Ada');
    await cleo.sees('Ada');
    await holds('Ben gets 360 lines, and keeps them', async () => (await seen(ben)).frameHeight === 360);
    await holds('Cleo gets a small picture, and keeps it', async () => (await seen(cleo)).frameHeight <= 180);
    assert.equal((await seen(ben)).codec, `video/${name}`);
    for (const person of [ada, ben, cleo]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

test('what nobody watches is not encoded, comes back when it is wanted, and nothing stands still meanwhile', async () => {
  const [ada, ben] = await meet('demand');
  const member = await ben.idOf('Ada');
  await until('Ben gets 360 lines', async () => (await seen(ben)).frameHeight === 360, 60_000);
  await ben.tab.evaluate(longestWithoutMedia, { member });

  await ben.tab.resize(...SMALL);
  await until('Ben gets a small picture', async () => (await seen(ben)).frameHeight <= 180, 60_000);
  await until('Ada switches the largest encoding off', async () => !(await encoding(ada, 'f')).active, 60_000);
  const encoded = async () => (await encoding(ada, 'f')).framesEncoded;
  let idle = 0;
  // One that was begun is counted when it is done.
  await until('nothing is encoded of what is switched off', async () => {
    idle = await encoded();
    await sleep(1000);
    return (await encoded()) === idle;
  });
  const down = await ben.tab.evaluate(longestWithoutMedia, { member });
  assert.ok(down < STILL, `the picture stood still for ${down} ms on its way down`);

  const wanted = Date.now();
  await ben.tab.resize(...LARGE);
  await until('Ada encodes the largest again', async () => (await encoded()) > idle);
  const back = Date.now() - wanted;
  assert.ok(back < BACK, `the largest encoding is back after ${back} ms`);
  await until('Ben gets 360 lines again', async () => (await seen(ben)).frameHeight === 360, 60_000);
  await ben.sees('Ada');
  const up = await ben.tab.evaluate(longestWithoutMedia, { member });
  assert.ok(up < STILL, `the picture stood still for ${up} ms on its way up`);
  for (const person of [ada, ben]) await person.isWell();
});

test('a tile that is not to be seen gets nothing, and a picture again as soon as it is', async () => {
  const [ada, ben] = await meet('hidden');
  const member = await ben.idOf('Ada');
  const display = (/** @type {string} */ value) =>
    ben.tab.evaluate(({ id, style }) => {
      const tile = /** @type {HTMLElement} */ (document.querySelector(`[data-testid=tile][data-member="${id}"]`));
      tile.style.display = style;
    }, { id: member, style: value });

  await display('none');
  await until('nothing of the picture arrives any more', async () => {
    const before = (await seen(ben)).packetsReceived;
    await sleep(1000);
    return (await seen(ben)).packetsReceived === before;
  });
  await until('Ada encodes nothing', async () => (await sent(ada)).every(({ active }) => !active));
  const { energy } = await ben.received('Ada');
  await until('the sound goes on', async () => (await ben.received('Ada')).energy > energy);

  const frames = (await seen(ben)).framesDecoded;
  const shown = Date.now();
  await display('');
  await until('pictures arrive again', async () => (await seen(ben)).framesDecoded > frames);
  const back = Date.now() - shown;
  assert.ok(back < BACK, `the picture is back after ${back} ms`);
  await ben.sees('Ada');
  assert.equal(await ben.tab.evaluate(() => document.querySelectorAll('[data-testid=tile-paused]').length), 0, 'nobody is told of a slow connection');
  for (const person of [ada, ben]) await person.isWell();
});

/**
 * Ada, and Ben who shows her large.
 * @param {string} room
 */
async function meet(room) {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben', { width: LARGE[0], height: LARGE[1] });
  await ada.join(stage.url, room);
  await ben.join(stage.url, room);
  await ben.sees('Ada');
  return [ada, ben];
}

/**
 * Waits until something has been true for three seconds on end. Three browsers that encode and decode on a busy machine
 * delay their own feedback at times, which looks like a slow link and costs the viewer a layer for a moment.
 * @param {string} what
 * @param {() => Promise<boolean>} holding
 */
async function holds(what, holding) {
  let since = Infinity;
  await until(what, async () => {
    since = (await holding()) ? Math.min(since, Date.now()) : Infinity;
    return Date.now() - since >= 3000;
  }, 60_000);
}

/**
 * The encodings of somebody's camera, as their browser counts them.
 * @param {Person} person
 * @returns {Promise<import('@althing/sdk').OutboundStats[]>}
 */
async function sent(person) {
  const { outbound } = await person.stats();
  return outbound.filter((/** @type {import('@althing/sdk').OutboundStats} */ line) => line.kind === 'video');
}

/**
 * One of them.
 * @param {Person} person
 * @param {string} rid
 */
async function encoding(person, rid) {
  const found = (await sent(person)).find((line) => line.rid === rid);
  if (!found) return person.fail(`no encoding ${rid}`);
  return found;
}

/**
 * The line on which Ada's camera arrives.
 * @param {Person} person
 * @returns {Promise<import('@althing/sdk').MemberStats>}
 */
async function seen(person) {
  const member = await person.idOf('Ada');
  const { members } = await person.stats();
  const line = members.find((/** @type {import('@althing/sdk').MemberStats} */ found) => found.member === member && found.kind === 'video');
  return line ?? person.fail('nothing arrives of Ada');
}
