// The impaired way of a browser: the program `wan` in the middle namespace, and what it is asked.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { namespaceOf } from './namespaces.mjs';

const WAN = process.env['LAB_WAN'] ?? fileURLToPath(new URL('../../../target/debug/examples/wan', import.meta.url));

/**
 * What a direction does to what passes, as `wan/shape.rs` has it.
 * @typedef {object} Shape
 * @property {number} [capacity] bit/s; none passes everything
 * @property {number} [queue_ms]
 * @property {number} [delay_ms]
 * @property {number} [jitter_ms]
 * @property {boolean} [reorder]
 * @property {number} [loss] a share
 * @property {{ loss: number, length: number }} [burst]
 */

/**
 * @typedef {object} Counts cumulative, the queue's since the last `forget`
 * @property {number} came
 * @property {number} delivered
 * @property {number} delivered_bytes
 * @property {number} overflowed
 * @property {number} lost
 * @property {{ now: number, median: number, p95: number, greatest: number, packets: number }} queue_ms
 */

/** Of a wired connection that is more than ample for a call of 640×360. */
export const AMPLE = Object.freeze({ capacity: 10_000_000, queue_ms: 300, delay_ms: 10 });

export class Way {
  #child;
  /** @type {((reply: any) => void)[]} */
  #waiting = [];
  #over = '';

  /** @param {string} lab @param {number} place */
  constructor(lab, place) {
    // What delays packets must not itself be late because the browsers use the machine up.
    const command = ['netns', 'exec', namespaceOf(lab, 'middle'), 'nice', '-n', '-10', WAN, `near-${place}`, `far-${place}`];
    this.#child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('error', (error) => (this.#over = String(error)));
    this.#child.on('exit', (code) => {
      this.#over ||= `ended with ${code}`;
      for (const resolve of this.#waiting.splice(0)) resolve({ error: this.#over });
    });
    this.#child.stdin.on('error', () => undefined);
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#waiting.shift()?.(JSON.parse(line)));
  }

  /**
   * Shapes one or both directions anew; `down` is towards the browser. When it is so, on this machine's clock (ms).
   * @param {{ up?: Shape, down?: Shape }} shapes
   */
  async shape(shapes) {
    await this.#ask({ shape: shapes });
    return Date.now();
  }

  /** @returns {Promise<{ up: Counts, down: Counts, refused: number }>} */
  counts() {
    return this.#ask('count');
  }

  /** Lets the figures of the queues begin anew. */
  async forget() {
    await this.#ask('forget');
  }

  async stop() {
    if (this.#over) throw new Error(`a way ${this.#over} during the test`);
    this.#child.stdin.end();
    await new Promise((resolve) => (this.#over ? resolve(undefined) : this.#child.once('exit', resolve)));
  }

  /** @param {unknown} request @returns {Promise<any>} */
  async #ask(request) {
    if (this.#over) throw new Error(`the way ${this.#over}`);
    const reply = new Promise((resolve) => this.#waiting.push(resolve));
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await reply;
    if (answer.error) throw new Error(`the way says: ${answer.error}`);
    return answer;
  }
}
