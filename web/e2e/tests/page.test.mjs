import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';

const stage = scene();

test('the page comes compressed, under a strict policy, and its files for ever', async () => {
  const page = await fetch(`${stage.url}/r/hall`, { headers: { 'accept-encoding': 'br' } });
  assert.equal(page.headers.get('content-encoding'), 'br');
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  const script = /src="(\/assets\/[^"]+)"/.exec(await page.text())?.[1] ?? '';
  const file = await fetch(stage.url + script);
  assert.match(file.headers.get('cache-control') ?? '', /immutable/);
});

test('on a narrow Chinese phone nothing sticks out, and the language can be changed during a call', async () => {
  const ada = await stage.person('Ada', { width: 360, height: 740, locale: 'zh-CN' });
  const fits = () => ada.tab.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
  await ada.tab.goto(`${stage.url}/r/phone`);
  await ada.tab.appears('[data-testid=preview] video');
  assert.equal(await ada.tab.evaluate(() => document.documentElement.lang), 'zh-CN');
  assert.ok(await fits(), 'the lobby fits');
  await ada.tab.fill('[data-testid=name]', 'Ada');
  await ada.tab.click('[data-testid=join]');
  await ada.tab.appears('[data-testid=call]');
  assert.ok(await fits(), 'the call fits');
  const label = () => ada.tab.evaluate(() => document.querySelector('[data-testid=leave]')?.getAttribute('aria-label'));
  assert.equal(await label(), '离开');
  await ada.tab.evaluate(() => {
    const select = /** @type {HTMLSelectElement} */ (document.querySelector('[data-testid=language]'));
    select.value = 'en';
    select.dispatchEvent(new Event('change', { bubbles: true }));
  });
  await until('the page is English', async () => (await label()) === 'Leave');
  await ada.isWell();
});

test('on a phone what is wrong is said where it is seen, and who has left a room finds it in the lobby', async () => {
  const ada = await stage.person('Ada', { width: 375, height: 667 });
  await ada.tab.goto(`${stage.url}/`);
  await ada.tab.appears('[data-testid=preview] video');
  await ada.tab.fill('[data-testid=room]', 'again');
  await ada.tab.click('[data-testid=join]');
  await ada.tab.appears('[data-testid=message]');
  const seen = await ada.tab.evaluate(() => {
    const message = /** @type {Element} */ (document.querySelector('[data-testid=message]'));
    const { left, width, top, height } = message.getBoundingClientRect();
    return document.elementFromPoint(left + width / 2, top + height / 2) === message;
  });
  assert.ok(seen, 'that a name is missing');
  await ada.tab.fill('[data-testid=name]', 'Ada');
  await ada.tab.click('[data-testid=join]');
  await ada.tab.appears('[data-testid=call]');
  await ada.leave();
  assert.equal(await ada.tab.evaluate(() => /** @type {HTMLInputElement} */ (document.querySelector('[data-testid=room]')).value), 'again');
  await ada.isWell();
  await stage.dismiss(ada);
});

test('in development mode the page says so, and keys work but not while writing', async () => {
  const ben = await stage.person('Ben');
  await ben.join(stage.url, 'keys');
  await ben.tab.appears('[data-testid=development]');
  await ben.tab.press('c');
  await ben.tab.appears('[data-testid=chat-input]');
  await ben.tab.press('m');
  const text = () => ben.tab.evaluate(() => /** @type {HTMLTextAreaElement | null} */ (document.querySelector('[data-testid=chat-input]'))?.value);
  assert.equal(await text(), 'm');
  await ben.tab.press('Escape');
  await until('the panel closes', async () => (await text()) === undefined);
  await ben.isWell();
});
