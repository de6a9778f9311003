// Data between members: what a page sends, and what it hears.
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

/** @typedef {import('./person.mjs').Person} Person */

/** Somebody whose page notes the data that comes; with channels, unless `data` says otherwise. */
export async function member(/** @type {any} */ at, /** @type {any} */ name, /** @type {string} */ room, /** @type {any} */ { data = true, ...options } = {}) {
  const person = await at.person(name, options);
  await person.join(at.url, data ? `${room}?data` : room);
  await listens(person, data);
  return person;
}

export async function listens(/** @type {Person} */ person, /** @type {boolean} */ channels) {
  await person.tab.evaluate(() => {
    const page = /** @type {any} */ (window);
    page.heard = [];
    page.althing.on('data', (/** @type {any} */ data) => page.heard.push({ ...data, payload: typeof data.payload === 'string' ? data.payload : [...data.payload] }));
  });
  if (channels) await until(`${person.name} has data channels`, () => person.tab.evaluate(() => /** @type {any} */ (window).althing.hasDataChannels)).catch((error) => person.fail(error.message));
}

export const heard = (/** @type {Person} */ person) => person.tab.evaluate(() => /** @type {any} */ (window).heard);

/** @returns {Promise<void>} */
export const send = (/** @type {Person} */ person, /** @type {string | number[]} */ payload, /** @type {any} */ options = {}) =>
  person.tab.evaluate(({ payload, options }) => /** @type {any} */ (window).althing.sendData(typeof payload === 'string' ? payload : Uint8Array.from(payload), options), { payload, options });

export async function hears(/** @type {Person} */ person, /** @type {any[]} */ wanted) {
  await until(`${person.name} hears ${wanted.length} messages`, async () => (await heard(person)).length >= wanted.length).catch((error) => person.fail(error.message));
  assert.deepEqual(await heard(person), wanted, person.name);
}
