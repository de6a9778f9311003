// Runs the benches and writes what they print into docs/PERFORMANCE.md, between the marks. `node scripts/bench.mjs [NAME…]`
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';

const ALL = ['limit', 'forward', 'srtp', 'rewrite', 'signaling', 'join'];
const PAGE = 'docs/PERFORMANCE.md';
const chosen = process.argv.slice(2);
const names = chosen.length > 0 ? chosen : ALL;
const unknown = names.filter((name) => !ALL.includes(name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(' ')}; there are ${ALL.join(', ')}`);
  process.exit(64);
}

const git = (...args) => spawnSync('git', args, { encoding: 'utf8' }).stdout.trim();
const changed = git('status', '--porcelain', '--', '.', ':!docs') === '' ? '' : ' with changes';
const machine = `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Linux ${release().split('-')[0]}`;

for (const name of names) {
  const command = `cargo bench --locked --bench ${name}`;
  console.log(`==> ${command}`);
  const { stdout, status } = spawnSync('sh', ['-c', `${command} --quiet`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
  process.stdout.write(stdout);
  const rows = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  if (rows.length === 0) throw new Error(`${name} has printed no rows`);
  const text = [`\`${command}\` · ${git('rev-parse', '--short', 'HEAD')}${changed} · ${machine}`, '', ...tables(rows)].join('\n');
  const page = readFileSync(PAGE, 'utf8');
  const marked = new RegExp(`(<!-- bench:${name} -->\n)[^]*?(<!-- end -->)`);
  if (!marked.test(page)) throw new Error(`${PAGE} has no place for ${name}`);
  writeFileSync(PAGE, page.replace(marked, (_, begin, end) => `${begin}${text}\n${end}`));
}

/** One table for each set of columns, in the order of the rows. */
function tables(rows) {
  const groups = new Map();
  for (const { bench, ...row } of rows) {
    const columns = Object.keys(row).join('|');
    groups.set(columns, [...(groups.get(columns) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => {
    const columns = Object.keys(group[0]);
    const line = (cells) => `| ${cells.join(' | ')} |`;
    return [line(columns.map((c) => c.replaceAll('_', ' '))), line(columns.map(() => '---')), ...group.map((row) => line(Object.values(row))), ''];
  });
}
