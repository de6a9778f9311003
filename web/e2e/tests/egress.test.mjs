import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

// The server elsewhere is this one, which need not know that.
const stage = scene({ ALTHING_WHIP_OUT__ALLOW_HOSTS: '127.0.0.1', ALTHING_WHIP_OUT__ALLOW_HTTP: 'true', ALTHING_WHIP_OUT__ALLOW_NETWORKS: '127.0.0.0/8', ALTHING_MEDIA__BIND: '127.0.0.1' });

test('what is sent elsewhere is seen there, and everybody in the call is told for as long as it is', async () => {
  const ada = await stage.person('Ada');
  const ben = await stage.person('Ben');
  await ada.join(stage.url, 'here');
  await ben.join(stage.url, 'there');
  const member = await ada.tab.evaluate(() => /** @type {any} */ (window).althing.room.me.member);
  const place = `${stage.url}/api/v1/rooms/here/egress`;
  const begun = await fetch(place, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ member, url: `${stage.url}/whip/there/Cleo` }) });
  assert.equal(begun.status, 201);
  const { egress } = await begun.json();
  await ada.tab.appears('[data-testid=sent-elsewhere]');
  // There it is called as its URL says.
  await until('pictures and sound arrive there', async () => {
    const { frames, energy } = await ben.received('Cleo');
    return frames > 20 && energy > 0.01;
  });
  const told = () => ada.tab.evaluate(() => document.querySelector('[data-testid=sent-elsewhere]')?.getAttribute('aria-label') ?? '');
  assert.match(await told(), /Ada.*127\.0\.0\.1/);
  await until('it is live', async () => (await (await fetch(`${place}/${egress}`)).json()).state === 'live');
  const there = await ben.idOf('Cleo');
  assert.equal((await fetch(`${place}/${egress}`, { method: 'DELETE' })).status, 204);
  await until('nothing is sent any more', async () => (await told()) === '');
  await ben.missesTile(there);
  for (const who of [ada, ben]) await who.isWell();
});
