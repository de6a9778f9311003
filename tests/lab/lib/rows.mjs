// The outcome of a test: a row of the proof, if one is made, and a failure where the reach is missed.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { row, writeRows } from '../../prove/rows.mjs';

const OUT = fileURLToPath(new URL('../../../docs/proof/lab.jsonl', import.meta.url));

/** Rows of a file of tests, written at its end where figures are to be proven. */
export function proof() {
  /** @type {import('../../prove/rows.mjs').Row[]} */
  let rows = [];
  after(() => {
    if (process.env['LAB_PROVE'] && rows.length > 0) writeRows(OUT, rows);
  });
  return {
    /**
     * Notes a figure; without a reach it only informs.
     * @param {string} name
     * @param {number} value
     * @param {string} unit
     * @param {'<=' | '>=' | '='} [relation]
     * @param {number} [bound]
     */
    note(name, value, unit, relation, bound = 0) {
      const rounded = Math.round(value * 10) / 10;
      const pass = relation ? (relation === '<=' ? value <= bound : relation === '>=' ? value >= bound : value === bound) : null;
      rows.push(row('make prove-lab', name, rounded, unit, relation ? `${relation} ${bound}` : null, pass));
      console.log(`${name.padEnd(40)} ${String(rounded).padStart(10)} ${unit.padEnd(8)} ${relation ? `${relation} ${bound}` : ''} ${pass === null ? '' : pass ? 'reached' : 'MISSED'}`);
    },
    /** What was noted of a name that begins so does not count. @param {string} prefix */
    forget(prefix) {
      rows = rows.filter((one) => !one.row.startsWith(prefix));
    },
    /** Everything noted of a name that begins so has reached what it must. @param {string} prefix */
    holds(prefix) {
      const missed = rows.filter((one) => one.row.startsWith(prefix) && one.pass === false);
      assert.deepEqual(missed.map((one) => `${one.row} is ${one.value} ${one.unit}, not ${one.reach}`), []);
    },
  };
}
