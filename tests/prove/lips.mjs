// `make prove-call`, the part with browsers: whether lips stay in sync, and which cipher the browsers end up with.
//
// Flash-and-beep media go once from connection to connection and once through the server; the medians of what a viewer has
// between flash and beep are compared. As root this runs in a network namespace (Firefox pairs with no loopback address).
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installed, openChromium, openFirefox } from '../../web/e2e/lib/browsers.mjs';
import { canEnter, inNamespace, runInside } from '../../web/e2e/lib/namespace.mjs';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-call';
/** Each way is measured so often, in turns, so that a drift of the machine meets both. */
const ROUNDS = 2;
const REACH = 40;

const { values: options } = parseArgs({
  options: {
    flashes: { type: 'string', default: '26' },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/proof/call.jsonl', import.meta.url)) },
    'without-server': { type: 'boolean', default: false },
  },
});

if (!options['without-server'] && !inNamespace() && canEnter()) process.exit(await runInside(process.execPath, process.argv.slice(1)));

const page = await servePage();
const rows = [];
let failed = false;
if (options['without-server']) await tryWithoutServer();
else await prove();
page.close();
if (rows.length > 0) writeRows(options.out, rows);
process.exit(failed || rows.some(({ pass }) => pass === false) ? 1 : 0);

async function prove() {
  // The page is not the server's own.
  const server = await startServer({ ALTHING_HTTP__ORIGINS: '*', ALTHING_LOG__LEVEL: 'warn' });
  const url = `ws://127.0.0.1:${server.port}/ws`;
  try {
    if (installed.chromium) await attempt('Chromium', () => chromium(url));
    else console.log('*** SKIPPED: Chromium is not installed. Nothing was shown about lips. ***');
    if (!installed.firefox) console.log('*** SKIPPED: Firefox is not installed. ***');
    else if (!inNamespace()) console.log('*** SKIPPED: Firefox needs a network namespace, and that needs root. ***');
    else await attempt('Firefox', () => firefox(url));
  } finally {
    await server.stop();
  }
}

/** What one browser shows is kept when the other fails. */
async function attempt(browser, work) {
  try {
    await work();
  } catch (error) {
    failed = true;
    console.error(`${browser} failed:`, error);
  }
}

async function chromium(url) {
  const tab = await openChromium({ prepare: () => undefined, argument: null });
  try {
    await tab.goto(page.url);
    await tab.appears('#ready');
    const [direct, through, ciphers] = [[], [], []];
    const flashes = Math.ceil(Number(options.flashes) / ROUNDS);
    for (let round = 0; round < ROUNDS; round++) {
      direct.push(...say('without the server', await tab.evaluate((n) => window.prove.direct(n), flashes)).offsets);
      const measured = await tab.evaluate(([at, room, n]) => window.prove.through(at, room, n), [url, `lips-${round}`, flashes]);
      through.push(...say('through the server', measured).offsets);
      ciphers.push(...measured.ciphers);
    }
    addLips(direct, through);
    addCipher('srtp_gcm_chromium', ciphers, tab.browser);
  } finally {
    await tab.close();
  }
}

async function firefox(url) {
  const tab = await openFirefox({ prepare: () => undefined, argument: null });
  try {
    await tab.goto(page.url);
    await tab.appears('#ready');
    addCipher('srtp_gcm_firefox', await tab.evaluate(([at, room]) => window.prove.ciphers(at, room), [url, 'ciphers']), tab.browser);
  } finally {
    await tab.close();
  }
}

function addLips(direct, through) {
  const enough = Math.min(direct.length, through.length) >= 20;
  const difference = Math.abs(median(through) - median(direct));
  add('lips_ms', round(difference), 'ms', `<= ${REACH}`, enough && difference <= REACH);
  add('lips_direct_ms', round(median(direct)), 'ms');
  add('lips_through_ms', round(median(through)), 'ms');
  add('lips_flashes', Math.min(direct.length, through.length), 'flashes', '>= 20', enough);
}

function addCipher(name, ciphers, browser) {
  const gcm = ciphers.filter((cipher) => cipher.includes('AEAD_AES_128_GCM')).length;
  console.log(`${browser}: ${ciphers.join(', ')}`);
  add(name, gcm, 'transports', `= ${ciphers.length}`, ciphers.length > 0 && gcm === ciphers.length);
}

function add(...cells) {
  const added = row(COMMAND, ...cells);
  rows.push(added);
  const verdict = added.pass === null ? '' : added.pass ? 'reached' : 'MISSED';
  console.log(`${added.row.padEnd(32)} ${String(added.value).padStart(14)} ${added.unit.padEnd(10)} ${added.reach ?? ''} ${verdict}`);
}

/** How steady the measurement itself is: no row comes of it. */
async function tryWithoutServer() {
  const tab = await openChromium({ prepare: () => undefined, argument: null });
  try {
    await tab.goto(page.url);
    await tab.appears('#ready');
    for (let round = 0; round < 3; round++) say('without the server', await tab.evaluate((n) => window.prove.direct(n), Number(options.flashes)));
  } finally {
    console.log(tab.console.join('\n'));
    await tab.close();
  }
}

function say(what, measured) {
  const sorted = measured.offsets.toSorted((a, b) => a - b);
  const at = (share) => round(sorted[Math.floor(share * (sorted.length - 1))]);
  const reckoned = measured.skews.length > 0 ? `; the browser reckons ${round(median(measured.skews))} ms` : '';
  console.log(`${what}: ${sorted.length} flashes, the beep comes ${at(0.5)} ms after (${at(0)} … ${at(1)})${reckoned}`);
  return measured;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

/** An empty page with our scripts, on loopback: a secure context, which AudioWorklets need. */
async function servePage() {
  const script = (name) => readFileSync(new URL(`lips/${name}`, import.meta.url));
  const files = {
    '/': ['text/html', '<!doctype html><title>lips</title><script type="module">await import("/page.js"); document.body.innerHTML = "<p id=ready>ready"</script><body></body>'],
    '/page.js': ['text/javascript', script('page.js')],
    '/onset.js': ['text/javascript', script('onset.js')],
  };
  const server = createServer(({ url }, response) => {
    const [type, body] = files[url] ?? ['text/plain', ''];
    response.writeHead(files[url] ? 200 : 404, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
