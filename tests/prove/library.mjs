// The part of `make prove-recording` that is a test: plays by ranges against a real node, and what strangers get.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-recording';
/** An answer that takes longer would be seen as a stall (ms). */
const REACH = 500;

const run = spawnSync('cargo', ['test', '--locked', '--test', 'library', '--', '--nocapture', '--test-threads', '1'], { encoding: 'utf8' });
const played = /(\d+) plays, (\d+) ranges with the right bytes, the slowest after (\d+) ms/.exec(run.stdout);
const refused = /(\d+) tokens, (\d+) links and (\d+) paths refused/.exec(run.stdout);
if (run.status !== 0 || !played || !refused) {
  console.error(run.stdout, run.stderr);
  throw new Error('the library has failed its test');
}
const [plays, ranges, slowest] = played.slice(1).map(Number);
const [tokens, links, paths] = refused.slice(1).map(Number);
writeRows(fileURLToPath(new URL('../../docs/proof/recording.jsonl', import.meta.url)), [
  row(COMMAND, 'library.plays', plays, 'plays with random seeks, right bytes', '>= 100', plays >= 100),
  row(COMMAND, 'library.ranges', ranges, 'ranges'),
  row(COMMAND, 'library.slowest', slowest, 'ms to the last byte of a range', `<= ${REACH}`, slowest <= REACH),
  row(COMMAND, 'library.accepted', 0, `of ${tokens} requests with foreign tokens, ${links} bad links, ${paths} path tricks`, '= 0', true),
]);
process.exit(slowest <= REACH ? 0 : 1);
