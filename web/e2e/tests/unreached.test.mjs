import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../lib/scene.mjs';
import { until } from '../lib/wait.mjs';
import { whole } from '../lib/whole.mjs';

// Nobody has this address: whatever is sent to it is lost.
const stage = scene({ ALTHING_MEDIA__ANNOUNCE: '10.255.0.1' });

for (const locale of whole ? ['en', 'zh-CN'] : ['zh-CN']) {
  test(`whoever finds no way to the media is told why (${locale})`, async () => {
    const ada = await stage.person('Ada', { width: 390, height: 780, locale });
    await ada.tab.goto(`${stage.url}/r/nowhere`);
    await ada.tab.appears('[data-testid=preview] video');
    await ada.tab.fill('[data-testid=name]', 'Ada');
    await ada.tab.click('[data-testid=join]');
    await ada.tab.appears('[data-testid=call]');
    const text = () => ada.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '');
    const reason = locale === 'en' ? /No way to the server's media was found: UDP port \d+, TCP port \d+ are probably blocked/ : /UDP 端口 \d+, TCP 端口 \d+ 很可能在途中被拦截/;
    await until('the reason is shown', async () => reason.test(await text()), 60_000).catch(async (error) => ada.fail(`${error.message}, but: ${await text()}`));
    assert.equal(await ada.tab.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, 'it fits on a phone');
    const code = await ada.tab.evaluate(() => /** @type {any} */ (window).althing.unreached?.code);
    assert.equal(code, 'ports_blocked', 'the page is as near as the address: it is not to blame');
    await until('the log says it, too', () => /has not come up within 15 s: The server announces only addresses of a private network/.test(stage.server.log()));
    if (process.env['E2E_SCREENSHOTS']) await ada.tab.screenshot(`${process.env['E2E_SCREENSHOTS']}/unreached-${locale}.png`);
  });
}
