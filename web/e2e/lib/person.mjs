// Somebody in a call: a browser with the page, and what they see and hear.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openChromium, openFirefox } from './browsers.mjs';
import { cornerOf, prepare, toneOf } from './inside.mjs';
import { until } from './wait.mjs';

const ARTIFACTS = fileURLToPath(new URL('../artifacts', import.meta.url));

/** Each person's camera and screen have a colour, and the microphone a tone, that nobody else has. */
export const PEOPLE = {
  Ada: { camera: '#c81e1e', screen: '#1ec8c8', tone: 440 },
  Ben: { camera: '#1e1ec8', screen: '#c8c81e', tone: 700 },
  Cleo: { camera: '#1e961e', screen: '#c81ec8', tone: 1000 },
  Dan: { camera: '#e6821e', screen: '#64b4ff', tone: 1300 },
};

/** @typedef {keyof typeof PEOPLE} Name */

export class Person {
  /**
   * @param {Name} name
   * @param {import('./browsers.mjs').Tab} tab
   */
  constructor(name, tab) {
    this.name = name;
    this.tab = tab;
  }

  /**
   * @param {Name} name
   * @param {{ browser?: 'chromium' | 'firefox', ownDevices?: boolean, prefer?: string, portrait?: boolean, width?: number, height?: number, locale?: string, dark?: boolean, flags?: string[], accept?: boolean }} [options]
   *   `prefer`: the MIME type of the codec to send; `portrait`: somebody is to be seen before sharp edges
   */
  static async open(name, { browser = 'chromium', ownDevices = false, prefer, portrait = false, ...options } = {}) {
    const open = browser === 'chromium' ? openChromium : openFirefox;
    return new Person(name, await open({ prepare, argument: ownDevices ? null : { ...PEOPLE[name], prefer, portrait }, ...options }));
  }

  /**
   * Goes through the lobby into the room.
   * @param {string} url
   * @param {string} room
   * @param {{ camera?: boolean }} [options]
   */
  async join(url, room, { camera = true } = {}) {
    await this.tab.goto(`${url}/r/${room}`);
    await this.tab.appears('[data-testid=preview] video');
    if (!camera) await this.tab.click('[data-testid=lobby-camera]');
    await this.tab.fill('[data-testid=name]', this.name);
    await this.tab.click('[data-testid=join]');
    await this.tab.appears('[data-testid=call]');
  }

  async leave() {
    await this.tab.click('[data-testid=leave]');
    await this.tab.appears('[data-testid=lobby]');
  }

  async close() {
    await this.tab.close().catch(() => undefined);
  }

  /**
   * The identity of somebody in the room.
   * @param {Name} name
   */
  async idOf(name) {
    return until(`${this.name} knows ${name}`, () =>
      this.tab.evaluate((wanted) => /** @type {any} */ (window).althing.room?.members.find((/** @type {any} */ other) => other.name === wanted)?.member, name),
    );
  }

  /** What the call has done so far. */
  diagnostics() {
    return this.tab.evaluate(() => /** @type {any} */ (window).althing.diagnostics());
  }

  /** How the call travels. */
  route() {
    return this.tab.evaluate(() => /** @type {any} */ (window).althing.route);
  }

  /** Waits until the call travels this way. */
  async travels(/** @type {'none' | 'direct' | 'server'} */ via) {
    await until(`the call of ${this.name} goes by ${via}`, async () => {
      const route = await this.route();
      return route.via === via && (via !== 'direct' || route.pair);
    }).catch((error) => this.fail(error.message));
  }

  /** The connection's figures. */
  stats() {
    return this.tab.evaluate(() => /** @type {any} */ (window).althing.stats());
  }

  /** Offers that have left the page, counted at its sockets. */
  offers() {
    return this.tab.evaluate(() => /** @type {any} */ (window).seen.offers);
  }

  /** The names in the room, oneself excepted. */
  others() {
    return this.tab.evaluate(() => /** @type {any} */ (window).althing.room.members.map((/** @type {any} */ other) => other.name).sort());
  }

  /**
   * What is received of somebody: cumulative frames and energy of sound.
   * @param {Name} name
   * @param {{ screen?: boolean }} [options]
   * @returns {Promise<{ frames: number, energy: number, pair: string }>}
   */
  async received(name, { screen = false } = {}) {
    const member = await this.idOf(name);
    const { members } = await this.stats();
    const lines = members.filter((/** @type {any} */ line) => line.member === member && line.screen === screen);
    const of = (/** @type {string} */ kind) => lines.find((/** @type {any} */ line) => line.kind === kind);
    return { frames: of('video')?.framesDecoded ?? 0, energy: of('audio')?.totalAudioEnergy ?? 0, pair: of('video')?.mid ?? '' };
  }

