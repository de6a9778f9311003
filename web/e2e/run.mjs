// Runs the tests with real browsers: `npm run e2e`, `npm run e2e -- chat cut` for some of the files, `npm run e2e -- --all` for those too that
// take long.
// As root it runs in a network namespace of its own, else what needs one is skipped, loudly.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { installed } from './lib/browsers.mjs';
import { canEnter, inNamespace, runInside } from './lib/namespace.mjs';

const TESTS = fileURLToPath(new URL('tests', import.meta.url));
const all = process.argv.includes('--all');
const chosen = process.argv.slice(2).filter((argument) => argument !== '--all');
/** What `make test` has no time for: `make prove-page` has. */
const LONG = ['alone', 'article_direct', 'article_server', 'axe', 'blur', 'blur_firefox', 'churn', 'draining', 'encryption_refused', 'fallback_changes', 'fallback_follows', 'files', 'fullscreen', 'layouts', 'library_accessible', 'library_dialogs', 'library_recorded', 'limits', 'nothing_arrives', 'panels', 'picture', 'player', 'player_controls', 'record_here_crash', 'record_here_direct', 'record_here_direct_firefox', 'record_here_ends', 'record_here_server', 'record_here_server_firefox', 'recording_direct', 'recording_lips', 'recording_pauses', 'ring_ends', 'screenshot_editor', 'screenshot_firefox'];

if (!installed.chromium) {
  console.error('Chromium is not installed: apt-get install chromium (or set E2E_CHROMIUM)');
  process.exit(1);
}
if (!inNamespace() && canEnter()) process.exit(await runInside(process.execPath, process.argv.slice(1)));

const files = readdirSync(TESTS).filter((name) => name.endsWith('.test.mjs') && (chosen.length === 0 ? all || !LONG.includes(name.replace('.test.mjs', '')) : chosen.some((wanted) => name.startsWith(wanted))));
if (files.length === 0) {
  console.error(`no such test: ${chosen.join(' ')}`);
  process.exit(1);
}
// One file after another: browsers are heavy, and tests of media judge time. The limit is that of a file, all its tests together: the longest take two
// minutes where nothing else runs.
const args = ['--test', '--test-concurrency=1', '--test-timeout=480000', '--test-reporter=spec', ...files.map((name) => `${TESTS}/${name}`)];
// See lib/whole.mjs.
const env = { ...process.env, E2E_WHOLE: all || chosen.length > 0 ? '1' : '0' };
spawn(process.execPath, args, { stdio: 'inherit', env }).on('exit', (code) => process.exit(code ?? 1));
