import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openChromium } from '../lib/browsers.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_HTTP__ORIGINS: '*' });
const GUIDE = fileURLToPath(new URL('../../../docs/CLIENT.md', import.meta.url));
const SDK = fileURLToPath(new URL('../../sdk/dist', import.meta.url));
/** @type {(() => unknown)[]} */
const ends = [];
after(() => Promise.all(ends.map((end) => end())));

/** The page of the guide as it stands there, with this test's server in the place of localhost:8080. */
function page() {
  const code = /```html\n([\s\S]*?)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1] ?? '';
  const lines = code.split('<script type="module">')[1]?.trim().split('\n').length ?? 0;
  assert.ok(lines > 10 && lines <= 23, `twenty lines, and the closing tag: ${lines}`);
  return code.replace('ws://localhost:8080', stage.url.replace('http', 'ws'));
}

/** A site of somebody else, with the page and the built SDK. */
function serve() {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path.startsWith('/sdk/') && !path.includes('..')) {
      const file = `${SDK}${path.slice(4)}`;
      if (!existsSync(file)) return void response.writeHead(404).end();
      return void response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(file));
    }
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page());
  });
  ends.push(() => server.close());
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`)));
}

test('the page of the client guide is a call: two people see and hear each other, and one who leaves is gone', async () => {
  const url = await serve();
  /** @type {import('../lib/browsers.mjs').Tab[]} */
  const tabs = [];
  for (let number = 0; number < 2; number += 1) {
    const tab = await openChromium({ prepare: () => undefined, argument: null });
    ends.push(() => tab.close());
    await tab.goto(url);
    tabs.push(tab);
  }
  for (const tab of tabs) {
    const look = () =>
      tab.evaluate(() => {
        const video = /** @type {HTMLVideoElement | null} */ (document.querySelector('main video'));
        const stream = /** @type {MediaStream | null} */ (video?.srcObject);
        return { tiles: document.querySelectorAll('main video').length, frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0, heard: stream?.getAudioTracks().some((track) => !track.muted) ?? false };
      });
    const before = await until('the other is there', async () => {
      const seen = await look();
      return seen.frames > 5 && seen.heard ? seen : undefined;
    }).catch((error) => assert.fail(`${error.message}: ${tab.console.join('\n')}`));
    assert.equal(before.tiles, 1, 'the other one, and nobody else');
    await until('pictures go on', async () => (await look()).frames > before.frames + 10);
  }
  const [ada, ben] = tabs;
  assert.ok(ada && ben);
  await ben.close();
  await until('who has left is gone', () => ada.evaluate(() => document.querySelectorAll('main video').length === 0), 90_000);
});
