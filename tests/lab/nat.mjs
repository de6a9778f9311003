// Direct calls through NATs, in network namespaces with real Chromiums and a real coturn: every kind of network with every other. As root.
//
// `node tests/lab/nat.mjs cone-cone symmetric-symmetric` tries some pairs; with `--prove` the figures go into docs/proof/nat.jsonl.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { sleep, until } from '../../web/e2e/lib/wait.mjs';
import { row, writeRows } from '../prove/rows.mjs';
import { SERVER } from './lib/namespaces.mjs';
import { KINDS, MAPPED, RELAY, SERVER6 } from './lib/nat.mjs';
import { inLab, openPerson } from './lib/people.mjs';

/** @typedef {import('./lib/nat.mjs').Kind} Kind */
/** @typedef {import('./lib/nat.mjs').NatLab} NatLab */
/** @typedef {import('../../web/e2e/lib/person.mjs').Person} Person */

const COMMAND = 'make prove-nat';
const { values: options, positionals: chosen } = parseArgs({
  allowPositionals: true,
  options: {
    prove: { type: 'boolean', default: false },
    /** One of each kind: what `make lab` tries. */
    short: { type: 'boolean', default: false },
    /** Frames have to go on for so long. */
    seconds: { type: 'string', default: '30' },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/proof/nat.jsonl', import.meta.url)) },
  },
});

/** Of each kind of way one. */
const SHORT = [
  'nat.direct.cone-cone',
  'nat.direct.symmetric-symmetric',
  'nat.coturn.symmetric-symmetric',
  'nat.server.walled-walled',
  'nat.tls.sealed-sealed',
  'nat.server.tls.sealed-sealed',
  'nat.ipv6.direct.six-six',
  'nat.ipv6.relay.sixwalled-sixwalled',
  'nat.ipv6.server.six-cone',
  'nat.mapped.stun.cone-cone',
];
/** Rows that were asked for, by their whole name or by that of the pair alone; all, if none was. */
const asked = options.short ? SHORT : chosen;

/** Two networks between which there is no direct way: the ports of the one are unknown, and the other only lets in whom it has sent to. */
const RELAYED = new Set(['cone-symmetric', 'symmetric-symmetric']);

/** Seconds that a call has to go on for without its server, which then comes back. */
const ALONE = 60;

/** With coturn instead: one of each kind of way. */
const COTURN = ['cone-cone', 'symmetric-symmetric', 'cone-blocked', 'blocked-blocked'];

/** The relay inside the server. The lab's public addresses are set aside for documentation, and would be refused. */
const OWN_RELAY = { ALTHING_TURN__ENABLED: 'true', ALTHING_TURN__PORT: '3478', ALTHING_TURN__ALLOW_PEERS: '203.0.113.0/24,198.51.100.0/24,2001:db8::/32', ALTHING_MEDIA__PORT: '40000' };
/** A server that is found by both families, or by IPv6 alone. */
const BOTH_FAMILIES = { ALTHING_MEDIA__BIND: `${SERVER},${SERVER6}` };
const SIX = { ALTHING_MEDIA__BIND: SERVER6 };

/** Where a server is found: by which host of a URL, or by which for each kind of network; what it binds for its page, and in which namespace. @typedef {{ host?: string, of?: (kind: Kind) => string, listen?: string, within?: string }} Place */
/** @type {Place} */
const PLAIN = { host: SERVER };
/** @type {Place} */
const DUAL = { of: (kind) => (kind.startsWith('six') ? `[${SERVER6}]` : SERVER), listen: '[::]' };

process.exit(await inLab(inside, options.prove));

