// Real browsers, each a process and a profile of its own, behind one small face.
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { PATIENCE, until } from './wait.mjs';

const CHROMIUM = process.env['E2E_CHROMIUM'] ?? '/usr/bin/chromium';
const FIREFOX = process.env['E2E_FIREFOX'] ?? '/usr/bin/firefox-esr';

/** A browser may take so long to begin (ms): for the first time on a machine it is read from the disk. */
const BEGIN = 60_000;

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
];

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  // Without a sound device no AudioContext ever runs: this one is made up.
  'media.cubeb.force_mock_context': true,
  'media.gmp-manager.url': '',
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'browser.safebrowsing.downloads.remote.enabled': false,
  'services.settings.server': 'http://127.0.0.1:9/',
  'intl.accept_languages': 'en-US',
};

/**
 * What a test does with a page; the same for every browser.
 * @typedef {object} Tab
 * @property {string} browser
 * @property {(url: string) => Promise<void>} goto
 * @property {<A, R>(inside: (argument: A) => R | Promise<R>, argument?: A) => Promise<R>} evaluate
 * @property {(selector: string) => Promise<void>} click
 * @property {(selector: string, text: string) => Promise<void>} fill
 * @property {(key: string) => Promise<void>} press one key, or with others held, as `Control+z`
 * @property {(path: { x: number, y: number }[]) => Promise<void>} drag presses at the first place of the window, lifts at the last one
 * @property {(act: () => Promise<unknown>) => Promise<{ name: string, path: string }>} downloads does something, and waits for the file that the browser keeps of it
 * @property {(selector: string, ms?: number) => Promise<void>} appears
 * @property {() => Promise<void>} reload
 * @property {() => Promise<void>} crash ends the page as a crash does; it is empty then (Chromium only)
 * @property {() => Promise<() => void>} freeze stops its pages' processes: nothing of them goes out any more, and nothing ends. What is returned lets them go on (Chromium only)
 * @property {(width: number, height: number) => Promise<void>} resize
 * @property {(path: string) => Promise<void>} screenshot
 * @property {() => Promise<void>} close
 * @property {string[]} console
 */

/** Which browsers are installed. */
export const installed = { chromium: exists(CHROMIUM), firefox: exists(FIREFOX) };

/**
 * A tab in a Chromium of its own.
 * @param {{ prepare: (argument: any) => void, argument: unknown, width?: number, height?: number, locale?: string, dark?: boolean, flags?: string[] }} options
 * @returns {Promise<Tab>}
 */
export async function openChromium({ prepare, argument, width = 800, height = 600, locale = 'en-US', dark = false, flags = [] }) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, timeout: BEGIN, args: [...CHROMIUM_FLAGS, ...flags] });
  const context = await browser.newContext({
    viewport: { width, height },
    locale,
    colorScheme: dark ? 'dark' : 'light',
    permissions: ['camera', 'microphone', 'clipboard-read', 'clipboard-write'],
  });
  /** @type {string[]} */
  const said = [];
  const open = async () => {
    const fresh = await context.newPage();
    await fresh.addInitScript(prepare, argument);
    fresh.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
    return fresh;
  };
  let page = await open();
  /** Processes that are stopped. @type {Set<number>} */
  const stopped = new Set();
  const goOn = () => {
    for (const id of stopped) if (existsSync(`/proc/${id}`)) process.kill(id, 'SIGCONT');
    stopped.clear();
  };
  return {
    browser: `chromium ${browser.version()}`,
    console: said,
    goto: async (url) => void (await page.goto(url)),
    evaluate: (inside, value) => page.evaluate(/** @type {any} */ (inside), value),
    click: (selector) => page.click(selector),
    fill: (selector, text) => page.fill(selector, text),
    press: (key) => page.keyboard.press(key),
    drag: (path) => drag(page.mouse, path),
    downloads: async (act) => {
      const [file] = await Promise.all([page.waitForEvent('download', { timeout: 30_000 }), act()]);
      return { name: file.suggestedFilename(), path: await file.path() };
    },
    appears: async (selector, ms = PATIENCE) => void (await page.waitForSelector(selector, { timeout: ms })),
    reload: async () => void (await page.reload()),
    crash: async () => {
      const gone = page.waitForEvent('crash');
      page.goto('chrome://crash').catch(() => undefined);
      await gone;
      await page.close();
      page = await open();
    },
    freeze: async () => {
      const session = await browser.newBrowserCDPSession();
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      for (const { type, id } of processInfo) {
        if (type !== 'renderer') continue;
        process.kill(id, 'SIGSTOP');
        stopped.add(id);
      }
      return goOn;
    },
    resize: (width, height) => page.setViewportSize({ width, height }),
    screenshot: async (path) => void (await page.screenshot({ path })),
    close: () => {
      goOn();
      return browser.close();
    },
  };
}

