import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CHAT, furnish, LENGTH } from '../lib/meeting.mjs';
import { isWell, openReader, plays, report, seek, seen } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-player-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const ids = furnish(folder, { room: 'hall' });
// A meeting of fifty, who all have Ben's picture.
const crowd = 'crowdcrowdcrowd5';
mkdirSync(join(folder, crowd));
const { files, ...meeting } = JSON.parse(readFileSync(join(folder, ids.meeting, 'manifest.json'), 'utf8'));
const ben = files.find((/** @type {any} */ file) => file.member === 'ben');
const members = Array.from({ length: 50 }, (_, index) => ({ member: `m${index}`, name: `Member ${index}` }));
for (const [index] of members.entries()) copyFileSync(join(folder, ids.meeting, ben.name), join(folder, crowd, `${index}.webm`));
const theirs = members.map(({ member }, index) => ({ ...ben, name: `${index}.webm`, member, at: 0 }));
writeFileSync(join(folder, crowd, 'manifest.json'), JSON.stringify({ ...meeting, id: crowd, members, files: theirs }));
const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** @param {Awaited<ReturnType<typeof openReader>>} tab */
async function playsCrowd(tab) {
  await tab.goto(`${stage.url}/library/hall/${crowd}`);
  await tab.appears('[data-testid=player-pages]');
  await tab.click('[data-testid=player-play]');
  await until('it plays', async () => (await report(tab)).position > 1, 30_000);
}

test('speed, silence, volumes, layouts and keys do what they say', async () => {
  const tab = await openReader();
  try {
    await tab.goto(`${stage.url}/library/hall/${ids.meeting}`);
    await tab.appears('[data-testid=player-play]');
    await tab.press('k');
    await plays(tab);
    for (let step = 0; step < 4; step++) await tab.press('>');
    await until('it is twice as fast', async () => (await report(tab)).files.every(({ rate }) => Math.abs(rate - 2) < 0.2));
    const [from, begun] = [(await report(tab)).position, Date.now()];
    await sleep(2_000);
    const pace = ((await report(tab)).position - from) / ((Date.now() - begun) / 1_000);
    assert.ok(pace > 1.6 && pace < 2.2, `${pace} times as fast`);

    const largest = () => tab.evaluate(() => document.querySelector('[data-testid=player-stage]')?.getAttribute('data-large'));
    await tab.press('5');
    await until('half of it is over', async () => Math.abs((await report(tab)).position - LENGTH / 2) < 2);
    await tab.click('[data-testid=player-layout]');
    await until('all are alike', async () => (await largest()) === '');
    await tab.click('[data-testid=player-layout]');
    await tab.press('3');
    // He speaks for six seconds of the meeting, which are three of a page that may be busy meanwhile.
    await until('Ben speaks, and is large', async () => {
      if ((await largest()) === 'ben') return true;
      if ((await report(tab)).position > 12) await tab.press('3');
      return false;
    });

    const volume = (/** @type {string} */ file) => tab.evaluate((name) => /** @type {HTMLMediaElement | null} */ (document.querySelector(`[data-file="${name}"]`))?.muted, file);
    await tab.click('[data-testid=player-lane][data-lane=ben] [data-testid=lane-mute]');
    await until('Ben is silent', async () => (await volume('3.webm')) === true);
    assert.equal(await volume('2.webm'), false, 'and nobody else');
    await tab.press('m');
    await until('all are silent', async () => (await volume('2.webm')) === true);
    const before = (await report(tab)).position;
    await until('it has gone on', async () => (await report(tab)).position > before + 1 && (await seen(tab)).files['3.webm'] > before);

    await tab.press('c');
    await until('the chat is there', () => tab.evaluate((lines) => document.querySelectorAll('[data-testid=player-chat-lines] li').length === lines, CHAT.length));
    const said = () => tab.evaluate(() => document.querySelectorAll('[data-testid=player-chat-lines] li[data-said=true]').length);
    await tab.press('k');
    await seek(tab, 10);
    await until('two lines were said', async () => (await said()) === 2);
    await seek(tab, 22);
    await until('three lines were said', async () => (await said()) === 3);
    assert.equal(await tab.evaluate(() => document.querySelectorAll('[data-testid=player-chat-lines] b').length), 0, 'what was written is text');
    await isWell(tab);
  } finally {
    await tab.close();
  }
});

