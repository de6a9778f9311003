// What a service is built on, one proof after the other, and one table of what they have shown. STEPS=dashboards,prove-events: these alone.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The proofs, with the files that their rows are in. What has no file has said all in its own output. */
const PROOFS = [
  { target: 'asvs', files: [] },
  { target: 'attacks', files: ['attacks'] },
  { target: 'prove-whip', files: ['whip'] },
  { target: 'dashboards', files: ['backend'] },
  { target: 'prove-events', files: ['events'] },
  { target: 'prove-deb', files: ['deb'] },
];
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const wanted = process.env.STEPS?.split(',');
const unknown = wanted?.filter((step) => !PROOFS.some(({ target }) => target === step)) ?? [];
if (unknown.length > 0) {
  console.error(`there is no step ${unknown.join(', ')}: ${PROOFS.map(({ target }) => target).join(', ')}`);
  process.exit(64);
}

/** Whether make has a target. */
const exists = (target) => spawnSync('make', ['--no-print-directory', '--dry-run', target], { cwd: ROOT, stdio: 'ignore' }).status === 0;

const begun = new Date();
const results = [];
for (const { target, files } of PROOFS.filter(({ target }) => wanted?.includes(target) ?? true)) {
  if (!exists(target)) {
    results.push({ target, rows: [], outcome: 'not there', minutes: 0 });
    continue;
  }
  const before = new Map(files.map((file) => [file, lines(file)]));
  const since = Date.now();
  const { status } = spawnSync('make', ['--no-print-directory', target], { cwd: ROOT, stdio: 'inherit' });
  const fresh = files.flatMap((file) => lines(file).filter((line) => !before.get(file)?.includes(line) || status === 0).map((line) => JSON.parse(line)));
  results.push({ target, rows: fresh, outcome: status === 0 ? 'passed' : 'failed', minutes: (Date.now() - since) / 60_000 });
}

/** The rows of a file, as they are written. */
function lines(file) {
  const path = `${ROOT}/docs/proof/${file}.jsonl`;
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

const cells = results.flatMap(({ target, rows = [], outcome, minutes }) => [
  [target, outcome, minutes > 0 ? `${minutes.toFixed(1)} min` : '', ''],
  ...rows.map(({ row, value, unit, reach, pass }) => [`  ${row}`, pass === null ? '' : pass ? 'ok' : 'MISSED', `${Math.round(value * 1_000) / 1_000} ${unit}`, reach ?? '']),
]);
const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => [...row[column]].length)));
console.log(`\nmake prove-backend, ${begun.toISOString().slice(0, 16).replace('T', ' ')} UTC: row, verdict, value, to be reached\n`);
for (const row of cells) console.log(row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd());

const failed = results.filter(({ outcome, rows = [] }) => outcome !== 'passed' || rows.some(({ pass }) => pass === false));
const missing = failed.filter(({ outcome }) => outcome === 'not there').map(({ target }) => target);
console.log(failed.length === 0 ? '\nall of it passed' : `\nnot shown: ${failed.map(({ target }) => target).join(', ')}`);
if (missing.length > 0) console.log(`of these there is no target (yet): ${missing.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
