import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { furnish, furnishMany } from '../lib/meeting.mjs';
import { fetched, isWell, openReader, picture, plays, report, seen } from '../lib/player.mjs';
import { scene } from '../lib/scene.mjs';
import { binary, startServer } from '../lib/server.mjs';
import { sleep, until } from '../lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-library-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const ids = furnish(folder, { room: 'hall' });
furnishMany(folder, ids.screenshot);
const settings = { ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' };
const stage = scene(settings);

/** @typedef {import('../lib/browsers.mjs').Tab} Tab */

/** What is listed. @param {Tab} tab @returns {Promise<string[]>} */
const listed = (tab) => tab.evaluate(() => [...document.querySelectorAll('[data-testid=library-item]')].map((item) => item.getAttribute('data-id') ?? ''));
/** @param {Tab} tab @param {string} selector @returns {Promise<string>} */
const text = (tab, selector) => tab.evaluate((wanted) => document.querySelector(wanted)?.textContent?.trim() ?? '', selector);
/** @param {string} id @param {string} part */
const within = (id, part) => `[data-testid=library-item][data-id="${id}"] [data-testid=${part}]`;

test('what is kept of a room is listed by time, filtered, renamed, downloaded and deleted', async () => {
  const tab = await openReader();
  try {
    await tab.goto(`${stage.url}/library`);
    await tab.fill('[data-testid=library-room]', 'hall');
    await tab.click('[data-testid=library-open]');
    await until('all is listed, newest first', async () => (await listed(tab)).join() === [ids.video, ids.audio, ids.screenshot, ids.meeting].join());
    await tab.click('[data-testid=filter-screenshot]');
    await until('only the screenshot is listed', async () => (await listed(tab)).join() === ids.screenshot);
    await tab.click('[data-testid=filter-recording]');
    await until('only the recording is listed', async () => (await listed(tab)).join() === ids.meeting);

    await tab.click(within(ids.meeting, 'item-rename'));
    await tab.fill('[data-testid=rename-field]', 'Budget <b>2026</b> 预算');
    await tab.press('Enter');
    await until('it has its title', async () => (await text(tab, within(ids.meeting, 'item-title'))) === 'Budget <b>2026</b> 预算');
    await tab.reload();
    await tab.click(within(ids.meeting, 'item-rename'));
    await tab.fill('[data-testid=rename-field]', '预算'.repeat(40));
    await tab.press('Enter');
    assert.match(await text(tab, `${within(ids.meeting, 'rename-field')} + p`), /too long/, 'what the server would not take is not lost');
    await tab.press('Escape');
    await until('the title stays', async () => (await text(tab, within(ids.meeting, 'item-title'))) === 'Budget <b>2026</b> 预算');
    await until('the focus is where it was', () => tab.evaluate((button) => document.activeElement === document.querySelector(button), within(ids.meeting, 'item-rename')));

    const zip = await fetched(tab, await tab.evaluate((link) => document.querySelector(link)?.getAttribute('href') ?? '', within(ids.meeting, 'item-download')));
    assert.equal(zip.status, 200);
    assert.match(zip.disposition, /^attachment/);
    const archive = join(folder, '.downloaded.zip');
    writeFileSync(archive, Buffer.from(zip.base64, 'base64'));
    assert.match(execFileSync('unzip', ['-t', archive], { encoding: 'utf8' }), /No errors detected/);
    rmSync(archive);

    await tab.click(within(ids.meeting, 'item-title'));
    await tab.click('[data-testid=player-downloads]');
    const links = await until('its files are offered', async () => {
      const found = await tab.evaluate(() => [...document.querySelectorAll('[data-testid=download-file]')].map((link) => link.getAttribute('href') ?? ''));
      return found.length === 5 ? found : undefined;
    });
    const first = await fetched(tab, links[0]);
    assert.match(first.disposition, /^attachment/);
    assert.ok(Buffer.from(first.base64, 'base64').equals(readFileSync(join(folder, ids.meeting, '1.webm'))), 'the file is what was kept');
    await tab.press('Escape');

    await tab.click('[data-testid=player-back]');
    await until('the list has the focus where it was left', () => tab.evaluate((link) => document.activeElement === document.querySelector(link), within(ids.meeting, 'item-title')));
    await tab.appears(within(ids.audio, 'item-delete'));
    await tab.click(within(ids.audio, 'item-delete'));
    await tab.click('[data-testid=confirm-no]');
    assert.ok((await listed(tab)).includes(ids.audio), 'it is kept');
    await tab.click(within(ids.audio, 'item-delete'));
    await tab.click('[data-testid=confirm-yes]');
    await until('it is gone', async () => !(await listed(tab)).includes(ids.audio));
    await tab.reload();
    await until('it stays away', async () => (await listed(tab)).join() === [ids.video, ids.screenshot, ids.meeting].join());
    await isWell(tab);
  } catch (error) {
    await picture(tab, 'library');
    throw error;
  } finally {
    await tab.close();
  }
});

test('a long list comes in parts', async () => {
  const tab = await openReader();
  try {
    await tab.goto(`${stage.url}/library/many`);
    await until('a part is listed', async () => (await listed(tab)).length === 40);
    await tab.click('[data-testid=library-more]');
    await until('all is listed', async () => (await listed(tab)).length === 45);
    assert.equal(new Set(await listed(tab)).size, 45, 'nothing twice');
    assert.equal(await tab.evaluate(() => document.querySelectorAll('[data-testid=library-more]').length), 0);
  } finally {
    await tab.close();
  }
});

test('a link that was shared plays in a browser that knows nothing, and says when it has expired or was changed', async () => {
  const [owner, guest] = [await openReader(), await openReader()];
  try {
    await owner.goto(`${stage.url}/library/hall`);
    await owner.appears(within(ids.meeting, 'item-share'));
    await owner.click(within(ids.meeting, 'item-share'));
    await owner.click('[data-testid=share-make]');
    await owner.appears('[data-testid=share-link]');
    const link = await owner.evaluate(() => /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=share-link]')).value);
    assert.ok(link.startsWith(`${stage.url}/library/shared/${ids.meeting}?`), link);

    await guest.goto(link);
    await guest.appears('[data-testid=player-play]');
    await guest.click('[data-testid=player-play]');
    await plays(guest);
    await until('pictures are seen', async () => (await report(guest)).position > 1 && Object.values((await seen(guest)).files).some((at) => at > 0.5));
    assert.equal(await guest.evaluate(() => document.querySelectorAll('[data-testid=player-share], [data-testid=player-back]').length), 0, 'a guest shares nothing on');
    await isWell(guest);

    const problem = () => text(guest, '[data-testid=item-problem]');
    await guest.goto(link.replace(/expires=(\d)/, (_, digit) => `expires=${(Number(digit) + 1) % 10}`));
    await until('a changed link is told', async () => /not valid/.test(await problem()));
    const { url } = await (
      await fetch(`${stage.url}/api/v1/library/${ids.meeting}/share?room=hall`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ seconds: 1 }) })
    ).json();
    await sleep(2_100);
    await guest.goto(`${stage.url}${url}`);
    await until('an expired link is told', async () => /expired.*new one/.test(await problem()));
    await guest.press('Tab');
    assert.equal(await guest.evaluate(() => document.activeElement?.textContent), 'To the start page', 'and there is a way on, the first that the keyboard finds');
    await guest.press('Enter');
    await guest.appears('[data-testid=name]');
  } finally {
    await owner.close();
    await guest.close();
  }
});

