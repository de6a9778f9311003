// What the page says of a recording that is not written, and of one that nobody there may end.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { binary } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const place = mkdtempSync(join(tmpdir(), 'althing-small-'));
const isSmall = mounts();
after(() => {
  if (isSmall) execFileSync('umount', ['-l', place]);
  rmSync(place, { recursive: true, force: true });
});

const keys = { ALTHING_AUTH__KEYS__MAIN: '0123456789abcdef0123456789abcdef' };
const folder = join(place, 'recordings');
mkdirSync(folder);
const stage = scene({ ...keys, ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** A file system of 8 MiB, where this process may mount one. */
function mounts() {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', place], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The room, as somebody with these grants is invited to it. @param {string} identity @param {string[]} more */
function invited(identity, ...more) {
  const token = execFileSync(binary(), ['token', 'create', '--room', 'hall', '--identity', identity, ...more], { env: { ...process.env, ...keys }, encoding: 'utf8' });
  return `hall#token=${token.trim()}`;
}

/** What something says at somebody's; undefined where it is not there. @param {import('../lib/person.mjs').Person} who @param {string} testid */
function said(who, testid) {
  return who.tab.evaluate((id) => document.querySelector(`[data-testid=${id}]`)?.textContent?.trim(), testid);
}

/** @param {import('../lib/person.mjs').Person} who @param {string} locale */
function speaks(who, locale) {
  return who.tab.evaluate((wanted) => {
    const select = /** @type {HTMLSelectElement} */ (document.querySelector('[data-testid=language]'));
    select.value = wanted;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  }, locale);
}

/** @param {import('../lib/person.mjs').Person} who @param {RegExp} what */
function isTold(who, what) {
  return until(`${who.name} is told ${what}`, async () => what.test((await said(who, 'notices')) ?? ''));
}

test('everybody sees that a recording pauses and for what, and that it goes on; whoever moderates ends it when its beginner is gone', { skip: !isSmall && 'this process may not mount a file system' }, async () => {
  const [ada, ben, cleo] = [await stage.person('Ada'), await stage.person('Ben'), await stage.person('Cleo')];
  await ada.join(stage.url, invited('ada', '--record'));
  await ben.join(stage.url, invited('ben'));
  await ada.sees('Ben');
  await ada.tab.click('[data-testid=people-toggle]');
  await ben.tab.click('[data-testid=people-toggle]');
  await ben.tab.evaluate(() => {
    const page = /** @type {any} */ (window);
    page.heard = [];
    page.althing.on('recording', (/** @type {any} */ told) => page.heard.push(told.recording && (told.recording.paused ?? 'written')));
  });
  await ada.tab.click('[data-testid=record]');
  for (const who of [ada, ben]) await until(`${who.name} sees that it is recorded`, async () => (await said(who, 'recording')) === 'Recording');

  const filler = join(place, 'filler');
  writeFileSync(filler, Buffer.alloc(7.5 * 2 ** 20));
  for (const who of [ada, ben]) {
    await isTold(who, /Recording paused: the server's disk is full/);
    assert.match((await said(who, 'recording-paused')) ?? '', /the server's disk is full/);
    assert.equal(await said(who, 'recording'), 'Recording paused');
  }
  await speaks(ben, 'zh-CN');
  await until('it is said in Chinese', async () => /录制已暂停：服务器磁盘已满/.test((await said(ben, 'recording-paused')) ?? ''));
  await speaks(ben, 'en');
  await cleo.join(stage.url, invited('cleo', '--moderate'));
  await until('who comes later sees it', async () => /disk is full/.test((await said(cleo, 'recording-paused')) ?? ''));

  rmSync(filler);
  for (const who of [ada, ben, cleo]) {
    await isTold(who, /recording again/);
    assert.deepEqual([await said(who, 'recording-paused'), await said(who, 'recording')], [undefined, 'Recording']);
  }
  assert.deepEqual(await ben.tab.evaluate(() => /** @type {any} */ (window).heard), ['written', 'disk_full', 'written']);

  await ada.leave();
  await until('Ada is gone', () => ben.tab.evaluate(() => /** @type {any} */ (window).althing.room.members.length === 1));
  assert.equal(await said(ben, 'recording-unattended'), undefined, 'Cleo may end it');
  await cleo.leave();
  await isTold(ben, /Nobody here can stop the recording/);
  assert.match((await said(ben, 'recording-unattended')) ?? '', /ends when everybody has left/);
  await cleo.join(stage.url, invited('cleo', '--moderate'));
  await until('somebody may end it', async () => (await said(ben, 'recording-unattended')) === undefined);
  assert.equal(await said(ben, 'recording'), 'Recording');
  await cleo.tab.click('[data-testid=people-toggle]');
  await cleo.tab.click('[data-testid=stop-recording]');
  await isTold(ben, /no longer records/);
  assert.equal(await said(ben, 'recording'), undefined);
  for (const who of [ben, cleo]) await who.isWell();
});
