// A tab of a browser in another namespace, with the face of one that is here.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { namespaceOf } from './namespaces.mjs';

const AGENT = fileURLToPath(new URL('agent.mjs', import.meta.url));

/**
 * Opens a browser in a place of the lab.
 * @param {string} lab
 * @param {number} place
 * @param {'chromium' | 'firefox'} browser
 * @param {Record<string, unknown> & { prepare: Function }} options
 * @returns {Promise<import('../../../web/e2e/lib/browsers.mjs').Tab>}
 */
export async function openTab(lab, place, browser, { prepare, ...options }) {
  const child = spawn('ip', ['netns', 'exec', namespaceOf(lab, `browser${place}`), process.execPath, AGENT], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let over = '';
  let asked = 0;
  child.on('message', (/** @type {any} */ { id, value, error }) => {
    const { resolve, reject } = /** @type {NonNullable<ReturnType<typeof waiting.get>>} */ (waiting.get(id));
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  child.on('exit', (code, signal) => {
    over = `the driver of ${browser} ended with ${signal ?? code}`;
    for (const { reject } of waiting.values()) reject(new Error(over));
    waiting.clear();
  });
  /** @param {string} method @param {unknown[]} args @returns {Promise<any>} */
  const ask = (method, ...args) =>
    new Promise((resolve, reject) => {
      if (over) return reject(new Error(over));
      const id = asked++;
      waiting.set(id, { resolve, reject });
      child.send({ id, method, args });
    });
  const said = /** @type {string[]} */ ([]);
  const version = await ask('open', browser, { ...options, prepare: prepare.toString() });
  return {
    browser: version,
    console: said,
    goto: (url) => ask('goto', url),
    evaluate: (inside, value) => ask('evaluate', inside.toString(), value),
    click: (selector) => ask('click', selector),
    fill: (selector, text) => ask('fill', selector, text),
    press: (key) => ask('press', key),
    drag: (path) => ask('drag', path),
    downloads: () => Promise.reject(new Error('nothing is downloaded in the lab')),
    crash: () => ask('crash'),
    freeze: () => Promise.reject(new Error('nobody is stopped in the lab')),
    appears: (selector, ms) => ask('appears', selector, ms),
    reload: () => ask('reload'),
    resize: (width, height) => ask('resize', width, height),
    screenshot: async (path) => {
      said.splice(0, said.length, ...(await ask('console')));
      await ask('screenshot', path);
    },
    async close() {
      if (over) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      await ended;
    },
  };
}
