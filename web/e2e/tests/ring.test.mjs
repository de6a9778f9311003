import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { call, devicesHeld, enter, says } from '../lib/lobby.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { allMeet, scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;
  if (skip) console.error(`\n*** ${skip} ***\n`);

  test(`somebody with ${browser} is called by video, answers, and both see each other directly; hanging up returns both to the lobby`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await enter(person, stage.url, `video-${browser}`);
    await ben.tab.evaluate(countTones);
    assert.equal(await ben.tab.evaluate(devicesHeld), false, 'whoever waits holds no camera and no microphone');
    await call(ada, 'Ben', 'video');
    await ben.tab.appears('[data-testid=incoming]');
    assert.equal(await ben.tab.evaluate(() => document.querySelector('[data-testid=incoming-from]')?.textContent), 'Ada is calling');
    await until('it sounds', () => ben.tab.evaluate(tones));
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
      await until('camera and microphone are off again', async () => !(await person.tab.evaluate(devicesHeld)));
      await person.isWell();
    }
    for (const person of [ada, ben]) await stage.dismiss(person);
  });

  test(`a voice call, answered with ${browser}, has no m-line for pictures until somebody turns a camera on`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await enter(person, stage.url, `voice-${browser}`);
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

function camerasHeld() {
  return /** @type {any} */ (window).held().includes('video');
}

function heading() {
  return document.querySelector('[data-testid=room-name]')?.textContent;
}

/** The kinds of m-lines of the connection, without the data channel's. */
function mlines() {
  const sdp = /** @type {any} */ (window).althing.connection.localDescription.sdp;
  return [...new Set([...sdp.matchAll(/^m=(audio|video)/gm)].map((match) => match[1]))].sort().join(' ');
}
