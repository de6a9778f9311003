import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { inNamespace } from '../lib/namespace.mjs';
import { allMeet, scene } from '../lib/scene.mjs';
import { sleep, until } from '../lib/wait.mjs';

const NFT = '/usr/sbin/nft';
const skip = inNamespace() && existsSync(NFT) ? false : 'SKIPPED: cutting the path of media takes a network namespace and nftables: run as root on Linux';
if (skip) console.error(`\n*** ${skip} ***\n`);

const stage = scene();

test('when the path of media is lost for ten seconds, ICE restarts on the same connection and nothing is published again', { skip }, async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'dark');
  await ben.join(stage.url, 'dark');
  await allMeet([ada, ben]);
  const tracks = await ada.tab.evaluate(() => JSON.stringify(/** @type {any} */ (window).althing.room.members[0].tracks));

  execFileSync(NFT, ['-f', '-'], { input: 'table inet dark { chain input { type filter hook input priority 0; meta l4proto udp drop; }; }' });
  await sleep(10_000);
  execFileSync(NFT, ['delete', 'table', 'inet', 'dark']);

  for (const person of [ada, ben]) {
    await until(`${person.name} is connected again`, () => person.tab.evaluate(() => /** @type {any} */ (window).althing.mediaState === 'connected'));
    assert.equal((await person.diagnostics()).connections, 1);
  }
  await allMeet([ada, ben]);
  assert.equal(await ada.tab.evaluate(() => JSON.stringify(/** @type {any} */ (window).althing.room.members[0].tracks)), tracks);
});
