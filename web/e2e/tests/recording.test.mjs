import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

const folder = mkdtempSync(join(tmpdir(), 'althing-recordings-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const stage = scene({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });

/** The manifests of what was recorded in a room. @param {string} room */
function manifests(room) {
  const all = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return all.map((name) => ({ ...JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8')), folder: join(folder, name) })).filter((it) => it.room === room);
}

/** What ffprobe says of a file. @param {string} file */
function probe(file) {
  const out = execFileSync('ffprobe', ['-v', 'error', '-count_frames', '-show_streams', '-show_format', '-of', 'json', file], { encoding: 'utf8' });
  const { streams, format } = JSON.parse(out);
  const of = (/** @type {string} */ type) => streams.find((/** @type {any} */ stream) => stream.codec_type === type);
  return { video: of('video'), audio: of('audio'), duration: Number(format.duration) };
}

/** Plays a file from start to end, and seeks to its middle. @param {import('../lib/person.mjs').Person} who @param {string} file */
async function plays(who, file) {
  const type = file.endsWith('.mp4') ? 'video/mp4' : 'video/webm';
  const server = createServer((request, response) => {
    const bytes = readFileSync(file);
    const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), range[2] ? Number(range[2]) : bytes.length - 1] : [0, bytes.length - 1];
    response.writeHead(range ? 206 : 200, {
      'content-type': type,
      'accept-ranges': 'bytes',
      'access-control-allow-origin': '*',
      'content-length': to - from + 1,
      ...(range ? { 'content-range': `bytes ${from}-${to}/${bytes.length}` } : {}),
    });
    response.end(bytes.subarray(from, to + 1));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  try {
    await who.tab.goto(`http://127.0.0.1:${port}/`);
    return await who.tab.evaluate(async (source) => {
      const video = document.createElement('video');
      video.muted = true;
      video.src = source;
      document.body.replaceChildren(video);
      const once = (/** @type {string} */ name) =>
        new Promise((resolve, reject) => {
          video.addEventListener(name, resolve, { once: true });
          video.addEventListener('error', () => reject(new Error(`cannot be played: ${video.error?.message}`)), { once: true });
          setTimeout(() => reject(new Error(`no ${name} within 30 s, at ${video.currentTime}`)), 30_000);
        });
      await once('loadedmetadata');
      const duration = video.duration;
      const sought = once('seeked');
      video.currentTime = duration / 2;
      await sought;
      const middle = video.currentTime;
      const back = once('seeked');
      video.currentTime = 0;
      await back;
      video.playbackRate = 2;
      const ended = once('ended');
      await video.play();
      await ended;
      return { duration, middle, end: video.currentTime, width: video.videoWidth, frames: video.getVideoPlaybackQuality().totalVideoFrames };
    }, `http://127.0.0.1:${port}/file`);
  } finally {
    server.close();
  }
}

for (const [codec, prefer] of [
  ['vp8', 'video/VP8'],
  ['h264', 'video/H264'],
  ...(whole ? [['vp9', 'video/VP9'], ['av1', 'video/AV1']] : []),
]) {
  test(`a call in ${codec} is recorded into files that play from start to end`, async () => {
    const room = `recorded-${codec}`;
    const ada = await stage.person('Ada', { prefer });
    const ben = await stage.person('Ben');
    await ada.join(stage.url, room);
    await ben.join(stage.url, room);
    await ada.sees('Ben');
    await ben.sees('Ada');
    await ada.tab.click('[data-testid=people-toggle]');
    const begun = Date.now();
    await ada.tab.click('[data-testid=record]');
    for (const who of [ada, ben]) await who.tab.appears('[data-testid=recording]');
    const told = Date.now();
    assert.equal(await ada.tab.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset['testid']), 'stop-recording', 'the focus stays where it is ended');
    await ben.tab.resize(360, 740);
    const name = await ben.tab.evaluate(() => {
      const { clientWidth, scrollWidth } = /** @type {Element} */ (document.querySelector('[data-testid=room-name]'));
      return { clientWidth, scrollWidth, page: document.documentElement.scrollWidth };
    });
    assert.ok(name.clientWidth >= Math.min(name.scrollWidth, 90) && name.page <= 360, `on a phone the room's name is left: ${JSON.stringify(name)}`);
    await ben.tab.resize(800, 600);
    await sleep(8_000);
    const least = (Date.now() - told) / 1_000;
    await ada.tab.click('[data-testid=stop-recording]');
    const length = (Date.now() - begun) / 1_000;
    await until('nobody is recorded any more', () => ben.tab.evaluate(() => !document.querySelector('[data-testid=recording]')));
    await until('they are told', () => ben.tab.evaluate(() => /no longer records/.test(document.querySelector('[data-testid=notices]')?.textContent ?? '')));
    const manifest = await until('the recording is whole', async () => manifests(room).find((it) => it.state === 'finished'));
    assert.deepEqual(manifest.members.map((/** @type {any} */ member) => member.name).sort(), ['Ada', 'Ben']);
    const id = await ben.idOf('Ada');
    for (const entry of manifest.files) {
      assert.equal(entry.state, 'complete');
      const found = probe(join(manifest.folder, entry.name));
      assert.ok(Math.abs(found.duration - entry.length / 1e6) < 0.1, `ffprobe says ${found.duration}, the manifest ${entry.length}`);
      assert.deepEqual([found.audio.codec_name, found.video?.codec_name], ['opus', entry.video]);
      assert.equal(entry.name.split('.')[1], entry.video === 'h264' ? 'mp4' : 'webm');
    }
    // A picture that comes late begins another file: what there is of a member follows one upon the other.
    for (const member of [id, await ada.idOf('Ben')]) {
      const files = manifest.files.filter((/** @type {any} */ entry) => entry.member === member);
      const covered = files.reduce((/** @type {number} */ sum, /** @type {any} */ entry) => sum + entry.length, 0) / 1e6;
      assert.ok(covered > least - 2.5 && covered < length + 0.5, `${covered} s of ${least} to ${length} s: ${JSON.stringify(files)}`);
    }
    const own = manifest.files.filter((/** @type {any} */ entry) => entry.member === id && entry.video === codec).sort((/** @type {any} */ a, /** @type {any} */ b) => b.length - a.length)[0];
    assert.ok(own?.length > 2e6, JSON.stringify(manifest.files));
    assert.ok(Number(probe(join(manifest.folder, own.name)).video.nb_read_frames) > 20);
    const played = await plays(ben, join(manifest.folder, own.name));
    await stage.dismiss(ada);
    await stage.dismiss(ben);
    assert.ok(Math.abs(played.duration - own.length / 1e6) < 0.1, JSON.stringify(played));
    assert.ok(Math.abs(played.middle - played.duration / 2) < 0.5 && played.end > played.duration - 0.2, JSON.stringify(played));
    assert.ok(played.width > 0 && played.frames > 20, JSON.stringify(played));
  });
}