test('what browsers have recorded, and pictures, open in the same place', async () => {
  const tab = await openReader({ width: 390, height: 740 });
  try {
    // Its header does not say how long it is.
    await tab.goto(`${stage.url}/library/hall/${ids.video}`);
    await tab.appears('[data-testid=player-play]');
    const length = await tab.evaluate(() => /** @type {any} */ (window).althingPlayback.length);
    assert.ok(Math.abs(length - 6) < 0.3, `${length} s`);
    await tab.click('[data-testid=player-play]');
    await plays(tab);
    await until('it ends by itself', async () => (await report(tab)).position >= length - 0.01 && (await report(tab)).phase === 'still');
    assert.ok(await tab.evaluate(() => !document.querySelector('[data-testid=player-nobody]') && document.querySelector('[data-testid=player-tile][data-shown=true]') !== null), 'its last picture stays');

    await tab.goto(`${stage.url}/library/hall/${ids.audio}`);
    await tab.appears('[data-testid=player-play]');
    await until('its waveform is drawn', () => tab.evaluate(() => (document.querySelector('[data-testid=player-stage] svg path')?.getAttribute('d')?.length ?? 0) > 500));
    await tab.click('[data-testid=player-play]');
    await plays(tab);

    await tab.goto(`${stage.url}/library/hall/${ids.screenshot}`);
    await tab.appears('[data-testid=picture]');
    const scale = () => tab.evaluate(() => Number(document.querySelector('[data-testid=picture]')?.getAttribute('data-scale')));
    await tab.click('[data-testid=picture-larger]');
    await tab.press('+');
    await until('it is larger', async () => (await scale()) > 2);
    await tab.press('0');
    await until('it is as it was', async () => (await scale()) === 1);
    await isWell(tab);
  } finally {
    await tab.close();
  }
});

test('a server that is away for a moment only makes the player wait', async () => {
  const tab = await openReader();
  try {
    await playsCrowd(tab);
    await stage.server.kill();
    try {
      // Of the people on a later page nothing has been loaded.
      for (let page = 0; page < 3; page++) await tab.click('[data-testid=player-pages] button:last-child');
      await until('it waits', async () => (await report(tab)).phase === 'waiting');
      await sleep(1_000);
      assert.equal((await report(tab)).phase, 'waiting');
    } finally {
      await stage.server.again();
    }
    const before = (await report(tab)).position;
    await until('it goes on', async () => (await report(tab)).position > before + 1, 30_000);
    await until('with all pictures', async () => Object.values((await seen(tab)).files).filter((at) => at > before).length === 9, 30_000);
    assert.equal(await tab.evaluate(() => document.querySelectorAll('[data-testid=tile-failed]').length), 0);
  } finally {
    await tab.close();
  }
});

test('of fifty people no more files are open than are needed, whoever is looked at', async () => {
  const tab = await openReader();
  try {
    await playsCrowd(tab);
    const count = () => tab.evaluate(() => document.querySelectorAll('video, audio').length);
    const shown = () => tab.evaluate(() => [...document.querySelectorAll('[data-testid=player-tile][data-shown=true]')].map((tile) => tile.getAttribute('data-lane')).join());
    await until('nine are shown', async () => (await shown()).split(',').length === 9);
    const first = await shown();
    assert.ok((await count()) <= 16, `${await count()} files`);
    await tab.click('[data-testid=player-pages] button:last-child');
    await until('others are looked at', async () => (await shown()) !== first && (await shown()).split(',').length === 9);
    await sleep(500);
    assert.ok((await count()) <= 16, `${await count()} files`);
    await isWell(tab);
  } finally {
    await tab.close();
  }
});

test('of a meeting that is deleted while it plays it is said that it is gone', async () => {
  const tab = await openReader();
  try {
    await playsCrowd(tab);
    assert.equal((await fetch(`${stage.url}/api/v1/library/${crowd}`, { method: 'DELETE' })).status, 204);
    // Of the people on a later page nothing has been loaded.
    for (let page = 0; page < 3; page++) await tab.click('[data-testid=player-pages] button:last-child');
    await until('they cannot be had', () => tab.evaluate(() => /not here any more/.test(document.querySelector('[data-testid=tile-failed]')?.textContent ?? '')), 30_000);
  } finally {
    await tab.close();
  }
});