/** @param {NatLab} lab */
async function inside(lab) {
  const secret = randomBytes(24).toString('hex');
  const relay = await startRelay(secret);
  const cache = mkdtempSync(join(tmpdir(), 'althing-lab-'));
  // Behind TLS, with the certificate that the page has.
  const sealed = { ...OWN_RELAY, ALTHING_TLS__MODE: 'dev', ALTHING_TLS__CACHE: cache, ALTHING_TURN__HOST: SERVER };
  const coturn = ['udp', 'tcp'].map((transport) => `turn:${RELAY}:3478?transport=${transport}`).join(',');
  const expected = (/** @type {string} */ name) => (name.includes('blocked') || RELAYED.has(name) ? 'relayed' : 'direct');
  try {
    const rows = [
      ...(await meet(lab, 'nat.direct', pairs(), expected, OWN_RELAY)),
      ...(await meet(lab, 'nat.coturn', only(...COTURN), expected, { ALTHING_ICE__URLS: coturn, ALTHING_ICE__SECRET: secret })),
      ...(await meet(lab, 'nat.server', [...pairs(), ...only('walled-walled', 'open-walled')], () => 'server', { ...OWN_RELAY, ALTHING_ROOMS__POLICY: 'sfu' })),
      ...(await meet(lab, 'nat.tls', only('sealed-sealed'), () => 'relayed', sealed)),
      ...(await meet(lab, 'nat.server.tls', only('sealed-sealed'), () => 'server', { ...sealed, ALTHING_ROOMS__POLICY: 'sfu' })),
      // The relay tells a browser how it is seen, too: the own STUN service is needed where there is none.
      ...(await meet(lab, 'nat.own_stun', only('cone-cone'), () => 'direct', {})),
      ...(await meet(lab, 'nat.without_stun', only('open-open'), () => 'direct', { ALTHING_ICE__STUN: 'false' })),
      ...(await meet(lab, 'nat.ipv6.direct', only('six-six'), () => 'direct', SIX, DUAL)),
      ...(await meet(lab, 'nat.ipv6.relay', only('sixwalled-sixwalled', 'sixwalled-six', 'six-cone'), () => 'relayed', { ...OWN_RELAY, ...BOTH_FAMILIES }, DUAL)),
      ...(await meet(lab, 'nat.ipv6.server', only('six-six', 'six-cone'), () => 'server', { ...BOTH_FAMILIES, ALTHING_ROOMS__POLICY: 'sfu' }, DUAL)),
      ...(await mapped(lab)),
      ...(await survives(lab, 'nat.outlives.direct', 'cone-cone', OWN_RELAY, 'goes on', 'goes on directly')),
      ...(await survives(lab, 'nat.outlives.coturn', 'symmetric-symmetric', { ALTHING_ICE__URLS: coturn, ALTHING_ICE__SECRET: secret }, 'goes on', 'goes on through the relay')),
      // What the server relays ends with it, and begins anew with the next one.
      ...(await survives(lab, 'nat.outlives.own_relay', 'symmetric-symmetric', OWN_RELAY, 'ends', 'stands still until')),
    ];
    if (options.prove) writeRows(options.out, rows);
    return rows.every(({ pass }) => pass) ? 0 : 1;
  } finally {
    relay.kill('SIGTERM');
    rmSync(cache, { recursive: true });
  }
}

/**
 * Two meet at a server with these settings, from each pair of networks.
 * @param {NatLab} lab @param {string} prefix @param {[Kind, Kind][]} pairs @param {(name: string) => string} expected @param {Record<string, string>} settings
 * @param {Place} [place]
 */
async function meet(lab, prefix, pairs, expected, settings, { host = SERVER, of = () => host, listen, within } = PLAIN) {
  /** @type {ReturnType<typeof row>[]} */
  const rows = [];
  const wanted = pairs.filter((pair) => isAsked(prefix, pair));
  if (wanted.length === 0) return rows;
  // One after another on the same ports.
  const where = { ...(listen ? { listen } : {}), ...(within ? { within } : {}) };
  const server = await startServer({ ALTHING_MEDIA__BIND: SERVER, ALTHING_ROOMS__POLICY: 'auto', ALTHING_LOG__LEVEL: 'warn', ...settings }, host, where);
  const urlOf = (/** @type {Kind} */ kind) => server.url.replace(host, of(kind));
  try {
    for (const [one, other] of wanted) {
      const name = `${one}-${other}`;
      const came = await attempt(lab, urlOf, one, other, expected(name)).catch((error) => ({ way: 'none', seconds: 0, why: String(error).split('\n')[0] }));
      const needed = expected(name) === 'none' ? 0 : Number(options.seconds);
      const pass = came.way === expected(name) && came.seconds >= needed;
      console.log(`${pass ? 'ok  ' : 'FAIL'} ${`${prefix}.${name}`.padEnd(34)} ${came.way} (expected ${expected(name)}), frames for ${came.seconds} s; ${came.why}`);
      rows.push(row(COMMAND, `${prefix}.${name}`, came.seconds, `s of frames, ${came.way}`, `>= ${needed}, ${expected(name)}`, pass));
    }
    // What goes by way of a server behind a NAT cannot be looked at from here.
    if (!within && expected('') !== 'server') rows.push(await carried(server.admin, prefix, settings));
  } finally {
    await server.stop();
  }
  return rows;
}

/**
 * What the server has carried of calls that went past it: no media; and not a byte, where it is no STUN service either.
 * @param {string} admin @param {string} prefix @param {Record<string, string>} settings
 */
