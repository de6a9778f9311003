// Real browsers, each a process and a profile of its own, behind one small face.
import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

const CHROMIUM = process.env['E2E_CHROMIUM'] ?? '/usr/bin/chromium';
const FIREFOX = process.env['E2E_FIREFOX'] ?? '/usr/bin/firefox-esr';

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
 * @property {(key: string) => Promise<void>} press
 * @property {(selector: string, ms?: number) => Promise<void>} appears
 * @property {() => Promise<void>} reload
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
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...CHROMIUM_FLAGS, ...flags] });
  const context = await browser.newContext({
    viewport: { width, height },
    locale,
    colorScheme: dark ? 'dark' : 'light',
    permissions: ['camera', 'microphone'],
  });
  const page = await context.newPage();
  await page.addInitScript(prepare, argument);
  /** @type {string[]} */
  const said = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  return {
    browser: `chromium ${browser.version()}`,
    console: said,
    goto: async (url) => void (await page.goto(url)),
    evaluate: (inside, value) => page.evaluate(/** @type {any} */ (inside), value),
    click: (selector) => page.click(selector),
    fill: (selector, text) => page.fill(selector, text),
    press: (key) => page.keyboard.press(key),
    appears: async (selector, ms = 15_000) => void (await page.waitForSelector(selector, { timeout: ms })),
    reload: async () => void (await page.reload()),
    resize: (width, height) => page.setViewportSize({ width, height }),
    screenshot: async (path) => void (await page.screenshot({ path })),
    close: () => browser.close(),
  };
}

/**
 * A tab in a Firefox of its own, driven by WebDriver BiDi.
 * @param {{ prepare: (argument: any) => void, argument: unknown, width?: number, height?: number, preferences?: Record<string, unknown>, accept?: boolean }} options
 *   `accept`: certificates that nobody has vouched for are taken, as by somebody who goes on from the warning
 * @returns {Promise<Tab>}
 */
export async function openFirefox({ prepare, argument, width = 800, height = 600, preferences = {}, accept = false }) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    acceptInsecureCerts: accept,
    protocolTimeout: 60_000,
    extraPrefsFirefox: { ...FIREFOX_PREFERENCES, ...preferences },
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
    press: (key) => page.keyboard.press(/** @type {any} */ (key)),
    appears: async (selector, ms = 15_000) => void (await page.waitForSelector(selector, { timeout: ms })),
    reload: async () => void (await page.reload()),
    resize: async (width, height) => void (await page.setViewport({ width, height })),
    screenshot: async (path) => void (await page.screenshot({ path: /** @type {`${string}.png`} */ (path) })),
    close: () => browser.close(),
  };
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
