// Starts Debian's Chromium and Firefox on an empty page of a loopback web server (a secure context, so that cameras may be had).
// Run the scripts of this folder from a folder in which playwright-core and puppeteer-core are installed.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';

const require = createRequire(process.cwd() + '/');

const chromiumArgs = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection', '--disable-dev-shm-usage', '--disable-features=WebRtcHideLocalIpsWithMdns',
];

const firefoxPrefs = {
  'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true, 'media.gmp-manager.url': '',
  'media.peerconnection.ice.loopback': true, 'media.peerconnection.ice.obfuscate_host_addresses': false, 'app.update.enabled': false,
  'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false, 'browser.safebrowsing.downloads.remote.enabled': false,
  'media.autoplay.default': 0, 'services.settings.server': 'http://127.0.0.1:9/',
};

/** Opens an empty page; `name` is chromium or firefox. */
export async function open(name) {
  const server = createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>offers</title>'));
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const browser = name === 'chromium'
    ? await require('playwright-core').chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: chromiumArgs })
    : await require('puppeteer-core').launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true, protocolTimeout: 120_000, extraPrefsFirefox: firefoxPrefs });
  const page = await browser.newPage();
  page.on('console', message => console.log('  page:', message.text().slice(0, 400)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return { name, page, version: await browser.version(), close: async () => { await browser.close(); server.close(); } };
}