/**
 * A tab in a Firefox of its own, driven by WebDriver BiDi.
 * @param {{ prepare: (argument: any) => void, argument: unknown, width?: number, height?: number, preferences?: Record<string, unknown>, accept?: boolean }} options
 *   `accept`: certificates that nobody has vouched for are taken, as by somebody who goes on from the warning
 * @returns {Promise<Tab>}
 */
export async function openFirefox({ prepare, argument, width = 800, height = 600, preferences = {}, accept = false }) {
  const folder = mkdtempSync(join(tmpdir(), 'althing-downloads-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    acceptInsecureCerts: accept,
    timeout: BEGIN,
    protocolTimeout: 60_000,
    extraPrefsFirefox: { ...FIREFOX_PREFERENCES, 'browser.download.folderList': 2, 'browser.download.dir': folder, ...preferences },
  });
  const page = await browser.newPage();
  await page.setViewport({ width, height });
  await page.evaluateOnNewDocument(prepare, argument);
  /** @type {string[]} */
  const said = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  return {
    browser: await browser.version(),
    console: said,
    goto: async (url) => void (await page.goto(url)),
    evaluate: (inside, value) => page.evaluate(/** @type {any} */ (inside), value),
    click: (selector) => page.locator(selector).click(),
    fill: (selector, text) => page.locator(selector).fill(text),
    press: async (key) => {
      const keys = /** @type {any[]} */ (key.split('+'));
      for (const held of keys.slice(0, -1)) await page.keyboard.down(held);
      await page.keyboard.press(keys.at(-1));
      for (const held of keys.slice(0, -1)) await page.keyboard.up(held);
    },
    drag: (path) => drag(page.mouse, path),
    downloads: async (act) => {
      const before = new Set(readdirSync(folder));
      await act();
      // It has the name of the file, empty, and one beside it that grows, until it is whole.
      const name = await until('a file is downloaded', () => {
        const [found, ...others] = readdirSync(folder).filter((each) => !before.has(each));
        return found && others.length === 0 && !found.endsWith('.part') && statSync(join(folder, found)).size > 0 ? found : undefined;
      }, 30_000);
      return { name, path: join(folder, name) };
    },
    appears: async (selector, ms = PATIENCE) => void (await page.waitForSelector(selector, { timeout: ms })),
    reload: async () => void (await page.reload()),
    crash: () => Promise.reject(new Error('Firefox is not crashed')),
    freeze: () => Promise.reject(new Error('Firefox is not stopped')),
    resize: async (width, height) => void (await page.setViewport({ width, height })),
    screenshot: async (path) => void (await page.screenshot({ path: /** @type {`${string}.png`} */ (path) })),
    close: async () => {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * @param {{ move(x: number, y: number): Promise<void>, down(): Promise<void>, up(): Promise<void> }} mouse
 * @param {{ x: number, y: number }[]} path
 */
async function drag(mouse, path) {
  const [first, ...others] = path;
  if (!first) return;
  await mouse.move(first.x, first.y);
  await mouse.down();
  for (const { x, y } of others) await mouse.move(x, y);
  await mouse.up();
}

/** @param {string} path */
function exists(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
