// A real server for the time of a test.
import { spawn } from 'node:child_process';
import { createSocket, Socket } from 'node:dgram';
import { existsSync, statSync } from 'node:fs';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { until } from './wait.mjs';

const TARGET = fileURLToPath(new URL('../../../target', import.meta.url));
const PAGE = fileURLToPath(new URL('../../app/dist/index.html', import.meta.url));

/** The binary: `E2E_SERVER`, else the newest of what cargo has built. */
export function binary() {
  const chosen = process.env['E2E_SERVER'];
  if (chosen) return chosen;
  const built = ['release', 'debug'].map((profile) => `${TARGET}/${profile}/althing`).filter((path) => existsSync(path));
  built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (!built[0]) throw new Error(`no server in ${TARGET}: build it with cargo build`);
  // The page is a part of a release binary: a change of the page alone would not be tried.
  if (built[0].includes('/release/') && statSync(PAGE).mtimeMs > statSync(built[0]).mtimeMs) throw new Error('the page is newer than the server, which holds an older one: cargo build');
  return built[0];
}

/**
 * Starts a server on free ports.
 * @param {Record<string, string>} settings more settings, as variables of the environment
 * @param {string} host where its page is served
 * @param {{ listen?: string, within?: string }} [place] `listen`: what it binds for that, where it is another address; `within`: the network namespace that it runs in
 */
export async function startServer(settings = {}, host = '127.0.0.1', { listen = host, within } = {}) {
  const [http, admin, media] = [await freePorts(1), await freePorts(1), await freePorts(WORKERS)];
  // Variables that begin with ALTHING_ are settings: those of the shell must not decide a test.
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ALTHING_')));
  const env = {
    ...inherited,
    ALTHING_HTTP__LISTEN: `${listen}:${http}`,
    ALTHING_ADMIN__LISTEN: `127.0.0.1:${admin}`,
    ALTHING_MEDIA__PORT: String(media),
    ALTHING_TURN__ENABLED: 'false',
    // What goes through the server is tried, unless a test says otherwise.
    ALTHING_ROOMS__POLICY: 'sfu',
    ...settings,
  };
  /** @type {string[]} */
  const log = [];
  const secure = (settings['ALTHING_TLS__MODE'] ?? 'off') !== 'off';
  const url = `${secure ? 'https' : 'http'}://${host}:${http}`;
  let server = await begin();

  async function begin() {
    const [command, ...args] = within ? ['ip', 'netns', 'exec', within, binary()] : [binary()];
    const child = spawn(command ?? '', args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const state = { child, over: '' };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => log.push(String(data)));
    child.on('error', (error) => (state.over = String(error)));
    child.on('exit', (code, signal) => (state.over ||= `exited with ${signal ?? code}`));
    await until('the server serves its page', async () => {
      if (state.over) throw new Error(`the server ${state.over}\n${log.join('')}`);
      return (await (secure ? statusOfStranger(url) : fetch(url).then((response) => response.status, () => undefined))) === 200;
    });
    return state;
  }

  return {
    url,
    get pid() {
      return server.child.pid ?? 0;
    },
    port: http,
    admin: `http://127.0.0.1:${admin}`,
    /** What it has logged. */
    log: () => log.join(''),
    /** Ends it at once, as a crash does. */
    async kill() {
      server.child.kill('SIGKILL');
      await until('the server is gone', () => server.over !== '');
    },
    /**
     * Starts it again after `kill`, with the same ports.
     * @param {Record<string, string>} [changed] settings that are others from now on
     */
    async again(changed = {}) {
      Object.assign(env, changed);
      server = await begin();
    },
    async stop() {
      if (server.over) throw new Error(`the server ${server.over} during the test\n${log.join('').slice(-4000)}`);
      server.child.kill('SIGINT');
      await until('the server stops', () => server.over !== '', 5000).catch(() => server.child.kill('SIGKILL'));
    },
  };
}

/**
 * The status of a page whose certificate nobody has vouched for.
 * @param {string} url
 * @returns {Promise<number | undefined>}
 */
function statusOfStranger(url) {
  return new Promise((resolve) => {
    const request = get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', () => resolve(undefined));
  });
}

/** Workers of a test's server at most, each with a port of its own, by UDP and by TCP. */
const WORKERS = 4;

/**
 * Where ports are looked for: below those that a system gives to whoever connects (Linux: from 32768), which could have one before the server
 * binds it, or while it is away.
 */
const [FIRST, LAST] = [20_000, 32_000];
/** Ports that somebody was given here: a server that is about to begin has not bound its own yet. */
const given = new Set();

/**
 * The first of so many ports on end that can be had, by UDP and by TCP.
 * @param {number} count
 * @returns {Promise<number>}
 */
async function freePorts(count) {
  for (;;) {
    const first = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.some((port) => given.has(port))) continue;
    const free = await Promise.all(ports.flatMap((port) => [bindable('udp', port), bindable('tcp', port)])).catch(() => undefined);
    if (!free) continue;
    for (const port of ports) given.add(port);
    return first;
  }
}

/**
 * Resolves when a port can be had; fails when it cannot.
 * @param {'udp' | 'tcp'} protocol
 * @param {number} port
 * @returns {Promise<void>}
 */
function bindable(protocol, port) {
  return new Promise((resolve, reject) => {
    const socket = protocol === 'udp' ? createSocket('udp4') : createServer();
    socket.once('error', reject);
    const bound = () => void socket.close(() => resolve());
    if (socket instanceof Socket) socket.bind(port, bound);
    else socket.listen(port, bound);
  });
}
