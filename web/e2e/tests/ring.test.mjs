import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { Person as Somebody } from '../lib/person.mjs';
import { allMeet, scene } from '../lib/scene.mjs';
import { binary, startServer } from '../lib/server.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */
/** @typedef {import('../lib/person.mjs').Name} Name */

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto', ALTHING_CALLS__RING_SECONDS: '8', ALTHING_CALLS__PER_MINUTE: '60' });

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;
  if (skip) console.error(`\n*** ${skip} ***\n`);

  test(`somebody with ${browser} is called by video, answers, and both see each other directly; hanging up returns both to the lobby`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await enter(person, `video-${browser}`);
    await ben.tab.evaluate(countTones);
    assert.equal(await ben.tab.evaluate(devicesHeld), false, 'whoever waits holds no camera and no microphone');
    await call(ada, 'Ben', 'video');
    await ben.tab.appears('[data-testid=incoming]');
    assert.equal(await ben.tab.evaluate(() => document.querySelector('[data-testid=incoming-from]')?.textContent), 'Ada is calling');
    await until('it sounds', () => ben.tab.evaluate(tones), 5000);
    await until('the title says so', () => ben.tab.evaluate(() => document.title === 'Ada is calling'));
    await ben.tab.click('[data-testid=accept-video]');
    for (const person of [ada, ben]) await person.tab.appears('[data-testid=call]');
    await allMeet([ada, ben]);
    for (const person of [ada, ben]) await person.travels('direct');
    assert.equal(await ada.tab.evaluate(heading), 'Ben', 'the call is called after whom it is with');
    assert.match(await ada.tab.evaluate(() => location.href), /\?lobby=/, 'its room is in no address');
    const sounded = await ben.tab.evaluate(tones);
    await sleep(3500);
    assert.equal(await ben.tab.evaluate(tones), sounded, 'it rings no longer');

    await (browser === 'chromium' ? ada : ben).tab.click('[data-testid=leave]');
    for (const person of [ada, ben]) await person.tab.appears('[data-testid=reachable]');
    await says(ada, 'The call with Ben has ended.');
    await says(ben, 'The call with Ada has ended.');
    for (const person of [ada, ben]) {
      await until('everybody is free again', () => person.tab.evaluate(() => document.querySelector('[data-testid=person]')?.getAttribute('data-busy') === 'false'));
      assert.equal(await person.tab.evaluate(devicesHeld), false, 'camera and microphone are off again');
      await person.isWell();
    }
    for (const person of [ada, ben]) await stage.dismiss(person);
  });

  test(`a voice call, answered with ${browser}, has no m-line for pictures until somebody turns a camera on`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await enter(person, `voice-${browser}`);
    await call(ada, 'Ben', 'voice');
    await ben.tab.appears('[data-testid=incoming]');
    await ben.tab.click('[data-testid=accept-voice]');
    for (const person of [ada, ben]) await person.tab.appears('[data-testid=call]');
    await ada.hears('Ben');
    await ben.hears('Ada');
    for (const person of [ada, ben]) {
      await person.travels('direct');
      assert.equal(await person.tab.evaluate(mlines), 'audio');
      assert.equal(await person.tab.evaluate(camerasHeld), false, 'no camera is on');
    }
    await ben.tab.press('v');
    await ada.sees('Ben');
    assert.equal(await ada.tab.evaluate(mlines), 'audio video');
    for (const person of [ada, ben]) await person.isWell();
    for (const person of [ada, ben]) await stage.dismiss(person);
  });
}