async function carried(admin, prefix, settings) {
  const names = settings['ALTHING_ICE__STUN'] === 'false' ? ['received_bytes', 'sent_bytes'] : ['rtp_packets_received', 'rtp_packets_forwarded'];
  const text = await (await fetch(`${admin}/metrics`)).text();
  const lines = text.split('\n').filter((line) => names.some((name) => line.startsWith(`althing_${name}_total`)));
  // Each worker has a line of each.
  const sum = lines.length >= names.length ? lines.reduce((all, line) => all + Number(line.split(' ').at(-1)), 0) : Number.NaN;
  const unit = names[0]?.endsWith('bytes') ? 'bytes at the media ports' : 'packets of media at the server';
  console.log(`${sum === 0 ? 'ok  ' : 'FAIL'} ${`${prefix}.at_server`.padEnd(34)} ${sum} ${unit}`);
  return row(COMMAND, `${prefix}.at_server`, sum, unit, '0', sum === 0);
}

/**
 * A server behind a one-to-one NAT that knows its inner address only: it is reached if a STUN server tells it the other one, and else it is not.
 * @param {NatLab} lab
 */
async function mapped(lab) {
  const place = { host: MAPPED.outside, listen: '0.0.0.0', within: lab.mapped };
  const settings = { ALTHING_MEDIA__BIND: MAPPED.inside, ALTHING_ROOMS__POLICY: 'sfu' };
  const asking = { ...settings, ALTHING_MEDIA__STUN_SERVER: `${SERVER}:40000` };
  // Another node is the STUN server.
  const stun = await startServer({ ALTHING_MEDIA__BIND: SERVER, ALTHING_MEDIA__PORT: '40000', ALTHING_LOG__LEVEL: 'warn' }, SERVER);
  try {
    return [
      ...(await meet(lab, 'nat.mapped.unknown', only('cone-cone'), () => 'none', settings, place)),
      ...(await meet(lab, 'nat.mapped.stun', only('cone-cone', 'open-symmetric'), () => 'server', asking, place)),
      ...(await meet(lab, 'nat.mapped.relay', only('symmetric-symmetric'), () => 'relayed', { ...asking, ...OWN_RELAY, ALTHING_ROOMS__POLICY: 'auto' }, place)),
    ];
  } finally {
    await stun.stop();
  }
}

/**
 * The server is killed in the middle of a call and comes back a minute later: what goes past it goes on, and both are at it again with the same
 * connection; what it has relayed stands still until then. Meanwhile the pages say which.
 * @param {NatLab} lab @param {string} prefix @param {string} name @param {Record<string, string>} settings @param {'goes on' | 'ends'} expected
 * @param {string} says
 */
async function survives(lab, prefix, name, settings, expected, says) {
  const [pair] = only(name);
  if (!pair || !isAsked(prefix, pair)) return [];
  const server = await startServer({ ALTHING_MEDIA__BIND: SERVER, ALTHING_ROOMS__POLICY: 'auto', ALTHING_LOG__LEVEL: 'warn', ...settings }, SERVER);
  pair.forEach((kind, index) => lab.become(index === 0 ? 1 : 2, kind));
  const people = await Promise.all(/** @type {const} */ (['Ada', 'Ben']).map((who, index) => openPerson(lab, server.url, who, index + 1)));
  const [ada, ben] = people;
  /** The seconds, of so many, in which new frames have come at both ends. @param {number} seconds */
  const watched = async (seconds) => {
    let [before, good] = [await frames(ada, ben), 0];
    for (let second = 0; second < seconds; second += 1) {
      await sleep(1000);
      const now = await frames(ada, ben);
      good += now.every((count, index) => count > before[index]) ? 1 : 0;
      before = now;
    }
    return good;
  };
  try {
    for (const person of people) await person.join(server.url, 'outlives');
    for (const person of people) await person.travels('direct');
    await ada.sees('Ben');
    await ben.sees('Ada');
    await server.kill();
    const alone = await watched(ALONE);
    const stills = expected === 'ends' ? ALONE - alone : alone;
    const read = await Promise.all(people.map((person) => person.tab.evaluate(() => document.querySelector('[data-testid=reconnecting]')?.textContent ?? '')));
    const told = read.every((text) => text.includes(says));
    await server.again();
    const status = (/** @type {Person} */ person) => person.tab.evaluate(() => /** @type {any} */ (window).althing.status);
    await until('both are at the server again', async () => (await Promise.all(people.map(status))).every((is) => is === 'joined'), 60_000);
    if (expected === 'ends') {
      await ada.sees('Ben');
      await ben.sees('Ada');
    }
    const after = await watched(10);
    const made = await Promise.all(people.map((person) => person.diagnostics().then((/** @type {any} */ said) => said.direct)));
    const pass = told && (expected === 'ends' ? stills >= ALONE - 10 && after >= 9 : alone >= ALONE - 1 && after >= 9 && made.every((count) => count === 1));
    console.log(`${pass ? 'ok  ' : 'FAIL'} ${`${prefix}.${name}`.padEnd(34)} ${alone} of ${ALONE} s with frames without the server, ${after} of 10 s with it again; direct connections made: ${made}${told ? '' : `; read: ${read}`}`);
    const [unit, reach] = expected === 'ends' ? [`s without frames, of ${ALONE} without the server`, `>= ${ALONE - 10}, and media again with it`] : [`s with frames, of ${ALONE} without the server`, `>= ${ALONE - 1}, and the same connection afterwards`];
    return [row(COMMAND, `${prefix}.${name}`, stills, unit, reach, pass)];
  } catch (error) {
    console.log(`FAIL ${`${prefix}.${name}`.padEnd(34)} ${String(error).split('\n')[0]}`);
    return [row(COMMAND, `${prefix}.${name}`, 0, 's', String(error).split('\n')[0] ?? '', false)];
  } finally {
    for (const person of people) await person.close();
    // It may be gone: it was killed.
    await server.stop().catch(() => undefined);
  }
}

