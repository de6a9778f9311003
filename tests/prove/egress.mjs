// A call that a node sends to a WHIP server made of aiortc: what arrives there is decoded.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { row, writeRows } from './rows.mjs';

const [python = '', node = ''] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'althing-egress-'));
try {
  const file = join(folder, 'rows.jsonl');
  let failed = false;
  try {
    execFileSync(python, ['tests/whip/aiortc_server.py', node, file], { stdio: 'inherit' });
  } catch {
    failed = true;
  }
  const rows = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  writeRows('docs/proof/egress.jsonl', rows.map((it) => row('make prove-egress', it.row, it.value, it.unit, it.reach, it.pass)));
  if (failed) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
