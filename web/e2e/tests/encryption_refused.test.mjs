import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

/** @typedef {import('../lib/person.mjs').Person} Person */

const KEY = 'AAECAwQFBgcICQoLDA0ODw';
const OTHER = 'Dw4NDAsKCQgHBgUEAwIBAA';
const server = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: `/tmp/althing-e2e-encryption-${process.pid}` });

test('a third with another key sees nobody and is seen by nobody, and everybody is told', async () => {
  const [ada, ben, cleo] = [await server.person('Ada'), await server.person('Ben'), await server.person('Cleo')];
  for (const person of [ada, ben]) await person.join(server.url, `other#key=${KEY}`);
  await ada.sees('Ben');
  await cleo.join(server.url, `other#key=${OTHER}`);
  for (const [person, of] of /** @type {[Person, 'Ada' | 'Ben' | 'Cleo'][]} */ ([[cleo, 'Ada'], [ada, 'Cleo']])) {
    const member = await person.idOf(of);
    await person.tab.appears(`[data-testid=tile][data-member="${member}"] [data-testid=tile-unreadable]`);
    await until(`${person.name} is told of ${of}`, async () => (await person.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '')).includes(of));
  }
  await sleep(1000);
  const before = await cleo.received('Ada');
  await sleep(1500);
  assert.deepEqual(await cleo.received('Ada'), before, 'not a frame is decoded, not a sound is heard');
  await ada.sees('Ben');
  for (const person of [ada, ben, cleo]) {
    await person.isWell();
    await server.dismiss(person);
  }
});

test('who comes without a key is told so, and the server refuses to record with the reason', async () => {
  const [ada, ben] = [await server.person('Ada'), await server.person('Ben')];
  await ada.join(server.url, `kept#key=${KEY}`);
  await ben.tab.goto(`${server.url}/r/kept`);
  await ben.tab.fill('[data-testid=name]', 'Ben');
  await ben.tab.click('[data-testid=join]');
  await ben.tab.appears('[data-testid=message]');
  await until('Ben is told why', async () => /encrypt/.test(await ben.tab.evaluate(() => document.querySelector('[data-testid=message]')?.textContent ?? '')));
  const code = await ada.tab.evaluate(() => /** @type {any} */ (window).althing.record().then(() => 'recorded', (/** @type {any} */ error) => error.code));
  assert.equal(code, 'encrypted');
  await ada.tab.click('[data-testid=people-toggle]');
  await ada.tab.appears('[data-testid=record-refused]');
  await ada.leave();
  for (const person of [ada, ben]) {
    await person.isWell();
    await server.dismiss(person);
  }
});

test('a link whose key was cut off opens no call that all can read, and the whole one does when it is pasted over it', async () => {
  const ada = await server.person('Ada');
  const goes = async (/** @type {string} */ link) => {
    await ada.tab.goto(`${server.url}/r/${link}`);
    await ada.tab.appears('[data-testid=preview] video');
    await ada.tab.fill('[data-testid=name]', 'Ada');
    await ada.tab.click('[data-testid=join]');
  };
  await goes(`cut#key=${KEY.slice(0, 15)}`);
  await ada.tab.appears('[data-testid=message]');
  assert.match(await ada.tab.evaluate(() => document.querySelector('[data-testid=message]')?.textContent ?? ''), /key in this link/);
  await goes(`cut#key=${KEY}`);
  await ada.tab.appears('[data-testid=encrypted]');
  await ada.isWell();
  await server.dismiss(ada);
});

test('a room is encrypted by a tick in the lobby, and its link has the key', async () => {
  const [ada, ben] = [await server.person('Ada'), await server.person('Ben')];
  await ada.tab.goto(`${server.url}/r/ticked`);
  await ada.tab.appears('[data-testid=preview] video');
  await ada.tab.fill('[data-testid=name]', 'Ada');
  await ada.tab.click('[data-testid=encrypt]');
  await ada.tab.click('[data-testid=join]');
  await ada.tab.appears('[data-testid=encrypted]');
  await ada.tab.click('[data-testid=more]');
  await ada.tab.click('[data-testid=invite-open]');
  await ada.tab.appears('[data-testid=invite] [data-testid=qr]');
  const link = await ada.tab.evaluate(() => /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=invite-link]')).value);
  assert.match(link, /\/r\/ticked#key=[\w-]{22}$/);
  await ada.tab.press('Escape');
  await ben.join(server.url, link.split('/r/')[1] ?? '');
  await ben.sees('Ada');
  await ada.hears('Ben');
  for (const person of [ada, ben]) await person.isWell();
});
