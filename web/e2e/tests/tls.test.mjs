import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { installed } from '../lib/browsers.mjs';
import { inNamespace } from '../lib/namespace.mjs';
import { allMeet, scene } from '../lib/scene.mjs';

/** An address that other devices would use: browsers trust localhost even without TLS. */
const address = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find((each) => each.family === 'IPv4' && !each.internal)?.address;
const skip = address ? false : 'SKIPPED: this machine has no address but loopback: nothing was shown about TLS in browsers';
if (skip) console.error(`\n*** ${skip} ***\n`);

const cache = mkdtempSync(join(tmpdir(), 'althing-e2e-tls-'));
after(() => rmSync(cache, { recursive: true, force: true }));
const stage = scene({ ALTHING_TLS__MODE: 'dev', ALTHING_TLS__CACHE: cache }, address);
const plain = scene({}, address);

const certificate = () => new X509Certificate(readFileSync(join(cache, 'development.pem')));
/** Takes this certificate and no other that nobody has vouched for. */
const accepting = () => {
  const key = certificate().publicKey.export({ type: 'spki', format: 'der' });
  return { flags: [`--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`] };
};
const context = () => ({ secure: window.isSecureContext, devices: typeof navigator.mediaDevices, at: location.protocol });

test('without TLS, a page from another machine gets no camera; with a development certificate it does', { skip }, async () => {
  const ben = await plain.person('Ben', { ownDevices: true });
  await ben.tab.goto(`${plain.url}/healthz`);
  assert.deepEqual(await ben.tab.evaluate(context), { secure: false, devices: 'undefined', at: 'http:' });

  const ada = await stage.person('Ada', { ownDevices: true, width: 390, height: 844, ...accepting() });
  await ada.join(stage.url, 'camera');
  assert.deepEqual(await ada.tab.evaluate(context), { secure: true, devices: 'object', at: 'https:' });
  const artifacts = fileURLToPath(new URL('../artifacts', import.meta.url));
  mkdirSync(artifacts, { recursive: true });
  await ada.tab.screenshot(join(artifacts, 'tls-phone.png'));
  await ada.isWell();
});

test('two Chromiums see and hear each other by way of HTTPS at an address of the network', { skip }, async () => {
  const [ada, ben] = [await stage.person('Ada', accepting()), await stage.person('Ben', accepting())];
  for (const person of [ada, ben]) await person.join(stage.url, 'secure');
  await allMeet([ada, ben]);
  for (const person of [ada, ben]) {
    const loaded = await person.tab.evaluate(() => performance.getEntriesByType('resource').map((entry) => /** @type {PerformanceResourceTiming} */ (entry).nextHopProtocol));
    assert.ok(loaded.length > 0 && loaded.every((protocol) => protocol === 'h2'), `its files come by HTTP/2: ${loaded}`);
    await person.isWell();
  }
});

test('a browser that has not accepted the certificate is warned', { skip }, async () => {
  const cleo = await stage.person('Cleo');
  await assert.rejects(cleo.tab.goto(stage.url), /ERR_CERT_AUTHORITY_INVALID/);
});

const firefox = skip || (installed.firefox && inNamespace() ? false : 'SKIPPED: Firefox needs to be installed, and a network namespace (root)');

test('Chromium and Firefox see and hear each other by way of HTTPS', { skip: firefox }, async () => {
  const ada = await stage.person('Ada', accepting());
  const ben = await stage.person('Ben', { browser: 'firefox', accept: true });
  await ada.join(stage.url, 'both');
  await ben.join(stage.url, 'both');
  assert.equal((await ben.tab.evaluate(context)).secure, true);
  await allMeet([ada, ben]);
  await ada.isWell();
  await ben.isWell();
});

test('the certificate is for the address, and the same after a restart: what was accepted stays accepted', { skip }, async () => {
  const before = certificate();
  assert.equal(before.checkIP(address ?? ''), address);
  assert.equal(before.checkHost('localhost'), 'localhost');
  await stage.server.kill();
  await stage.server.again();
  assert.equal(certificate().fingerprint256, before.fingerprint256);
  // Whoever trusts it finds nothing wrong: neither with the names nor with the times.
  const status = await new Promise((resolve, reject) => get(stage.url, { ca: before.toString(), agent: false }, (response) => resolve(response.statusCode)).on('error', reject));
  assert.equal(status, 200);
});