test('a call is rejected by Escape, cancelled, not answered in time, and refused to a third who finds them busy', async () => {
  const [ada, ben, cleo] = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  for (const person of [ada, ben, cleo]) await enter(person, 'outcomes');

  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  assert.equal(await ben.tab.evaluate(focusIsInDialog), true, 'the keyboard is in the dialog');
  for (let i = 0; i < 8; i++) {
    await ben.tab.press('Tab');
    assert.equal(await ben.tab.evaluate(focusIsInDialog), true, 'and stays there');
  }
  await until('others see that both are busy', () => cleo.tab.evaluate(() => [...document.querySelectorAll('[data-testid=person]')].every((row) => row.getAttribute('data-busy') === 'true')));
  await ben.tab.press('Escape');
  await says(ada, 'Ben declined the call.');
  await until('the dialog is gone', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=incoming]')));

  await call(ada, 'Ben', 'video');
  await ben.tab.appears('[data-testid=incoming]');
  await ada.tab.click('[data-testid=cancel-call]');
  await says(ben, 'You missed a call from Ada.');
  await until('no camera is held', async () => !(await ada.tab.evaluate(devicesHeld)));

  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  await says(ada, 'Ben did not answer.');
  await says(ben, 'You missed a call from Ada.');

  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  await ben.tab.click('[data-testid=accept-voice]');
  await ada.tab.appears('[data-testid=call]');
  // The button is disabled: somebody whose list is a moment old asks all the same.
  assert.equal(await cleo.tab.evaluate(() => /** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=person][data-name=Ben] [data-testid=call-voice]')).disabled), true);
  await cleo.tab.evaluate(() => {
    const row = /** @type {HTMLElement} */ (document.querySelector('[data-testid=person][data-name=Ben]'));
    const button = /** @type {HTMLButtonElement} */ (row.querySelector('[data-testid=call-voice]'));
    button.disabled = false;
    button.click();
  });
  await says(cleo, 'Ben is in another call.');

  const metrics = await (await fetch(`${stage.admin}/metrics`)).text();
  for (const [outcome, least] of /** @type {const} */ ([['rejected', 1], ['cancelled', 1], ['timed_out', 1], ['busy', 1], ['accepted', 1]])) {
    const found = new RegExp(`^althing_rings_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm').exec(metrics);
    assert.ok(Number(found?.[1]) >= least, `${outcome}: ${found?.[0]}`);
  }
  for (const person of [ada, ben, cleo]) {
    await person.isWell();
    await stage.dismiss(person);
  }
});

test('two who call each other at the same moment are in one call', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await enter(person, 'crossing');
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=person]');
  // By a clock that both have, so that neither has heard of the other's call when it makes its own.
  const at = Date.now() + 1500;
  await Promise.all([ada, ben].map((person) => person.tab.evaluate(clickAt, at)));
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=call]');
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) {
    assert.deepEqual(await person.others(), [person === ada ? 'Ben' : 'Ada']);
    await person.isWell();
  }
  for (const person of [ada, ben]) await stage.dismiss(person);
});

test('a tab that is closed ends its call, and a page that is reloaded is in its lobby again', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await enter(person, 'closing');
  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  await ben.tab.click('[data-testid=accept-voice]');
  await ben.tab.appears('[data-testid=call]');
  await ada.hears('Ben');
  await ben.tab.reload();
  await ben.tab.appears('[data-testid=reachable]');
  await says(ada, 'The call with Ben has ended.');
  await call(ben, 'Ada', 'voice');
  await ada.tab.appears('[data-testid=incoming]');
  await stage.dismiss(ben);
  await says(ada, 'You missed a call from Ben.');
  await until('Ben is gone from the list', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=person]')));
  await stage.dismiss(ada);
});

test('a called call outlives the server, and both return to the lobby when it is over', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await enter(person, 'outlives');
  await call(ada, 'Ben', 'video');
  await ben.tab.appears('[data-testid=incoming]');
  await ben.tab.click('[data-testid=accept-video]');
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=call]');
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) await person.travels('direct');
  await stage.server.kill();
  await sleep(3000);
  await stage.server.again();
  for (const person of [ada, ben]) {
    await until(`${person.name} is back`, async () => (await person.others()).length === 1 && (await person.tab.evaluate(() => /** @type {any} */ (window).althing.status)) === 'joined', 40_000);
  }
  await sleep(2000);
  await allMeet([ada, ben]);
  await ben.tab.click('[data-testid=leave]');
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=reachable]');
  await says(ada, 'The call with Ben has ended.');
  for (const person of [ada, ben]) await stage.dismiss(person);
});

test('where tokens are asked for, a lobby\'s token is enough to call and be called, and what it does not grant is not offered', async () => {
  const keys = { ALTHING_AUTH__KEYS__MAIN: '0123456789abcdef0123456789abcdef' };
  const server = await startServer({ ALTHING_ROOMS__POLICY: 'auto', ...keys });
  const token = (/** @type {string} */ who, /** @type {string} */ publish) => {
    const create = ['token', 'create', '--room', 'guarded', '--identity', who.toLowerCase(), '--name', who, '--publish', publish];
    return execFileSync(binary(), create, { env: { ...process.env, ...keys }, encoding: 'utf8' }).trim();
  };
  /** @type {Person[]} */
  const people = [];
  try {
    for (const [name, publish] of /** @type {const} */ ([['Ada', 'microphone,camera'], ['Ben', 'microphone'], ['Cleo', '']])) {
      const person = await Somebody.open(name);
      people.push(person);
      await person.tab.goto(`${server.url}/?lobby=guarded${publish ? `#token=${token(name, publish)}` : ''}`);
      await person.tab.appears('[data-testid=enter]');
      await person.tab.fill('[data-testid=name]', 'what the token says counts');
      await person.tab.click('[data-testid=enter]');
      await person.tab.appears(publish ? '[data-testid=reachable]' : '[data-testid=message]');
    }
    const [ada, ben] = /** @type {[Person, Person]} */ (people);
    await call(ada, 'Ben', 'video');
    await ben.tab.appears('[data-testid=incoming]');
    assert.equal(await ben.tab.evaluate(() => document.querySelectorAll('[data-testid=accept-video], [data-testid=call-video]').length), 0, 'his token grants no camera');
    await ben.tab.click('[data-testid=accept-voice]');
    await ada.tab.appears('[data-testid=call]');
    await ben.tab.appears('[data-testid=call]');
    await ben.sees('Ada');
    await ada.hears('Ben');
    await ben.tab.click('[data-testid=leave]');
    await says(ada, 'The call with Ben has ended.');
    for (const person of people) await person.isWell();
  } finally {
    await Promise.all(people.map((person) => person.close()));
    await server.stop();
  }
});

/**
 * Enters a lobby by its link.
 * @param {Person} person
 * @param {string} lobby
 */
async function enter(person, lobby) {
  await person.tab.goto(`${stage.url}/?lobby=${lobby}`);
  await person.tab.appears('[data-testid=enter]');
  await person.tab.fill('[data-testid=name]', person.name);
  await person.tab.click('[data-testid=enter]');
  await person.tab.appears('[data-testid=reachable]');
}

/**
 * Calls somebody who is in the list.
 * @param {Person} person
 * @param {Name} name
 * @param {'voice' | 'video'} media
 */
async function call(person, name, media) {
  const button = `[data-testid=person][data-name=${name}][data-busy=false] [data-testid=call-${media}]`;
  await person.tab.appears(button);
  await person.tab.click(button);
}

/**
 * Waits until the lobby says what has become of a call.
 * @param {Person} person
 * @param {string} text
 */
async function says(person, text) {
  let found = '';
  await until(`${person.name} reads: ${text}`, async () => {
    found = await person.tab.evaluate(() => document.querySelector('[data-testid=result]')?.textContent ?? '');
    return found === text;
  }).catch((error) => person.fail(`${error.message}; read: ${found}`));
}

/** Counts the tones that begin from now on. */
function countTones() {
  const own = /** @type {any} */ (window);
  own.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (/** @type {number | undefined} */ when) {
    // The microphones of these tests are tones, too: those begin at once and never end.
    if (when !== undefined) own.tones += 1;
    return start.call(this, when);
  };
}

function tones() {
  return /** @type {any} */ (window).tones;
}

/** Whether a device is held: the page shows itself what it holds. */
function devicesHeld() {
  return /** @type {any} */ (window).held().length > 0;
}

function camerasHeld() {
  return /** @type {any} */ (window).held().includes('video');
}

function heading() {
  return document.querySelector('[data-testid=room-name]')?.textContent;
}

function focusIsInDialog() {
  return document.querySelector('[data-testid=incoming]')?.contains(document.activeElement) === true;
}

/** Clicks on the first video button at a moment. */
async function clickAt(/** @type {number} */ at) {
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  /** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=call-video]')).click();
}

/** The kinds of m-lines of the connection, without the data channel's. */
function mlines() {
  const sdp = /** @type {any} */ (window).althing.connection.localDescription.sdp;
  return [...new Set([...sdp.matchAll(/^m=(audio|video)/gm)].map((match) => match[1]))].sort().join(' ');
}