  /**
   * Waits until somebody is seen: frames are decoded, and they are that person's.
   * @param {Name} name
   * @param {{ screen?: boolean }} [options]
   */
  async sees(name, { screen = false } = {}) {
    const kind = screen ? 'screen' : 'camera';
    const tile = { member: await this.idOf(name), kind };
    const before = (await this.received(name, { screen })).frames;
    let found = '';
    await until(`${this.name} sees the ${kind} of ${name}`, async () => {
      found = await this.tab.evaluate(cornerOf, tile);
      return nearest(found, kind) === name;
    }).catch((error) => this.fail(`${error.message}; the corner is ${found || 'empty'}`));
    // An m-line that somebody else had before has counted theirs.
    const shown = (await this.received(name, { screen })).frames;
    await until(`frames of ${name}'s ${kind} go on at ${this.name}`, async () => (await this.received(name, { screen })).frames > Math.max(before + 5, shown));
  }

  /**
   * Waits until somebody is heard: energy arrives, and it is that person's tone.
   * @param {Name} name
   * @param {{ screen?: boolean }} [options]
   */
  async hears(name, { screen = false } = {}) {
    const from = { member: await this.idOf(name), kind: /** @type {'camera' | 'screen'} */ (screen ? 'screen' : 'camera') };
    const wanted = PEOPLE[name].tone * (screen ? 2 : 1);
    const before = (await this.received(name, { screen })).energy;
    let found = 0;
    await until(`${this.name} hears ${name}`, async () => {
      found = await this.tab.evaluate(toneOf, from);
      return Math.abs(found - wanted) < 25;
    }).catch((error) => this.fail(`${error.message}; heard ${found} Hz instead of ${wanted}`));
    await until(`sound of ${name} goes on at ${this.name}`, async () => (await this.received(name, { screen })).energy > before);
  }

  /**
   * Waits until somebody is in the room no longer, nor on the stage.
   * @param {string} id
   */
  async missesTile(id) {
    await until(`the tile of ${id} is gone at ${this.name}`, () => this.tab.evaluate((member) => !document.querySelector(`[data-testid=tile][data-member="${member}"]`), id));
  }

  /** @param {string} text */
  async says(text) {
    if (!(await this.tab.evaluate(() => Boolean(document.querySelector('[data-testid=chat-input]'))))) await this.tab.click('[data-testid=chat-toggle]');
    await this.tab.fill('[data-testid=chat-input]', text);
    await this.tab.press('Enter');
  }

  /** The lines of chat that are known, oldest first. */
  chat() {
    return this.tab.evaluate(() => /** @type {any} */ (window).althing.room.chat.map((/** @type {any} */ line) => `${line.name}: ${line.text}`));
  }

  /**
   * What the browser says of the line on which somebody's camera or microphone arrives; nothing before anything has.
   * @param {Name} name
   * @param {'audio' | 'video'} kind
   * @returns {Promise<{ codec: string, bytes: number, packets: number } | undefined>}
   */
  async line(name, kind) {
    const member = await this.idOf(name);
    const { members } = await this.stats();
    const line = members.find((/** @type {any} */ found) => found.member === member && !found.screen && found.kind === kind);
    return line?.codec && { codec: line.codec, bytes: line.bytesReceived, packets: line.packetsReceived };
  }

  /** The SRTP profile of the connection. */
  async cipher() {
    return until(`${this.name}'s transport tells its cipher`, async () => (await this.stats()).transport?.srtpCipher);
  }

  /** Nothing has gone wrong in the page: no exception, nothing that its policy has blocked. */
  async isWell() {
    assert.deepEqual(await this.tab.evaluate(() => /** @type {any} */ (window).seen.errors), [], `errors in the page of ${this.name}`);
  }

  /**
   * @param {string} why
   * @returns {Promise<never>}
   */
  async fail(why) {
    mkdirSync(ARTIFACTS, { recursive: true });
    const path = `${ARTIFACTS}/${this.name}-${process.pid}-${Date.now()}.png`;
    await this.tab.screenshot(path).catch(() => undefined);
    const state = await this.diagnostics().catch((error) => String(error));
    throw new Error(`${why}\n${this.tab.browser}: ${JSON.stringify(state)}\n${this.tab.console.slice(-15).join('\n')}\nscreenshot: ${path}`);
  }
}

/**
 * Whose colour it is.
 * @param {string} found
 * @param {'camera' | 'screen'} kind
 */
export function nearest(found, kind) {
  const [r, g, b] = found.split(',').map(Number);
  const all = Object.entries(PEOPLE).flatMap(([name, person]) => [
    { name, kind: 'camera', color: person.camera },
    { name, kind: 'screen', color: person.screen },
  ]);
  const best = all
    .map((entry) => {
      const [x, y, z] = [1, 3, 5].map((at) => Number.parseInt(entry.color.slice(at, at + 2), 16));
      return { ...entry, distance: Math.hypot(r - x, g - y, b - z) };
    })
    .sort((one, other) => one.distance - other.distance)[0];
  return best && best.distance < 60 && best.kind === kind ? best.name : undefined;
}
