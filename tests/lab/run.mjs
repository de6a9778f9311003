// Real browsers behind impaired ways, each in a network namespace of its own: `make prove-lab`, or `make lab` for the short one.
// Needs root. `node tests/lab/run.mjs capacity loss` runs some of the files; with `--prove` the figures go into docs/proof/lab.jsonl.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installed } from '../../web/e2e/lib/browsers.mjs';
import { Lab, missing } from './lib/namespaces.mjs';

const TESTS = fileURLToPath(new URL('tests', import.meta.url));

const { values: options, positionals: chosen } = parseArgs({
  allowPositionals: true,
  options: { prove: { type: 'boolean', default: false } },
});

const why = installed.chromium ? missing() : 'Chromium is not installed (apt-get install chromium)';
if (why) {
  const line = `*** SKIPPED: ${why}. Nothing was shown about browsers behind impaired ways. ***`;
  console.error(`\n${'*'.repeat(line.length)}\n${line}\n${'*'.repeat(line.length)}\n`);
  // A figure that is to be proven and cannot be has failed.
  process.exit(options.prove ? 1 : 0);
}

const files = readdirSync(TESTS).filter((name) => name.endsWith('.test.mjs') && (chosen.length === 0 || chosen.some((wanted) => name.startsWith(wanted))));
if (files.length === 0) {
  console.error(`no such test: ${chosen.join(' ')}`);
  process.exit(1);
}

const lab = new Lab();
/** @type {import('node:child_process').ChildProcess | undefined} */
let running;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => running?.kill('SIGTERM'));
let code = 1;
try {
  lab.build();
  // One after another: browsers are heavy, and these tests judge time.
  const args = ['--test', '--test-concurrency=1', '--test-timeout=1200000', '--test-reporter=spec', ...files.map((name) => `${TESTS}/${name}`)];
  running = spawn('ip', ['netns', 'exec', lab.server, process.execPath, ...args], {
    stdio: 'inherit',
    env: { ...process.env, LAB: lab.id, LAB_PROVE: options.prove ? '1' : '' },
  });
  code = await new Promise((resolve) => running?.on('exit', (status, signal) => resolve(signal ? 1 : (status ?? 1))));
} finally {
  lab.demolish();
}
process.exit(code);
