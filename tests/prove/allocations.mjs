// The part of a proof without sockets: runs the test that counts allocations and writes what it counted.
// node allocations.mjs [VERB ROW FILE]
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { row, writeRows } from './rows.mjs';

const run = spawnSync('cargo', ['test', '--locked', '--test', 'allocations', '--', '--nocapture'], { encoding: 'utf8' });
const counts = [...run.stdout.matchAll(/^(\d+) allocations for (\d+) forwards$/gm)].map(([, allocations, forwards]) => [Number(allocations), Number(forwards)]);
if (counts.length === 0) {
  console.error(run.stdout, run.stderr);
  throw new Error('the test that counts allocations has counted nothing');
}
const allocations = counts.reduce((sum, [count]) => sum + count, 0);
const forwards = counts.reduce((sum, [, count]) => sum + count, 0);
const [verb = 'prove-call', name = 'allocations_per_forward', file = 'call'] = process.argv.slice(2);
const COMMAND = `make ${verb}`;
const rows = [
  row(COMMAND, name, allocations / forwards, 'allocations', '= 0', allocations === 0 && run.status === 0),
  row(COMMAND, name === 'allocs' ? 'allocs.forwards' : 'allocations_forwards', forwards, 'packets'),
];
writeRows(fileURLToPath(new URL(`../../docs/proof/${file}.jsonl`, import.meta.url)), rows);
process.exit(run.status ?? 1);
