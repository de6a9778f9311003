// A network namespace with an address that is not loopback: Firefox pairs with no other.
import { execFileSync, spawn } from 'node:child_process';

const MARK = 'E2E_NAMESPACE';
/** From the block for documentation (RFC 5737): it is routed nowhere. */
const ADDRESS = '192.0.2.10';
const GATEWAY = '192.0.2.1';

/** Whether this process runs inside of one. */
export function inNamespace() {
  return process.env[MARK] !== undefined;
}

/** Whether one can be made here. */
export function canEnter() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a command in a namespace of its own, with everything that it starts; returns its exit code.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<number>}
 */
export async function runInside(command, args) {
  const name = `althing-e2e-${process.pid}`;
  const inside = ['-n', name];
  ip('netns', 'add', name);
  try {
    ip(...inside, 'link', 'set', 'lo', 'up');
    ip(...inside, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far');
    ip(...inside, 'addr', 'add', `${ADDRESS}/24`, 'dev', 'near');
    ip(...inside, 'link', 'set', 'near', 'up');
    ip(...inside, 'link', 'set', 'far', 'up');
    ip(...inside, 'route', 'add', 'default', 'via', GATEWAY);
    const child = spawn('ip', ['netns', 'exec', name, command, ...args], { stdio: 'inherit', env: { ...process.env, [MARK]: name } });
    return await new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1))));
  } finally {
    ip('netns', 'del', name);
  }
}

/** @param {string[]} args */
function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
