// What people do in a lobby.
import { until } from './wait.mjs';

/** @typedef {import('./person.mjs').Person} Person */
/** @typedef {import('./person.mjs').Name} Name */

/**
 * Enters a lobby by its link.
 * @param {Person} person
 * @param {string} url of the server
 * @param {string} lobby
 */
export async function enter(person, url, lobby) {
  await person.tab.goto(`${url}/?lobby=${lobby}`);
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
export async function call(person, name, media) {
  const button = `[data-testid=person][data-name=${name}][data-busy=false] [data-testid=call-${media}]`;
  await person.tab.appears(button);
  await person.tab.click(button);
}

/**
 * Waits until the lobby says what has become of a call.
 * @param {Person} person
 * @param {string} text
 */
export async function says(person, text) {
  let found = '';
  await until(`${person.name} reads: ${text}`, async () => {
    found = await person.tab.evaluate(() => document.querySelector('[data-testid=result]')?.textContent ?? '');
    return found === text;
  }).catch((error) => person.fail(`${error.message}; read: ${found}`));
}

/** Inside of a page: whether it holds a camera or a microphone. */
export function devicesHeld() {
  return /** @type {any} */ (window).held().length > 0;
}
