// A server, people behind ways of their own, and their end.
import { setPriority } from 'node:os';
import { after, afterEach, before } from 'node:test';
import { PEOPLE, Person } from '../../../web/e2e/lib/person.mjs';
import { prepare } from '../../../web/e2e/lib/inside.mjs';
import { startServer } from '../../../web/e2e/lib/server.mjs';
import { until } from '../../../web/e2e/lib/wait.mjs';
import { counted, noted, watch } from './inside.mjs';
import { PLACES, SERVER } from './namespaces.mjs';
import { openTab } from './tab.mjs';
import { runs } from './frames.mjs';
import { AMPLE, Way } from './way.mjs';

const lab = process.env['LAB'] ?? '';
if (!lab) throw new Error('the lab is missing: run this with tests/lab/run.mjs');

/** A window in which each of up to four tiles needs more than 180 lines. */
export const LARGE = Object.freeze({ width: 1000, height: 700 });
/** A window in which it needs more than 112 and fewer than 226, as a picture may be enlarged by a quarter. */
export const MEDIUM = Object.freeze({ width: 640, height: 480 });
/** A window in which it needs fewer than 113. */
export const SMALL = Object.freeze({ width: 344, height: 420 });

/** @typedef {import('../../../web/e2e/lib/person.mjs').Name} Name */

/** Somebody behind a way. */
export class Guest extends Person {
  /**
   * @param {Name} name
   * @param {import('../../../web/e2e/lib/browsers.mjs').Tab} tab
   * @param {number} place
   * @param {Way} way
   */
  constructor(name, tab, place, way) {
    super(name, tab);
    this.place = place;
    this.way = way;
    /** Whose picture is watched. */
    this.watched = '';
  }

  /**
   * Joins, with camera and microphone or without: what a viewer sends would only cost the machine, and the others' ways their share.
   * @param {string} url
   * @param {string} room
   * @param {{ sends: boolean }} options
   */
  async enter(url, room, { sends }) {
    await this.tab.goto(`${url}/r/${room}`);
    await this.tab.appears('[data-testid=preview] video', 30_000);
    if (!sends) for (const device of ['camera', 'mic']) await this.tab.click(`[data-testid=lobby-${device}]`);
    await this.tab.fill('[data-testid=name]', this.name);
    await this.tab.click('[data-testid=join]');
    await this.tab.appears('[data-testid=call]', 30_000);
  }

  /** @param {Name} name */
  async watch(name) {
    this.watched = await this.idOf(name);
    await this.tab.evaluate(watch, { member: this.watched });
  }

  /** The frames shown since a moment, each with when (ms) and its lines. */
  async frames(since = 0) {
    return (await this.tab.evaluate(noted)).filter(([at]) => at >= since);
  }

  /** What the browser has counted of the picture that is watched. */
  counted() {
    return this.tab.evaluate(counted, { member: this.watched });
  }

  /** Waits until frames of so many lines are shown; when that was, by the frame's own time (ms). */
  async shows(/** @type {(lines: number) => boolean} */ wanted, since = 0, ms = 30_000) {
    const first = async () => (await this.frames(since)).find(([, lines]) => wanted(lines));
    const [at] = await until(`${this.name} is shown such a picture`, first, ms).catch(async (error) =>
      this.fail(`${error.message}; seen: ${JSON.stringify(runs(await this.frames(since)))}`),
    );
    return at;
  }
}

/** One server for the tests of a file; each test has people of its own. */
export function scene() {
  /** @type {{ server: Awaited<ReturnType<typeof startServer>>, people: Guest[] }} */
  const state = { server: /** @type {any} */ (undefined), people: [] };
  before(async () => {
    state.server = await startServer({ ALTHING_MEDIA__BIND: SERVER, ALTHING_LOG__LEVEL: 'warn' }, SERVER);
    // It shares this machine with browsers that elsewhere have machines of their own.
    setPriority(state.server.pid, -10);
  });
  const dismiss = async () => {
    await Promise.all(state.people.map((person) => person.close()));
    for (const person of state.people.splice(0)) await person.way.stop();
  };
  afterEach(dismiss);
  after(() => state.server?.stop());
  return {
    get url() {
      return state.server.url;
    },
    /** Everybody goes. */
    dismiss,
    /**
     * Somebody in a browser behind a way that is ample at first.
     * @param {Name} name
     * @param {{ browser?: 'chromium' | 'firefox', prefer?: string, width?: number, height?: number }} [options]
     */
    async guest(name, { browser = 'chromium', prefer, ...options } = {}) {
      const place = [...Array(PLACES).keys()].map((at) => at + 1).find((at) => state.people.every((person) => person.place !== at));
      if (!place) throw new Error(`the lab has ${PLACES} places`);
      const way = new Way(lab, place);
      await way.shape({ up: AMPLE, down: AMPLE });
      const tab = await openTab(lab, place, browser, {
        prepare,
        argument: { ...PEOPLE[name], prefer, detailed: true },
        // Pages are given cameras where their origin is secure.
        flags: [`--unsafely-treat-insecure-origin-as-secure=${state.server.url}`],
        preferences: { 'dom.securecontext.allowlist': SERVER, 'media.devices.insecure.enabled': true, 'media.getusermedia.insecure.enabled': true },
        ...options,
      });
      const guest = new Guest(name, tab, place, way);
      state.people.push(guest);
      return guest;
    },
    /**
     * What the server has decided for each member, and why.
     * @param {string} room
     * @returns {Promise<[string, unknown[]][]>}
     */
    async journals(room) {
      const response = await fetch(`${state.server.admin}/rooms/${room}/journal`);
      return /** @type {any[]} */ (await response.json()).map(({ member, entries }) => [member, entries]);
    },
    /** The server's figures whose names begin so. @param {string} prefix */
    async metrics(prefix) {
      const text = await (await fetch(`${state.server.admin}/metrics`)).text();
      return Object.fromEntries(text.split('\n').filter((line) => line.startsWith(prefix)).map((line) => line.split(' ')));
    },
  };
}