/** @param {string} prefix @param {[Kind, Kind]} pair */
function isAsked(prefix, [one, other]) {
  return asked.length === 0 || asked.includes(`${one}-${other}`) || asked.includes(`${prefix}.${one}-${other}`);
}

/** @param {string[]} names @returns {[Kind, Kind][]} */
function only(...names) {
  return names.map((name) => /** @type {[Kind, Kind]} */ (name.split('-')));
}

/** Every kind with every other and with itself. @returns {[Kind, Kind][]} */
function pairs() {
  return KINDS.flatMap((one, index) => KINDS.slice(index).map((other) => /** @type {[Kind, Kind]} */ ([one, other])));
}

/**
 * Two meet: how their call travels, and for how long frames of both went on. On a busy machine the relay may be there before the hole is
 * open: the browsers then begin with it, and go over to the better way within seconds.
 * @param {NatLab} lab @param {(kind: Kind) => string} urlOf @param {Kind} one @param {Kind} other @param {string} expected
 */
async function attempt(lab, urlOf, one, other, expected) {
  lab.become(1, one);
  lab.become(2, other);
  const urls = [urlOf(one), urlOf(other)];
  const people = await Promise.all(/** @type {const} */ (['Ada', 'Ben']).map((name, index) => openPerson(lab, urls[index] ?? '', name, index + 1)));
  const [ada, ben] = people;
  try {
    for (const [index, person] of people.entries()) await person.join(urls[index] ?? '', `${one}-${other}`);
    const via = async () => {
      const routes = await Promise.all(people.map((person) => person.route()));
      return routes.every((route) => (route.via === 'direct' && route.pair) || route.via === 'server') ? routes : undefined;
    };
    await until('both are connected', via, 30_000);
    await ada.sees('Ben');
    await ben.sees('Ada');
    await until(`their call is ${expected}`, async () => (await via())?.every((route) => kindOf(route) === expected), 30_000).catch(() => undefined);
    const begun = Date.now();
    let goes = begun;
    let before = await frames(ada, ben);
    // Frames have to come every three seconds at both ends, until they have come for so long. Meanwhile a better pair of candidates may be found: the
    // last one counts.
    while (goes - begun < Number(options.seconds) * 1000 && Date.now() - goes < 3000) {
      await sleep(1000);
      const now = await frames(ada, ben);
      if (now.every((count, index) => count > before[index])) goes = Date.now();
      before = now;
    }
    const [route] = (await via()) ?? [];
    if (!route) throw new Error('they are connected no longer');
    const { local, remote, protocol } = route.pair ?? {};
    const way = kindOf(route);
    const seconds = Math.round((goes - begun) / 1000);
    return { way, seconds, why: `${local}/${remote} ${protocol}` };
  } finally {
    for (const person of people) await person.close();
  }
}

/** @param {{ via: string, pair?: { local: string, remote: string } }} route */
function kindOf({ via, pair }) {
  if (via === 'server') return 'server';
  return pair?.local === 'relay' || pair?.remote === 'relay' ? 'relayed' : 'direct';
}

/** @param {Person[]} people */
async function frames(...people) {
  const [ada, ben] = people;
  return [(await ada.received('Ben')).frames, (await ben.received('Ada')).frames];
}

/** A coturn with this secret, as its manual has it for WebRTC. @param {string} secret */
async function startRelay(secret) {
  const args = ['-n', `--listening-ip=${RELAY}`, `--relay-ip=${RELAY}`, '--use-auth-secret', `--static-auth-secret=${secret}`, '--realm=althing', '--fingerprint'];
  const relay = spawn('turnserver', [...args, '--no-tls', '--no-dtls', '--no-cli', '--no-stun', '--log-file=stdout', '--pidfile=/dev/null', '--verbose'], {
    stdio: process.env['COTURN_LOG'] ? 'inherit' : 'ignore',
  });
  await until('coturn listens', () => connects(RELAY, 3478));
  return relay;
}

/** @param {string} host @param {number} port */
function connects(host, port) {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const end = (/** @type {boolean} */ is) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
