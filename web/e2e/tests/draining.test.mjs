import process from 'node:process';
import { test } from 'node:test';
import { allMeet, scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_ROOMS__POLICY: 'sfu', ALTHING_DRAIN__SECONDS: '3600' });

test('a call is told that its server runs dry, and comes back with the next one', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'draining');
  await ben.join(stage.url, 'draining');
  await allMeet([ada, ben]);
  process.kill(stage.server.pid, 'SIGTERM');
  for (const person of [ada, ben]) {
    await until(`${person.name} is told how long it may take`, async () => /3600/.test(await person.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '')));
  }
  await allMeet([ada, ben]);
  await stage.server.kill();
  await stage.server.again();
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) {
    await until('the banner is gone', () => person.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]') === null));
  }
});
