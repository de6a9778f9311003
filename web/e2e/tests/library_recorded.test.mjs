import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openChromium } from '../lib/browsers.mjs';
import { BITS, RATE } from '../lib/meeting.mjs';
import { Person } from '../lib/person.mjs';
import { isWell, openReader, picture, plays, report, seek, seen } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-recorded-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** Runs inside of a page: its camera shows what time it is, as bars, by the clock that all browsers of the machine have. @param {{ bits: number, rate: number }} how */
function clockCamera({ bits, rate }) {
  const own = /** @type {any} */ (window);
  own.seen = { offers: 0, errors: [] };
  addEventListener('error', (event) => own.seen.errors.push(event.message));
  if (!navigator.mediaDevices) return;
  navigator.mediaDevices.getUserMedia = async (constraints = {}) => {
    const tracks = [];
    if (constraints.audio) {
      const context = new AudioContext();
      const [oscillator, end] = [context.createOscillator(), context.createMediaStreamDestination()];
      oscillator.connect(end);
      oscillator.start();
      void context.resume();
      tracks.push(...end.stream.getAudioTracks());
    }
    if (constraints.video) {
      const canvas = Object.assign(document.createElement('canvas'), { width: 32 * bits, height: 216 });
      const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      const draw = () => {
        const number = Math.floor((Date.now() / 1000) * rate);
        for (let bit = 0; bit < bits; bit++) {
          pen.fillStyle = Math.floor(number / 2 ** bit) % 2 ? '#fff' : '#000';
          pen.fillRect(32 * bit, 0, 32, 216);
        }
      };
      draw();
      setInterval(draw, 50);
      tracks.push(...canvas.captureStream(20).getVideoTracks());
    }
    return new MediaStream(tracks);
  };
}

test('two who were recorded by the server are played in step', async () => {
  const room = 'recorded-clock';
  const open = async (/** @type {import('../lib/person.mjs').Name} */ name) => {
    const person = new Person(name, await openChromium({ prepare: clockCamera, argument: { bits: BITS, rate: RATE } }));
    await person.join(stage.url, room);
    return person;
  };
  const people = [await open('Ada')];
  const tab = await openReader();
  try {
    const [ada] = people;
    await ada.tab.click('[data-testid=people-toggle]');
    await ada.tab.click('[data-testid=record]');
    await ada.tab.appears('[data-testid=recording]');
    await sleep(3_000);
    // Whoever comes later begins later.
    const ben = await open('Ben');
    people.push(ben);
    await until('frames of Ben arrive', async () => (await ada.received('Ben')).frames > 10, 30_000);
    await sleep(12_000);
    await ada.tab.click('[data-testid=stop-recording]');
    await until('nobody is recorded any more', () => ada.tab.evaluate(() => !document.querySelector('[data-testid=recording]')));
    await Promise.all(people.splice(0).map((person) => person.close()));

    await tab.goto(`${stage.url}/library/${room}`);
    await tab.appears('[data-testid=item-title]', 20_000);
    await tab.click('[data-testid=item-title]');
    await tab.appears('[data-testid=player-play]');
    await tab.click('[data-testid=player-play]');
    await plays(tab);
    const length = await tab.evaluate(() => /** @type {any} */ (window).althingPlayback.length);
    assert.ok(length > 14, `${length} s`);
    await seek(tab, length - 9);
    await plays(tab);
    /** @type {number[]} */
    const apart = [];
    const period = 2 ** BITS / RATE;
    await until('both were seen long enough', async () => {
      const { files, phase } = await seen(tab);
      const times = Object.values(files);
      if (phase === 'playing' && times.length === 2) {
        const distance = Math.abs(times[0] - times[1]);
        apart.push(Math.min(distance, period - distance));
      }
      return apart.length >= 40 || (await report(tab)).position >= length;
    }, 30_000);
    assert.ok(apart.length >= 15, `both were seen ${apart.length} times`);
    apart.sort((one, other) => one - other);
    // Their cameras drew 20 times a second, each in its own time, on a machine that does much else.
    assert.ok(apart[Math.floor(apart.length / 2)] <= 0.1, `apart: ${apart}`);
    assert.ok(apart[Math.floor(apart.length * 0.9)] <= 0.3, `apart: ${apart}`);
    await isWell(tab);
  } catch (error) {
    await picture(tab, 'recorded');
    throw error;
  } finally {
    await Promise.all(people.map((person) => person.close()));
    await tab.close();
  }
});
