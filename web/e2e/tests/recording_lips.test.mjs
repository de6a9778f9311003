// Lips in recordings: what is seen and heard at the same moment lies at the same place in a file, in either kind of file.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openChromium } from '../lib/browsers.mjs';
import { flashing, median, offsets } from '../lib/lips.mjs';
import { Person } from '../lib/person.mjs';
import { startServer } from '../lib/server.mjs';
import { sleep, until } from '../lib/wait.mjs';

const SECONDS = Number(process.env['LIPS_SECONDS'] ?? 20);
const folder = mkdtempSync(join(tmpdir(), 'althing-lips-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('what is seen and heard at the same moment lies at the same place in a file', async () => {
  const server = await startServer({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });
  const open = async (/** @type {import('../lib/person.mjs').Name} */ name, /** @type {string} */ prefer) =>
    new Person(name, await openChromium({ prepare: flashing, argument: { prefer } }));
  const people = [await open('Ada', 'video/VP8'), await open('Ben', 'video/H264')];
  try {
    for (const person of people) await person.join(server.url, 'lips');
    // What flashes has no colour that tells whose it is.
    const shown = () => [...document.querySelectorAll('video')].filter((video) => video.videoWidth > 0 && !video.paused).length;
    for (const person of people) await until(`${person.name} sees both`, async () => (await person.tab.evaluate(shown)) >= 2);
    await people[0]?.tab.evaluate(() => /** @type {any} */ (window).althing.record());
    await people[1]?.tab.appears('[data-testid=recording]');
    await sleep(SECONDS * 1_000);
    await people[0]?.tab.evaluate(() => /** @type {any} */ (window).althing.stopRecording());
    const [id] = readdirSync(folder).filter((name) => !name.startsWith('.'));
    const manifest = await until('the recording is whole', async () => {
      const found = JSON.parse(readFileSync(join(folder, id ?? '', 'manifest.json'), 'utf8'));
      return found.state === 'finished' ? found : undefined;
    });
    for (const codec of ['vp8', 'h264']) {
      const own = manifest.files.filter((/** @type {any} */ entry) => entry.video === codec).sort((/** @type {any} */ a, /** @type {any} */ b) => b.length - a.length)[0];
      const found = offsets(join(folder, id ?? '', own.name));
      console.log(`${own.name}: beeps come ${found.map((offset) => offset.toFixed(0)).join(', ')} ms after their flashes`);
      assert.ok(found.length >= SECONDS / 2, `${found.length} flashes in ${JSON.stringify(own)}`);
      assert.ok(Math.abs(median(found)) <= 40, `${codec}: ${median(found)} ms`);
    }
  } finally {
    await Promise.all(people.map((person) => person.close()));
    await server.stop();
  }
});