test('whoever has no grant is told so, and whoever may only look is offered nothing else', async () => {
  const keys = { ALTHING_AUTH__KEYS__MAIN: '0123456789abcdef0123456789abcdef' };
  // One folder is one server's.
  const other = mkdtempSync(join(tmpdir(), 'althing-library-'));
  for (const id of [ids.meeting, ids.screenshot]) cpSync(join(folder, id), join(other, id), { recursive: true });
  const server = await startServer({ ...settings, ...keys, ALTHING_RECORDING__FOLDER: other });
  const token = (/** @type {string[]} */ ...more) => execFileSync(binary(), ['token', 'create', '--room', 'hall', '--identity', 'ada', ...more], { env: { ...process.env, ...keys }, encoding: 'utf8' }).trim();
  const tab = await openReader();
  try {
    const problem = () => text(tab, '[data-testid=library-problem] p');
    await tab.goto(`${server.url}/library/hall`);
    await until('an invitation is asked for', async () => /asks for an invitation/.test(await problem()));
    await tab.goto(`${server.url}/library/hall#token=${token()}`);
    await tab.reload();
    await until('the missing grant is told', async () => /does not include/.test(await problem()));
    await tab.goto(`${server.url}/library/hall#token=${token('--library', 'view')}`);
    await tab.reload();
    await until('all is listed', async () => (await listed(tab)).includes(ids.meeting));
    assert.equal(await tab.evaluate(() => document.querySelectorAll('[data-testid=item-delete], [data-testid=item-rename], [data-testid=item-share]').length), 0);
    // The tab knows its token still, and an item opens by it.
    await tab.goto(`${server.url}/library`);
    await tab.click('[data-testid=library-known]');
    await tab.appears(within(ids.meeting, 'item-title'));
    await tab.click(within(ids.meeting, 'item-title'));
    await tab.appears('[data-testid=player-play]');
    await tab.goto(`${server.url}/library/hall#token=${token('--record')}`);
    await tab.reload();
    await tab.appears(within(ids.meeting, 'item-delete'));
    await isWell(tab);
  } finally {
    await tab.close();
    await server.stop();
    rmSync(other, { recursive: true, force: true });
  }
});
