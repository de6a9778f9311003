// `make attacks` and `make asvs`: runs the tests that show something of each class of attacks (classes.json), in all that they can be asked for, and
// writes a row for each into docs/proof. `--asvs`: those of OWASP ASVS 5.0 chapter V17, as `make unit` has them, as a table. `--doc` writes the table of docs/SECURITY.md;
// `--doc --check` fails where it is not that. Some classes may be named.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { row, writeRows } from '../prove/rows.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { classes, asvs } = JSON.parse(readFileSync(new URL('classes.json', import.meta.url), 'utf8'));
const { values: options, positionals } = parseArgs({ options: { asvs: { type: 'boolean' }, doc: { type: 'boolean' }, check: { type: 'boolean' } }, allowPositionals: true });

if (options.doc) document();
else if (options.asvs) await verify();
else await attack();

/** The classes, each with what runs. */
function document() {
  const file = `${ROOT}/docs/SECURITY.md`;
  const text = readFileSync(file, 'utf8');
  const name = (test) => `\`${test.split('::').at(-1).replace(/^[a-z0-9_]+:/, '')}\``;
  const shown = (tests) => (tests.length > 3 ? `${tests.slice(0, 3).map(name).join(', ')} and ${tests.length - 3} more` : tests.map(name).join(', '));
  const rows = classes.map(({ class: number, what, passes, tests }) => `| ${number} | ${what} | ${passes} | ${shown(tests)} |`);
  const table = ['| class | attack | what holds | shown by |', '|---|---|---|---|', ...rows].join('\n');
  const written = text.replace(/<!-- classes -->[\s\S]*?<!-- end -->/, `<!-- classes -->\n${table}\n<!-- end -->`);
  if (!options.check) writeFileSync(file, written);
  else if (written !== text) {
    console.error('docs/SECURITY.md does not list the classes as they are: node tests/attacks/run.mjs --doc');
    process.exitCode = 1;
  }
}

async function attack() {
  // T classes have figures of their own, which `cargo test --test attacks` writes.
  const chosen = classes.filter(({ class: name }) => (positionals.length > 0 ? positionals.includes(name) : !name.startsWith('T')));
  const results = await run(chosen.flatMap(({ tests }) => tests));
  const rows = chosen.map(({ class: name, tests }) => judged('make attacks', `attacks.${name}.tests`, tests, results));
  writeRows(`${ROOT}/docs/proof/attacks.jsonl`, rows);
  tell(chosen.map((one, index) => ({ number: one.class, text: `${one.what}: ${one.passes}`, row: rows[index] })), results);
}

async function verify() {
  const all = asvs.map((one) => ({ ...one, tests: [...one.classes.flatMap((name) => classes.find((c) => c.class === name).tests), ...one.tests] }));
  const results = await run(all.flatMap(({ tests }) => tests));
  const rows = all.map(({ number, tests }) => judged('make asvs', `asvs.V${number}`, tests, results));
  writeRows(`${ROOT}/docs/proof/asvs.jsonl`, rows);
  console.log('\nOWASP ASVS 5.0, chapter V17 (WebRTC)\n');
  tell(all.map((one, index) => ({ number: `V${one.number}`, text: `(L${one.level}) ${one.requirement}${one.page ? `: ${one.page}` : ''}`, row: rows[index], tests: one.tests })), results);
}

function judged(command, name, tests, results) {
  const passed = tests.filter((test) => results.get(test) === 'ok').length;
  return row(command, name, passed, `of ${tests.length} tests`, `= ${tests.length}`, passed === tests.length);
}

function tell(lines, results) {
  for (const { number, text, row, tests } of lines) {
    console.log(`${row.pass ? 'ok    ' : 'FAILED'} ${number.padEnd(9)} ${text} (${row.value} ${row.unit})`);
    if (tests) for (const test of tests) console.log(`         ${results.get(test) === 'ok' ? ' ' : '!'} ${test}`);
  }
  const [passed, failed] = [lines.filter(({ row }) => row.pass).length, lines.filter(({ row }) => !row.pass)];
  console.log(`\n${passed} of ${lines.length}`);
  for (const { number } of failed) console.log(`FAILED: ${number}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** Runs tests, one binary after another: what became of each. One that does not exist has failed. */
async function run(tests) {
  const results = new Map(tests.map((test) => [test, 'missing']));
  for (const [name, those] of grouped([...results.keys()])) {
    const names = those.map((test) => test.slice(name.length + 1));
    console.log(`==> ${name}: ${names.length} tests`);
    if (name === 'e2e') {
      for (const file of names) results.set(`e2e:${file}`, (await output(process.execPath, [`${ROOT}/web/e2e/run.mjs`, file])).code === 0 ? 'ok' : 'failed');
      continue;
    }
    const where = name === 'lib' ? ['--lib'] : ['--test', name];
    const { text } = await output('cargo', ['test', '--locked', ...where, '--', '--exact', ...names]);
    for (const [, test, what] of text.matchAll(/^test (\S+) \.\.\. (ok|FAILED|ignored)/gm)) results.set(`${name}:${test}`, what);
    for (const [test, what] of results) if (target(test) === name && what !== 'ok') console.log(`    ${what}: ${test}\n${text.slice(-2000)}`);
  }
  return results;
}

function target(test) {
  return test.slice(0, test.indexOf(':'));
}

function grouped(tests) {
  const groups = new Map();
  for (const test of tests) groups.set(target(test), [...(groups.get(target(test)) ?? []), test]);
  return groups;
}

function output(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ALTHING_ATTACKS_FULL: options.asvs ? '0' : '1', RUST_BACKTRACE: '0' }, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    child.on('error', (error) => resolve({ code: 1, text: String(error) }));
    child.on('exit', (code) => resolve({ code, text }));
  });
}
