// A server, people, and their end.
import { after, before } from 'node:test';
import { Person } from './person.mjs';
import { startProxy } from './proxy.mjs';
import { startServer } from './server.mjs';

/**
 * One server for the tests of a file; whoever is opened is closed after.
 * @param {Record<string, string>} [settings]
 * @param {string} [host] where its page is served
 */
export function scene(settings = {}, host) {
  /** @type {{ server: Awaited<ReturnType<typeof startServer>>, people: Person[], proxies: { stop(): Promise<void> }[] }} */
  const state = { server: /** @type {any} */ (undefined), people: [], proxies: [] };
  before(async () => {
    state.server = await startServer(settings, host);
  });
  after(async () => {
    await Promise.all(state.people.map((person) => person.close()));
    await Promise.all(state.proxies.map((proxy) => proxy.stop()));
    await state.server?.stop();
  });
  return {
    get url() {
      return state.server.url;
    },
    /** The server itself: to end it, and to start it again. */
    get server() {
      return state.server;
    },
    /** Where it tells its figures. */
    get admin() {
      return state.server.admin;
    },
    /** A line to the server that can be cut. */
    async line() {
      const proxy = await startProxy(state.server.port);
      state.proxies.push(proxy);
      return proxy;
    },
    /**
     * @param {import('./person.mjs').Name} name
     * @param {Parameters<typeof Person.open>[1]} [options]
     */
    async person(name, options) {
      const person = await Person.open(name, options);
      state.people.push(person);
      return person;
    },
    /** @param {Person} person */
    async dismiss(person) {
      state.people = state.people.filter((other) => other !== person);
      await person.close();
    },
  };
}

/**
 * Everyone sees and hears everyone else.
 * @param {Person[]} people
 */
export async function allMeet(people) {
  for (const person of people) {
    for (const other of people) {
      if (other === person) continue;
      await person.sees(other.name);
      await person.hears(other.name);
    }
  }
}
