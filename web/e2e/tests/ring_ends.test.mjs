import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { call, devicesHeld, enter, says } from '../lib/lobby.mjs';
import { Person } from '../lib/person.mjs';
import { allMeet, scene } from '../lib/scene.mjs';
import { binary, startServer } from '../lib/server.mjs';
import { sleep, until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto', ALTHING_CALLS__RING_SECONDS: '15', ALTHING_CALLS__PER_MINUTE: '60' });

test('a call is rejected by Escape, cancelled, not answered in time, and refused to a third who finds them busy', async () => {
  const [ada, ben, cleo] = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  for (const person of [ada, ben, cleo]) await enter(person, stage.url, 'outcomes');

  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  await until('the keyboard is in the dialog', () => ben.tab.evaluate(focusIsInDialog));
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
  await until('the button is disabled', () => cleo.tab.evaluate(() => /** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=person][data-name=Ben] [data-testid=call-voice]')).disabled));
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
  for (const person of [ada, ben]) await enter(person, stage.url, 'crossing');
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=person]');
  // By a clock that both have, so that neither has heard of the other's call when it makes its own.
  const at = Date.now() + 3000;
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
  for (const person of [ada, ben]) await enter(person, stage.url, 'closing');
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

test('somebody whose network fails for a moment is still called, and hangs up after it has failed once more', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  const line = await stage.line();
  await enter(ada, stage.url, 'failing');
  await enter(ben, line.url, 'failing');
  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  line.cut();
  await ben.tab.appears('[data-testid=reconnecting]');
  await until('Ben reads that accepting would wait', () => ben.tab.evaluate(waits, 'If you accept'));
  await ben.tab.click('[data-testid=accept-voice]');
  await until('Ben reads that his answer waits', () => ben.tab.evaluate(waits, 'Your answer is sent'));
  await sleep(500);
  line.mend();
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=call]');
  await ada.hears('Ben');
  for (const person of [ada, ben]) await person.travels('direct');
  line.cut();
  await ben.tab.appears('[data-testid=reconnecting]');
  await sleep(500);
  line.mend();
  await until('Ben is back in the room and in the lobby', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=reconnecting]')));
  await ada.hears('Ben');
  await ben.tab.click('[data-testid=leave]');
  for (const person of [ada, ben]) await person.tab.appears('[data-testid=reachable]');
  await says(ada, 'The call with Ben has ended.');
  for (const person of [ada, ben]) await until('both are free', () => person.tab.evaluate(() => document.querySelector('[data-testid=person]')?.getAttribute('data-busy') === 'false'));
  for (const person of [ada, ben]) await stage.dismiss(person);
});

test('a called call outlives the server, and both return to the lobby when it is over', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await enter(person, stage.url, 'outlives');
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

test('whoever accepts while the server is away is told that it is, can take that back, and has not missed the call', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await enter(person, stage.url, 'away');
  await call(ada, 'Ben', 'voice');
  await ben.tab.appears('[data-testid=incoming]');
  await stage.server.kill();
  await until('Ben reads that accepting would wait', () => ben.tab.evaluate(waits, 'If you accept'));
  await ben.tab.click('[data-testid=accept-voice]');
  await until('Ben reads that his answer waits', () => ben.tab.evaluate(waits, 'Your answer is sent'));
  assert.equal(await ben.tab.evaluate(() => /** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=reject]')).disabled), false, 'he need not wait');
  await stage.server.again();
  await says(ben, 'The call from Ada was over before your answer arrived.');
  await until('Ada is back', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=reconnecting], [data-testid=outgoing]')));
  for (const person of [ada, ben]) {
    await person.isWell();
    await stage.dismiss(person);
  }
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
      const person = await Person.open(name);
      people.push(person);
      await person.tab.goto(`${server.url}/?lobby=guarded${publish ? `#token=${token(name, publish)}` : ''}`);
      await person.tab.appears('[data-testid=enter]');
      if (publish) {
        const given = () => person.tab.evaluate(() => { const { readOnly, value } = /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=name]')); return readOnly ? value : undefined; });
        await until('the name is what the token says', async () => (await given()) === name);
      } else await person.tab.fill('[data-testid=name]', name);
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

/** What the dialog of a call that comes in says of the server. */
function waits(/** @type {string} */ words) {
  return document.querySelector('[data-testid=incoming-away]')?.textContent?.includes(words) === true;
}

function focusIsInDialog() {
  return document.querySelector('[data-testid=incoming]')?.contains(document.activeElement) === true;
}

/** Clicks on the first video button at a moment. */
async function clickAt(/** @type {number} */ at) {
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  /** @type {HTMLButtonElement} */ (document.querySelector('[data-testid=call-video]')).click();
}
