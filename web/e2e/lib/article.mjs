// What a call is for by one way: text, voice, video and screens, and what the server records of it, played in the page and downloaded.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { probe } from './files.mjs';
import { meet } from './here.mjs';
import { nearest } from './person.mjs';
import { isWell, openReader, picture, plays, report } from './player.mjs';
import { allMeet, scene } from './scene.mjs';
import { sleep, until } from './wait.mjs';

/**
 * The tests of a way, each a row of `tests/prove/article.mjs`.
 * @param {'direct' | 'server'} way
 */
export function article(way) {
  const folder = mkdtempSync(join(tmpdir(), `althing-article-${way}-`));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const stage = scene({
    ALTHING_ROOMS__POLICY: way === 'direct' ? 'auto' : 'sfu',
    ALTHING_RECORDING__ENABLED: 'true',
    ALTHING_RECORDING__FOLDER: folder,
    ALTHING_RECORDING__MINIMUM_FREE_MIB: '1',
  });
  const end = async (/** @type {import('../lib/person.mjs').Person[]} */ ...people) => {
    for (const person of people) {
      await person.travels(way);
      await person.isWell();
    }
    for (const person of people) await stage.dismiss(person);
  };

  test(`${way}: what one writes the other reads, and the answer too`, async () => {
    const { ada, ben } = await meet(stage, way, 'text');
    const shown = (/** @type {import('../lib/person.mjs').Person} */ who) => who.tab.evaluate(() => document.querySelector('aside')?.textContent ?? '');
    await ben.tab.click('[data-testid=chat-toggle]');
    await ada.says('Is 7 > 3? 是的 <b>');
    await until('Ben reads it', async () => (await shown(ben)).includes('Is 7 > 3? 是的 <b>'));
    await ben.says('It is.');
    await until('Ada reads the answer', async () => (await shown(ada)).includes('It is.'));
    // Between two browsers the answer may be read before its own writer has it from the server.
    for (const who of [ada, ben]) {
      await until(`${who.name} has both lines`, async () => (await who.chat()).length >= 2);
      assert.deepEqual(await who.chat(), ['Ada: Is 7 > 3? 是的 <b>', 'Ben: It is.']);
    }
    await end(ada, ben);
  });

  test(`${way}: two with their cameras off hear each other`, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
    for (const person of [ada, ben]) await person.join(stage.url, 'voice', { camera: false });
    await ada.hears('Ben');
    await ben.hears('Ada');
    for (const [who, whom] of /** @type {const} */ ([[ada, 'Ben'], [ben, 'Ada']])) assert.equal((await who.received(whom)).frames, 0, 'no pictures are sent');
    await end(ada, ben);
  });

  test(`${way}: two see and hear each other`, async () => {
    const { ada, ben } = await meet(stage, way, 'video');
    await allMeet([ada, ben]);
    await end(ada, ben);
  });

  test(`${way}: a screen is seen and heard beside the camera`, async () => {
    const { ada, ben } = await meet(stage, way, 'screen');
    await ben.tab.click('[data-testid=screen]');
    await ada.sees('Ben', { screen: true });
    await ada.hears('Ben', { screen: true });
    await ada.sees('Ben');
    await end(ada, ben);
  });

  test(`${way}: what the server records of a call plays in the page from start to end, and is downloaded`, async () => {
    const room = `kept-${way}`;
    const { ada, ben } = await meet(stage, way, room);
    await ada.tab.click('[data-testid=people-toggle]');
    await ada.tab.click('[data-testid=record]');
    for (const who of [ada, ben]) await who.tab.appears('[data-testid=recording]');
    await ada.travels('server');
    await sleep(7_000);
    await ada.tab.click('[data-testid=stop-recording]');
    await until('nobody is recorded any more', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=recording]')));
    for (const person of [ada, ben]) await stage.dismiss(person);

    const tab = await openReader();
    try {
      await tab.goto(`${stage.url}/library/${room}`);
      await tab.appears('[data-testid=item-download]', 20_000);
      const { name, path } = await tab.downloads(() => tab.click('[data-testid=item-download]'));
      assert.match(name, /\.zip$/);
      const unpacked = mkdtempSync(join(folder, '.unzip-'));
      execFileSync('unzip', ['-q', path, '-d', unpacked]);
      const films = readdirSync(unpacked).filter((file) => file.endsWith('.webm'));
      const found = films.map((file) => probe(join(unpacked, file)));
      assert.ok(found.length >= 2 && found.every(({ audio }) => audio?.codec_name === 'opus'), `${films}`);
      assert.ok(found.filter(({ video, pictures }) => video && pictures > 3).length >= 2, `both are seen: ${JSON.stringify(found.map(({ duration, pictures }) => ({ duration, pictures })))}`);
      const said = await tab.evaluate(async (link) => (await fetch(document.querySelector(link)?.getAttribute('href') ?? '', { method: 'HEAD' })).headers.get('content-length'), '[data-testid=item-download]');
      assert.equal(Number(said), statSync(path).size, 'how much will come is said before');

      await tab.click('[data-testid=item-title]');
      await tab.appears('[data-testid=player-play]');
      await tab.click('[data-testid=player-play]');
      await plays(tab);
      /** @type {Set<string | undefined>} */
      const seen = new Set();
      const length = await tab.evaluate(() => /** @type {any} */ (window).althingPlayback.length);
      assert.ok(length > 5, `${length} s`);
      await until('it has played to its end', async () => {
        for (const colour of await tab.evaluate(corners)) seen.add(nearest(colour, 'camera'));
        return (await report(tab)).position >= length - 0.1;
      }, 40_000);
      assert.ok(seen.has('Ada') && seen.has('Ben'), `seen were ${[...seen]}`);
      await isWell(tab);
    } catch (error) {
      await picture(tab, `article-${way}`);
      throw error;
    } finally {
      await tab.close();
    }
  });
}

/** Runs inside of a page: the colours in the lower left corners of what its player shows. */
function corners() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 18 });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  return [.../** @type {NodeListOf<HTMLVideoElement>} */ (document.querySelectorAll('[data-testid=player-tile][data-shown=true] video[data-current=true]'))]
    .filter((video) => video.readyState >= 2)
    .map((video) => {
      pen.drawImage(video, 0, 0, 32, 18);
      return [...pen.getImageData(3, 14, 1, 1).data.slice(0, 3)].join(',');
    });
}
