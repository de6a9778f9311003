// Somebody with the library open, and what the player shows them.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withAxe } from './accessible.mjs';
import { openChromium, openFirefox } from './browsers.mjs';
import { prepare } from './inside.mjs';
import { BITS, RATE } from './meeting.mjs';
import { until } from './wait.mjs';

const ARTIFACTS = fileURLToPath(new URL('../artifacts', import.meta.url));

/**
 * A browser of its own, with what axe needs.
 * @param {{ browser?: 'chromium' | 'firefox', width?: number, height?: number, locale?: string, dark?: boolean }} [options]
 */
export async function openReader({ browser = 'chromium', ...options } = {}) {
  return (browser === 'chromium' ? openChromium : openFirefox)({ prepare: browser === 'chromium' ? withAxe(prepare) : prepare, argument: null, width: 1280, height: 800, ...options });
}

/** @param {import('./browsers.mjs').Tab} tab @param {string} name */
export async function picture(tab, name) {
  mkdirSync(ARTIFACTS, { recursive: true });
  await tab.screenshot(`${ARTIFACTS}/${name}.png`);
}

/** Nothing has gone wrong in the page. @param {import('./browsers.mjs').Tab} tab */
export async function isWell(tab) {
  assert.deepEqual(await tab.evaluate(() => /** @type {any} */ (window).seen.errors), []);
}

/** What the player says of itself. @param {import('./browsers.mjs').Tab} tab @returns {Promise<{ position: number, phase: string, open: number, files: { name: string, drift: number, rate: number, paused: boolean }[] }>} */
export function report(tab) {
  return tab.evaluate(() => /** @type {any} */ (window).althingPlayback?.report());
}

/**
 * The times (s of the meeting) that are to be seen at this moment, by the bars in the pictures themselves.
 * @param {import('./browsers.mjs').Tab} tab
 * @returns {Promise<{ files: Record<string, number>, position: number, phase: string, open: number }>}
 */
export async function seen(tab) {
  return tab.evaluate(
    ({ bits, rate }) => {
      const own = /** @type {any} */ (window);
      const canvas = (own.canvas ??= Object.assign(document.createElement('canvas'), { width: bits * 4, height: 4 }));
      const pen = canvas.getContext('2d', { willReadFrequently: true });
      /** @type {Record<string, number>} */
      const files = {};
      for (const video of /** @type {NodeListOf<HTMLVideoElement>} */ (document.querySelectorAll('[data-testid=player-tile][data-shown=true] video[data-current=true]'))) {
        if (video.readyState < 2) continue;
        pen.drawImage(video, 0, 0, bits * 4, 4);
        let number = 0;
        for (let bit = 0; bit < bits; bit++) if (pen.getImageData(bit * 4 + 2, 2, 1, 1).data[1] > 128) number |= 1 << bit;
        files[video.dataset['file'] ?? ''] = number / rate;
      }
      const { position, phase, open } = own.althingPlayback.report();
      return { files, position, phase, open };
    },
    { bits: BITS, rate: RATE },
  );
}

/** @param {import('./browsers.mjs').Tab} tab @param {number} to */
export async function seek(tab, to) {
  await tab.evaluate((at) => /** @type {any} */ (window).althingPlayback.seek(at), to);
}

/** Waits until it plays. @param {import('./browsers.mjs').Tab} tab */
export async function plays(tab) {
  await until('the player plays', async () => (await report(tab))?.phase === 'playing').catch(async (error) => {
    await picture(tab, `player-${Date.now()}`);
    throw new Error(`${error.message}\n${JSON.stringify(await report(tab))}\n${tab.console.slice(-10).join('\n')}`);
  });
}

/** The sum of a file that the page downloads, and how it would be saved. @param {import('./browsers.mjs').Tab} tab @param {string} address */
export function fetched(tab, address) {
  return tab.evaluate(async (url) => {
    const response = await fetch(url);
    const bytes = new Uint8Array(await response.arrayBuffer());
    let text = '';
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return { status: response.status, disposition: response.headers.get('content-disposition') ?? '', base64: btoa(text) };
  }, address);
}
