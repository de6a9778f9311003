// `make prove-events`: a node is killed again and again while members come and go, and its receiver refuses, is slow and is told everything all the
// same. `tests/events.rs` does it and writes down each request; here they are looked at by somebody else's implementation of the signatures.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-events';
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { Webhook } = createRequire(new URL('../../web/e2e/package.json', import.meta.url))('standardwebhooks');

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/proof/events.jsonl', import.meta.url)) },
  },
});

const folder = mkdtempSync(join(tmpdir(), 'althing-events-'));
const file = join(folder, 'run.json');
const test = ['test', '--quiet', '--locked', '--test', 'events', '--', '--exact', '--nocapture'];
test.push('nothing_is_lost_and_nothing_out_of_order_when_the_node_is_killed_at_any_moment');
const env = { ...process.env, PROOF_EVENTS: options.events, PROOF_SEED: options.seed, PROOF_OUT: file };
console.log(`seed ${options.seed}`);
const done = spawnSync('cargo', test, { cwd: ROOT, env, stdio: 'inherit' });
if (done.status !== 0) process.exit(1);
const run = JSON.parse(readFileSync(file, 'utf8'));
rmSync(folder, { recursive: true });

const webhook = new Webhook(run.secret);
const headers = (request) => ({ 'webhook-id': request.id, 'webhook-timestamp': request.timestamp, 'webhook-signature': request.signature });
const fails = (request, body) => {
  try {
    webhook.verify(body, headers(request));
    return false;
  } catch {
    return true;
  }
};
const unsigned = run.requests.filter((request) => fails(request, request.body)).length;
const forged = run.requests.filter((request) => !fails(request, request.body.replace('"seq":', '"seq":1'))).length;

const taken = run.requests.filter((request) => request.taken);
const ids = new Set();
const first = taken.filter(({ id }) => !ids.has(id) && ids.add(id));
const lost = run.log.filter((event) => !ids.has(event.id)).length;
const sessions = new Map();
for (const { body } of first) {
  const { session, seq } = JSON.parse(body);
  sessions.set(session, [...(sessions.get(session) ?? []), seq]);
}
let disorder = 0;
for (const numbers of sessions.values()) disorder += numbers.filter((seq, i) => seq !== i + 1).length;

const none = (name, value, unit) => row(COMMAND, name, value, unit, '= 0', value === 0);
const rows = [
  row(COMMAND, 'events', run.log.length, 'events', `>= ${options.events}`, run.log.length >= Number(options.events)),
  row(COMMAND, 'events_kills', run.kills, 'kills'),
  none('events_lost', lost, 'events'),
  none('events_out_of_order', disorder, 'events'),
  none('events_signatures_wrong', unsigned, 'requests'),
  none('events_forgeries_passed', forged, 'requests'),
  row(COMMAND, 'events_delivered_again', taken.length - first.length, 'requests'),
  row(COMMAND, 'events_refused_or_late', run.requests.length - taken.length, 'requests'),
  row(COMMAND, 'events_joins', run.inside, 'joins'),
  row(COMMAND, 'events_joins_unbilled', run.unbilled, 'joins'),
];
writeRows(options.out, rows);
for (const { row: name, value, unit, reach, pass } of rows) {
  console.log(`${pass === false ? 'MISSED' : pass ? 'ok' : '  '}\t${name}\t${value} ${unit}${reach ? ` (${reach})` : ''}`);
}
process.exit(rows.some((row) => row.pass === false) ? 1 : 0);
