// `make prove-deb`: a Debian that was made a moment ago boots, takes the package, and after `systemctl enable --now althing` serves calls: real
// browsers, directly and through the server, and the load tester of the package itself. Systemd is the real one, so the unit's hardening holds. As root.
// A package that is there already may be named.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allMeet } from '../../web/e2e/lib/scene.mjs';
import { Person } from '../../web/e2e/lib/person.mjs';
import { until } from '../../web/e2e/lib/wait.mjs';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-deb';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = `${ROOT}/docs/proof/deb.jsonl`;
const FOLDER = `${ROOT}/target/deb`;
const MACHINE = `${FOLDER}/machine`;
const PAGE = 'http://127.0.0.1:8080';

if (process.argv[2] === '--inside') await browsers();
else await prove();

async function prove() {
  if (process.getuid?.() !== 0) return console.log('*** SKIPPED: a machine of its own needs root. Nothing was shown of the package. ***');
  const deb = process.argv[2] ?? text(`${ROOT}/deploy/deb/build.sh`, [FOLDER]).trim();
  const fresh = `${FOLDER}/fresh.tar`;
  if (!existsSync(fresh)) {
    console.log('==> making a Debian (some minutes)');
    text('mmdebstrap', ['--variant=minbase', '--include=systemd', 'bookworm', `${FOLDER}/making.tar`]);
    renameSync(`${FOLDER}/making.tar`, fresh);
  }
  rmSync(MACHINE, { recursive: true, force: true });
  mkdirSync(MACHINE, { recursive: true });
  text('tar', ['-xf', fresh, '-C', MACHINE]);
  text('install', ['-m', '0644', deb, `${MACHINE}/althing.deb`]);

  const machine = spawn('unshare', ['-m', '-p', '-f', '-n', '-i', '-u', '-C', '--kill-child', `${ROOT}/tests/prove/deb/boot.sh`, MACHINE], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [machine.stdout, machine.stderr]) stream.on('data', (data) => (log += data));
  const rows = [];
  const fact = (name, value, unit, reach, pass) => rows.push(row(COMMAND, `deb.${name}`, value, unit, reach, pass));
  try {
    const init = await until('the machine has a first process', () => text('pgrep', ['-P', String(machine.pid)], true).trim() || undefined);
    const within = (...command) => text('nsenter', ['-t', init, '-m', '-p', '-n', '-i', '-u', '-C', ...command]);
    const tried = (...command) => text('nsenter', ['-t', init, '-m', '-p', '-n', '-i', '-u', '-C', ...command], true).trim();
    await until('the machine runs', () => machine.exitCode !== null || tried('systemctl', 'is-system-running') === 'running', 60_000);
    assert.equal(machine.exitCode, null, 'it runs on');

    assert.equal(tried('dpkg', '-l', 'althing'), '', 'it is not there yet');
    within('dpkg', '-i', '/althing.deb');
    fact('packages_missing', within('dpkg', '--audit').split('\n').filter(Boolean).length, 'complaints of dpkg about a minimal Debian with the package', '= 0', within('dpkg', '--audit') === '');
    fact('started_by_installing', Number(tried('systemctl', 'is-active', 'althing') === 'active'), '(a server that anybody may join is not started behind the back)', '= 0', tried('systemctl', 'is-active', 'althing') !== 'active');

    const begun = performance.now();
    within('systemctl', 'enable', '--now', 'althing');
    await until('it is ready', () => attempt(() => within('althing', 'healthcheck', '--ready')), 30_000).catch((error) => {
      console.error(tried('journalctl', '--no-pager', '-u', 'althing', '-n', '20'));
      console.error(tried('sh', '-c', 'althing healthcheck --ready 2>&1; echo "ends with $?"; systemctl --no-pager status althing'));
      throw error;
    });
    const seconds = (performance.now() - begun) / 1000;
    fact('ready_after_one_command', round(seconds), 's', '<= 10', seconds <= 10);

    const pid = within('systemctl', 'show', '-P', 'MainPID', 'althing').trim();
    const status = within('cat', `/proc/${pid}/status`);
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
    assert.equal(within('id', '-nu', String(uid)).trim(), 'althing');
    const of = (name) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1];
    fact('privileges', Number(`0x${of('CapEff')}`), 'capabilities (0x400: ports below 1024)', '= 1024', Number(`0x${of('CapEff')}`) === 0x400);
    fact('seccomp', Number(of('Seccomp')), '(2: system calls are filtered)', '= 2', of('Seccomp') === '2');
    const exposed = Number(/: ([\d.]+) /.exec(within('systemd-analyze', 'security', '--no-pager', 'althing').split('\n').filter((line) => line.includes('Overall')).join(''))?.[1]);
    fact('exposure', exposed, 'of 10, by systemd-analyze security', '<= 1.7', exposed <= 1.7);

    console.log('==> browsers');
    const inside = execFileSync('nsenter', ['-t', init, '-n', process.execPath, fileURLToPath(import.meta.url), '--inside'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 180_000 });
    const { direct, server } = JSON.parse(inside.trim().split('\n').at(-1));
    fact('browsers_directly', direct, 'frames that each of two saw of the other, at least', '> 5', direct > 5);
    fact('browsers_by_the_server', server, 'frames that each of three saw of each other, at least', '> 5', server > 5);

    console.log('==> the load tester');
    const load = JSON.parse(within('althing', 'load', '--publishers', '5', '--duration', '5', '--quiet', '--json', '-', '--expect-delivered', '99'));
    const delivered = (100 * load.total.delivered) / load.total.expected;
    fact('load_delivered', round(delivered), '% of what five people sent each other', '>= 99', delivered >= 99);

    // What the operator wrote outlives a new package, and what was recorded outlives the old one.
    appendFileSync(`${MACHINE}/etc/althing/althing.toml`, '\n[log]\nlevel = "warn"\n');
    within('dpkg', '-i', '/althing.deb');
    const kept = within('cat', '/etc/althing/althing.toml').includes('level = "warn"');
    fact('settings_kept', Number(kept), '(over a reinstallation)', '= 1', kept);
    await until('it is ready again', () => attempt(() => within('althing', 'healthcheck', '--ready')), 30_000);
    within('dpkg', '--purge', 'althing');
    const gone = tried('systemctl', 'is-active', 'althing') !== 'active' && !existsSync(`${MACHINE}/usr/bin/althing`) && !existsSync(`${MACHINE}/etc/althing/althing.toml`);
    fact('purged', Number(gone), '(stopped, binary and settings gone)', '= 1', gone);
    fact('state_kept', Number(existsSync(`${MACHINE}/var/lib/althing`)), '(the folder of recordings and certificates stays)', '= 1', existsSync(`${MACHINE}/var/lib/althing`));
  } catch (error) {
    console.error(log.slice(-3000));
    throw error;
  } finally {
    machine.kill('SIGKILL');
  }
  rmSync(MACHINE, { recursive: true, force: true });
  for (const { row, value, unit, reach, pass } of rows) console.log(`${pass ? 'ok    ' : 'FAILED'} ${row}: ${value} ${unit} (${reach})`);
  writeRows(OUT, rows);
  process.exitCode = rows.every(({ pass }) => pass) ? 0 : 1;
}

/** In the machine's network: two people meet, then a third. Prints what was seen. */
async function browsers() {
  const people = [];
  const least = async () => Math.min(...(await Promise.all(people.flatMap((person) => people.filter((other) => other !== person).map(async (other) => (await person.received(other.name)).frames)))));
  try {
    for (const name of /** @type {const} */ (['Ada', 'Ben'])) people.push(await Person.open(name));
    for (const person of people) await person.join(PAGE, 'deb');
    await allMeet(people);
    for (const person of people) await person.travels('direct');
    const direct = await least();
    people.push(await Person.open('Cleo'));
    await people[2].join(PAGE, 'deb');
    await allMeet(people);
    for (const person of people) await person.travels('server');
    console.log(JSON.stringify({ direct, server: await least() }));
  } finally {
    await Promise.all(people.map((person) => person.close()));
  }
}

/** What a command says; with `anyway` also when it fails. */
function text(command, args, anyway = false) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 590_000, maxBuffer: 1 << 26 });
  } catch (error) {
    if (anyway) return String(error.stdout ?? '');
    throw new Error(`${command} ${args.join(' ')}: ${error.stderr || error.stdout || error.message}`);
  }
}

function attempt(work) {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function round(value) {
  return Math.round(value * 1000) / 1000;
}
