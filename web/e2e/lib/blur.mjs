// What is seen of a background that is blurred.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, until } from './wait.mjs';

/** @typedef {import('./person.mjs').Person} Person */

/** Runs inside of a page: how sharp a picture is, as the mean step from pixel to pixel, in the wall behind somebody and in their shirt. */
function sharpness(/** @type {string} */ selector) {
  const video = /** @type {HTMLVideoElement | null} */ (document.querySelector(selector));
  if (!video || video.videoWidth === 0) return undefined;
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.drawImage(video, 0, 0, 640, 360);
  const steps = (/** @type {number} */ left, /** @type {number} */ top, /** @type {number} */ width, /** @type {number} */ height) => {
    const { data } = pen.getImageData(left, top, width, height);
    let sum = 0;
    for (let y = 0; y + 1 < height; y++) for (let x = 0; x < width; x++) sum += Math.abs((data[4 * (y * width + x) + 1] ?? 0) - (data[4 * ((y + 1) * width + x) + 1] ?? 0));
    return sum / (width * (height - 1));
  };
  return { wall: steps(500, 20, 120, 120), shirt: steps(280, 290, 80, 60) };
}

/** @param {Person} who @param {string} selector */
export async function look(who, selector) {
  return until('there is a picture', () => who.tab.evaluate(sharpness, selector));
}

/** What goes out, as those see it who get it. @param {Person} who @param {string} member @param {boolean} blurred */
export async function shows(who, member, blurred) {
  const selector = `[data-testid=tile][data-member="${member}"][data-kind=camera] video`;
  let found = await look(who, selector);
  await until(`the wall is ${blurred ? 'blurred' : 'sharp'}`, async () => {
    found = await look(who, selector);
    return blurred ? found.wall < 4 && found.shirt > 6 : found.wall > 12;
  }, 30_000).catch((error) => who.fail(`${error.message}: ${JSON.stringify(found)}`));
  return found;
}

/** Ticks the box in the settings, or takes the tick away. @param {Person} who @param {boolean} on */
export async function tick(who, on) {
  await who.tab.appears('[data-testid=blur]');
  await who.tab.click('[data-testid=blur]');
  await until(`the background is ${on ? '' : 'no longer '}to be blurred`, () => who.tab.evaluate((wanted) => {
    const box = /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=blur]'));
    return box.checked === wanted && !box.disabled;
  }, on), 30_000);
  await who.tab.press('Escape');
}

/** Counts the page's workers from now on. @param {Person} who */
export async function watchWorkers(who) {
  await who.tab.evaluate(() => {
    const own = /** @type {any} */ (window);
    own.workers = new Set();
    own.Worker = class extends Worker {
      constructor(/** @type {string | URL} */ url, /** @type {WorkerOptions | undefined} */ options) {
        super(url, options);
        if (options?.name === 'background') own.workers.add(this);
      }
      /** @override */
      terminate() {
        own.workers.delete(this);
        super.terminate();
      }
    };
  });
}

/** @param {Person} who @returns {Promise<number>} */
export const workers = (who) => who.tab.evaluate(() => /** @type {any} */ (window).workers.size);

/**
 * On, off, with the camera, and from before a call, in a browser.
 * @param {ReturnType<typeof import('./scene.mjs').scene>} stage
 * @param {'chromium' | 'firefox'} browser
 * @param {false | string} [skip]
 */
export function blurs(stage, browser, skip = false) {
  test(`in ${browser} the background is blurred for the others, who go on seeing the person, and no longer, without an offer`, { skip }, async () => {
    const ada = await stage.person('Ada', { browser, portrait: true });
    const ben = await stage.person('Ben');
    const room = `blur-${browser}`;
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    const id = await ben.idOf('Ada');
    const plain = await shows(ben, id, false);
    await watchWorkers(ada);
    const loaded = () => ada.tab.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => /background|effect-|tflite/.test(name)).length);
    assert.equal(await loaded(), 0, 'nothing of it is loaded before it is wanted');
    const offers = await ada.offers();

    await ada.tab.click('[data-testid=devices-toggle]');
    await tick(ada, true);
    const blurred = await shows(ben, id, true);
    console.info(`${browser}: wall ${plain.wall.toFixed(1)} → ${blurred.wall.toFixed(1)}, shirt ${plain.shirt.toFixed(1)} → ${blurred.shirt.toFixed(1)}`);
    const before = (await ben.received('Ada')).frames;
    await sleep(3_000);
    const frames = (await ben.received('Ada')).frames - before;
    // The camera makes 15 a second, on a machine that encodes, decodes and blurs at once.
    assert.ok(frames > 12 && frames < 3.5 * 24, `${frames} frames in 3 s`);
    assert.equal(await workers(ada), 1);

    await ada.tab.press('v');
    await until('nothing is computed while the camera is off', async () => (await workers(ada)) === 0);
    await ada.tab.press('v');
    await shows(ben, id, true);
    assert.equal(await workers(ada), 1, 'a camera that comes back is blurred');

    await ada.tab.click('[data-testid=devices-toggle]');
    await tick(ada, false);
    await shows(ben, id, false);
    await until('nothing is computed any more', async () => (await workers(ada)) === 0);
    assert.equal(await ada.offers(), offers, 'nothing was negotiated for it');
    await ada.isWell();
    for (const person of [ada, ben]) await stage.dismiss(person);
  });

  test(`in ${browser} it is chosen before the call, and kept`, { skip }, async () => {
    const ada = await stage.person('Ada', { browser, portrait: true });
    await ada.tab.goto(`${stage.url}/r/before-${browser}`);
    await ada.tab.appears('[data-testid=preview] video');
    await ada.tab.click('[data-testid=lobby-settings]');
    await tick(ada, true);
    const preview = '[data-testid=preview] video';
    await until('the preview is blurred', async () => (await look(ada, preview)).wall < 4);
    await ada.tab.reload();
    await ada.tab.appears(preview, 30_000);
    await until('it still is when the page comes back', async () => (await look(ada, preview)).wall < 4);
    await ada.isWell();
    await stage.dismiss(ada);
  });
}

/** Keeps the sharpest that is seen of a wall from now on, in each picture that is shown of whoever has a camera there. @param {Person} who */
export async function watchWall(who) {
  await who.tab.evaluate(/** @type {any} */ (`window.sharpness = ${sharpness}; window.wall = { most: 0, pictures: 0 }; undefined`));
  await who.tab.evaluate(() => {
    const own = /** @type {any} */ (window);
    const watched = new WeakSet();
    const selector = '[data-testid=tile][data-kind=camera][data-mine=false] video';
    setInterval(() => {
      for (const video of /** @type {NodeListOf<HTMLVideoElement>} */ (document.querySelectorAll(selector))) {
        if (watched.has(video)) continue;
        watched.add(video);
        const next = () => {
          const seen = own.sharpness(selector);
          if (seen) own.wall = { most: Math.max(own.wall.most, seen.wall), pictures: own.wall.pictures + 1 };
          video.requestVideoFrameCallback(next);
        };
        video.requestVideoFrameCallback(next);
      }
    }, 5);
  });
}

/** @param {Person} who @returns {Promise<{ most: number, pictures: number }>} */
export const wall = (who) => who.tab.evaluate(() => /** @type {any} */ (window).wall);
