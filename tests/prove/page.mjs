// Every test with real browsers, those that `make test` leaves out for their length among them: a row for each file. `make prove-page`, or
// `node tests/prove/page.mjs record_here player.` for some (with a dot: that one alone). What a call is for has rows of its own, each backed by one test (`article.mjs`).
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cells, hasPassed } from './article.mjs';
import { row, writeRows } from './rows.mjs';

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const chosen = process.argv.slice(2);
const files = readdirSync(at('../../web/e2e/tests')).map((name) => name.replace('.test.mjs', '')).filter((name) => chosen.length === 0 || chosen.some((wanted) => `${name}.`.startsWith(wanted)));

let failed = 0;
for (const [index, name] of files.entries()) {
  // As told, with its dot: `record_here_direct` alone would be its sister, too.
  const { stdout } = spawnSync(process.execPath, [at('../../web/e2e/run.mjs'), `${name}.`], { encoding: 'utf8', maxBuffer: 1 << 26, cwd: at('../../web/e2e') });
  const count = (/** @type {string} */ what) => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(stdout)?.[1] ?? Number.NaN);
  const [tests, passed, skipped] = [count('tests'), count('pass'), count('skipped')];
  const pass = tests > 0 && passed === tests && skipped === 0;
  failed += pass ? 0 : 1;
  console.log(`${pass ? 'ok  ' : 'FAIL'} ${index + 1}/${files.length} ${name}: ${passed} of ${tests}${skipped ? `, ${skipped} skipped` : ''}`);
  if (!pass) console.log(stdout.slice(-3000));
  const shown = cells.filter(({ file }) => file === name).map(({ row: cell, test }) => row('make prove-page', cell, hasPassed(stdout, test) ? 1 : 0, `test: ${name}, “${test}”`, '1', hasPassed(stdout, test)));
  writeRows(at('../../docs/proof/page.jsonl'), [...shown, row('make prove-page', `page.${name}`, passed, `of ${tests} tests`, 'all', pass)]);
}
process.exit(failed === 0 ? 0 : 1);
