// People behind NATs, and the namespaces that they need.
import { spawn } from 'node:child_process';
import { installed } from '../../../web/e2e/lib/browsers.mjs';
import { prepare } from '../../../web/e2e/lib/inside.mjs';
import { PEOPLE, Person } from '../../../web/e2e/lib/person.mjs';
import { missing } from './namespaces.mjs';
import { NatLab } from './nat.mjs';
import { openTab } from './tab.mjs';

/**
 * Builds a lab, does something from its server's namespace, and takes it down: this program runs itself there.
 * @param {(lab: NatLab) => Promise<number>} act
 * @param {boolean} proves a figure that is to be proven and cannot be has failed
 * @returns {Promise<number>} the exit code
 */
export async function inLab(act, proves) {
  const id = process.env['LAB'];
  if (id) return act(new NatLab(id));
  const why = installed.chromium ? missing() : 'Chromium is not installed (apt-get install chromium)';
  if (why) {
    const line = `*** SKIPPED: ${why}. Nothing was shown about NATs. ***`;
    console.error(`\n${'*'.repeat(line.length)}\n${line}\n${'*'.repeat(line.length)}\n`);
    return proves ? 1 : 0;
  }
  const lab = new NatLab();
  try {
    lab.build();
    const child = spawn('ip', ['netns', 'exec', lab.server, process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, LAB: lab.id } });
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill('SIGTERM'));
    return await new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
  } finally {
    lab.demolish();
  }
}

/**
 * Somebody in a Chromium behind a NAT.
 * @param {NatLab} lab @param {string} url @param {import('../../../web/e2e/lib/person.mjs').Name} name @param {number} side
 */
export async function openPerson(lab, url, name, side) {
  const tab = await openTab(lab.id, side, 'chromium', {
    prepare,
    argument: { ...PEOPLE[name] },
    // The server's certificate is of its own making.
    flags: ['--ignore-certificate-errors', `--unsafely-treat-insecure-origin-as-secure=${url}`, '--disable-features=WebRtcHideLocalIpsWithMdns'],
  });
  return new Person(name, tab);
}
