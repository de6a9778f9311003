// The namespaces of the lab. The server is in one, each browser in another, and between them lies a third where its way is impaired:
//
//   browser n │ wan ── near-n │ middle │ far-n ── way-n │ server
//   10.77.n.2 │               │        │      10.77.n.1 │ 203.0.113.1
//
// Nothing routes from one browser to another, nor out of the machine.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';

/** The server's address, of a block for documentation (RFC 5737): it looks like a public one and is routed nowhere. */
export const SERVER = '203.0.113.1';
/** Browsers at a time. */
export const PLACES = 4;

const PREFIX = 'althing-lab';

/** The namespace of a part of the lab. */
export const namespaceOf = (/** @type {string} */ id, /** @type {string} */ part) => `${PREFIX}-${id}-${part}`;

/** Why no lab can be built here; empty if one can. */
export function missing() {
  if (process.platform !== 'linux') return 'network namespaces are of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  for (const [command, ...args] of [['ip', '-V'], ['ethtool', '--version']]) {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
    } catch {
      return `${command} is not installed`;
    }
  }
  const name = `${PREFIX}-${process.pid}-try`;
  try {
    ip('netns', 'add', name);
  } catch {
    return 'no network namespace can be made here';
  }
  ip('netns', 'del', name);
  return '';
}

export class Lab {
  /** What its namespaces are named after. */
  id = String(process.pid);
  server = namespaceOf(this.id, 'server');

  build() {
    sweep();
    const middle = namespaceOf(this.id, 'middle');
    for (const name of [this.server, middle]) add(name);
    ip('-n', this.server, 'address', 'add', `${SERVER}/32`, 'dev', 'lo');
    for (let place = 1; place <= PLACES; place++) {
      const browser = namespaceOf(this.id, `browser${place}`);
      add(browser);
      cable([browser, 'wan'], [middle, `near-${place}`]);
      cable([this.server, `way-${place}`], [middle, `far-${place}`]);
      ip('-n', browser, 'address', 'add', `10.77.${place}.2/24`, 'dev', 'wan');
      ip('-n', this.server, 'address', 'add', `10.77.${place}.1/24`, 'dev', `way-${place}`);
      ip('-n', browser, 'route', 'add', 'default', 'via', `10.77.${place}.1`);
    }
  }

  /** Ends what still runs inside, and takes everything down. */
  demolish() {
    demolish(this.id);
  }
}

/** @param {string} id */
export function demolish(id) {
  const names = list().filter((name) => name.startsWith(namespaceOf(id, '')));
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGKILL'])) {
    const inside = names.flatMap((name) => pids(name));
    for (const pid of inside) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
    const end = Date.now() + 3000;
    while (Date.now() < end && names.some((name) => pids(name).length > 0)) pause(50);
  }
  for (const name of names) {
    try {
      ip('netns', 'del', name);
    } catch {
      rmSync(`/run/netns/${name}`, { force: true });
    }
  }
}

/** Takes down labs whose process was killed before it could. */
export function sweep() {
  const ids = new Set(list().map((name) => new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1]));
  for (const id of ids) if (id && !existsSync(`/proc/${id}`)) demolish(id);
}

/** @param {string} name */
export function add(name) {
  ip('netns', 'add', name);
  // Router solicitations and the like would be packets that no test has sent.
  inside(name, 'sh', '-c', 'for which in all default; do echo 1 >/proc/sys/net/ipv6/conf/$which/disable_ipv6; done');
  ip('-n', name, 'link', 'set', 'lo', 'up');
}

/**
 * A cable between two devices of two namespaces. Both pass single packets with their checksums, as a wire does: the impaired way judges each.
 * @param {[string, string][]} ends
 */
export function cable(...ends) {
  const [[near, one], [far, other]] = ends;
  ip('-n', near, 'link', 'add', one, 'type', 'veth', 'peer', 'name', other, 'netns', far);
  for (const [name, device] of ends) {
    inside(name, 'ethtool', '-K', device, 'tx', 'off', 'rx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'sg', 'off');
    ip('-n', name, 'link', 'set', device, 'up');
  }
}

function list() {
  return existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`${PREFIX}-`)) : [];
}

/** @param {string} name */
function pids(name) {
  try {
    return execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** @param {string[]} args */
export function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** @param {string} name @param {string[]} command */
export function inside(name, ...command) {
  execFileSync('ip', ['netns', 'exec', name, ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** @param {number} ms */
function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
