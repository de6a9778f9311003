// `make prove-call`, the part without sockets: runs the test that counts allocations and writes what it counted.
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
const COMMAND = 'make prove-call';
const rows = [
  row(COMMAND, 'allocations_per_forward', allocations / forwards, 'allocations', '= 0', allocations === 0 && run.status === 0),
  row(COMMAND, 'allocations_forwards', forwards, 'packets'),
];
writeRows(fileURLToPath(new URL('../../docs/proof/call.jsonl', import.meta.url)), rows);
process.exit(run.status ?? 1);
