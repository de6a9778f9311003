// Rows of a proof, one JSON object a line; the same as `row.rs` writes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname } from 'node:path';

/** @typedef {{ row: string, value: number, unit: string, reach: string | null, pass: boolean | null, command: string, commit: string, machine: string }} Row */

/**
 * A row of a run of `command`; `reach` and `pass` are null for a figure that only informs.
 * @param {string} command
 * @param {string} name
 * @param {number} value
 * @param {string} unit
 * @param {string | null} [reach]
 * @param {boolean | null} [pass]
 * @returns {Row}
 */
export function row(command, name, value, unit, reach = null, pass = null) {
  return { row: name, value, unit, reach, pass, command, commit: commit(), machine: machine() };
}

/**
 * Writes the rows into `file`, in place of older ones of the same names; rows of other proofs stay.
 * @param {string} file
 * @param {Row[]} rows
 */
export function writeRows(file, rows) {
  const names = new Set(rows.map((row) => row.row));
  const before = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  const kept = before.filter((line) => !names.has(JSON.parse(line).row));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, [...kept, ...rows.map((row) => JSON.stringify(row))].map((line) => `${line}\n`).join(''));
}

function commit() {
  const git = (/** @type {string[]} */ ...args) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    const head = git('rev-parse', '--short', 'HEAD');
    return git('status', '--porcelain', '--', '.', ':!docs/proof') ? `${head} with changes` : head;
  } catch {
    return 'unknown';
  }
}

function machine() {
  return `${cpus()[0].model.trim()}, ${cpus().length} cores, Linux ${release().split('-')[0]}`;
}
