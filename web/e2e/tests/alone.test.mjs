import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene({ ALTHING_ROOMS__POLICY: 'auto' });

/** @type {('chromium' | 'firefox')[]} */
const browsers = ['chromium', 'firefox'];
for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;

  test(`who hangs up in ${browser} while the server is away is gone at the other end, which is told so and stays alone when the server is back`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await person.join(stage.url, `alone-${browser}`);
    await ada.sees('Ben');
    await ada.travels('direct');
    const member = await ada.idOf('Ben');
    await stage.server.kill();
    await until('Ada has lost the server', () => ada.tab.evaluate(() => /** @type {any} */ (window).althing.status === 'reconnecting'));
    assert.deepEqual(await ada.others(), ['Ben'], 'the call goes on');
    await ben.leave();
    await until('Ada reads that Ben has left', () => ada.tab.evaluate(() => document.querySelector('[data-testid=notices]')?.textContent?.includes('Ben left')));
    await ada.missesTile(member);
    assert.equal((await ada.route()).via, 'none');
    await stage.server.again();
    await until('Ada is back', () => ada.tab.evaluate(() => /** @type {any} */ (window).althing.status === 'joined'));
    assert.deepEqual(await ada.others(), []);
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

for (const browser of browsers) {
  const skip = browser === 'firefox' && !(installed.firefox && inNamespace()) ? 'SKIPPED: Firefox needs to be installed, and a network namespace (root)' : false;

  test(`a screen that is shared in ${browser} while the server is away is seen by the other end, and goes on when it is back`, { skip }, async () => {
    const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben', { browser })];
    for (const person of [ada, ben]) await person.join(stage.url, `shared-${browser}`);
    await ada.sees('Ben');
    await ada.travels('direct');
    await stage.server.kill();
    for (const person of [ada, ben]) await until(`${person.name} has lost the server`, () => person.tab.evaluate(() => /** @type {any} */ (window).althing.status === 'reconnecting'));
    await ben.tab.click('[data-testid=screen]');
    await ada.sees('Ben', { screen: true });
    await stage.server.again();
    for (const person of [ada, ben]) await until(`${person.name} is back`, async () => (await person.others()).length === 1 && (await person.tab.evaluate(() => /** @type {any} */ (window).althing.status)) === 'joined');
    await ada.sees('Ben', { screen: true });
    await ada.sees('Ben');
    assert.equal((await ada.diagnostics()).direct, 1, 'no connection was made anew');
    for (const person of [ada, ben]) {
      await person.isWell();
      await stage.dismiss(person);
    }
  });
}

test('whose browser is gone while the server is away is said to be lost when the server is back', async () => {
  const [ada, ben] = [await stage.person('Ada'), await stage.person('Ben')];
  for (const person of [ada, ben]) await person.join(stage.url, 'lost');
  await ada.sees('Ben');
  await ada.travels('direct');
  const member = await ada.idOf('Ben');
  await stage.server.kill();
  await stage.dismiss(ben);
  const banner = () => ada.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '');
  await until('Ada reads that Ben is lost, too', async () => (await banner()).includes('the server and to the other end'));
  await stage.server.again();
  await until('Ada reads that Ben has lost his connection', () => ada.tab.evaluate(() => document.querySelector('[data-testid=notices]')?.textContent?.includes('Ben lost')));
  await ada.missesTile(member);
  assert.deepEqual(await ada.others(), []);
  await ada.isWell();
  await stage.dismiss(ada);
});
