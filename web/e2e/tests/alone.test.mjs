import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { Person } from '../lib/person.mjs';
import { scene } from '../lib/scene.mjs';
import { startServer } from '../lib/server.mjs';
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
    for (const person of [ada, ben]) await person.travels('direct');
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
    for (const person of [ada, ben]) await person.travels('direct');
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

test('a server that is back and asks for invitations is said to refuse, while the call goes on directly', async () => {
  const server = await startServer({ ALTHING_ROOMS__POLICY: 'auto' });
  const [ada, ben] = [await Person.open('Ada'), await Person.open('Ben')];
  try {
    for (const person of [ada, ben]) await person.join(server.url, 'refused');
    await ada.sees('Ben');
    for (const person of [ada, ben]) await person.travels('direct');
    await server.kill();
    const reads = (/** @type {Person} */ person, /** @type {RegExp} */ what) =>
      until(`${person.name} reads ${what}`, async () => what.test(await person.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '')));
    for (const person of [ada, ben]) await reads(person, /^Connection to the server lost\. The call goes on directly/);
    await server.again({ ALTHING_AUTH__KEYS__MAIN: '0123456789abcdef0123456789abcdef' });
    for (const person of [ada, ben]) await reads(person, /does not let you in again\. It asks for an invitation by now: ask for a new link.*goes on directly\.$/);
    await ada.hears('Ben');
    await ben.sees('Ada');
    await ben.tab.evaluate(() => {
      const select = /** @type {HTMLSelectElement} */ (document.querySelector('[data-testid=language]'));
      select.value = 'zh-CN';
      select.dispatchEvent(new Event('change', { bubbles: true }));
    });
    await reads(ben, /服务器已恢复，但不让你重新加入。它现在需要邀请/);
    await server.kill();
    await reads(ada, /^Connection to the server lost\. The call goes on directly/);
    await server.again();
    await reads(ada, /does not let you in again/);
    await ben.leave();
    await until('the call is over for Ada, too, and why is said', () => ada.tab.evaluate(() => document.querySelector('[data-testid=message]')?.textContent?.includes('asks for an invitation')));
    for (const person of [ada, ben]) await person.isWell();
  } finally {
    await Promise.all([ada, ben].map((person) => person.close()));
    await server.stop();
  }
});
