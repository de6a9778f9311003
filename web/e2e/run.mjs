// Runs the tests with real browsers: `npm run e2e`, or `npm run e2e -- chat cut` for some of the files.
// As root it runs in a network namespace of its own, else what needs one is skipped, loudly.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { installed } from './lib/browsers.mjs';
import { canEnter, inNamespace, runInside } from './lib/namespace.mjs';

const TESTS = fileURLToPath(new URL('tests', import.meta.url));
const chosen = process.argv.slice(2);

if (!installed.chromium) {
  console.error('Chromium is not installed: apt-get install chromium (or set E2E_CHROMIUM)');
  process.exit(1);
}
if (!inNamespace() && canEnter()) process.exit(await runInside(process.execPath, process.argv.slice(1)));

const files = readdirSync(TESTS).filter((name) => name.endsWith('.test.mjs') && (chosen.length === 0 || chosen.some((wanted) => name.startsWith(wanted))));
if (files.length === 0) {
  console.error(`no such test: ${chosen.join(' ')}`);
  process.exit(1);
}
// One file after another: browsers are heavy, and tests of media judge time.
const args = ['--test', '--test-concurrency=1', '--test-timeout=180000', '--test-reporter=spec', ...files.map((name) => `${TESTS}/${name}`)];
spawn(process.execPath, args, { stdio: 'inherit' }).on('exit', (code) => process.exit(code ?? 1));
