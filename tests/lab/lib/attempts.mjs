// Tests that judge time, on a machine that may have other things to do.
import { cpus } from 'node:os';
import { sleep } from '../../../web/e2e/lib/wait.mjs';

/** So often a test is tried while the machine is busy with other things. */
const MOST = 3;
/** The share of the cores that is idle when nothing else is to be waited for. The tests themselves take about a third. */
const CALM = 0.5;
const PATIENCE_MS = 90_000;
/** With less idle than this a browser's picture stands still without anybody's fault. */
const BUSY = 0.15;

/**
 * Runs a test. One that fails while the machine was busy is tried again; if it always was, nothing has been shown, which is a failure
 * only where figures are proven.
 * @param {import('node:test').TestContext} context
 * @param {{ dismiss(): Promise<void> }} stage
 * @param {{ forget(prefix: string): void, holds(prefix: string): void }} rows
 * @param {string} prefix of the names of its rows
 * @param {(room: string) => Promise<void>} work given a room of its own
 */
export async function attempts(context, stage, rows, prefix, work) {
  for (let attempt = 1; ; attempt++) {
    await calm();
    const since = times();
    try {
      await work(`${prefix.replaceAll('_', '-')}-${attempt}`);
      rows.holds(prefix);
      return;
    } catch (error) {
      const idle = idleSince(since);
      const busy = idle < BUSY;
      await stage.dismiss();
      if (!busy || (attempt === MOST && process.env['LAB_PROVE'])) throw error;
      rows.forget(prefix);
      const what = `the machine was busy (${Math.round(100 * idle)} % idle) when this failed: ${error instanceof Error ? error.message : error}`;
      if (attempt === MOST) {
        console.error(`\n*** SKIPPED: ${what}. Nothing was shown. ***\n`);
        return context.skip(what);
      }
      console.error(`*** Once more: ${what} ***`);
    }
  }
}

/** Waits for a while until the machine has nothing else to do. */
async function calm() {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    const since = times();
    await sleep(2000);
    if (idleSince(since) >= CALM) return;
  }
}

function times() {
  const all = cpus().map(({ times: { idle, ...busy } }) => ({ idle, all: idle + Object.values(busy).reduce((sum, ms) => sum + ms, 0) }));
  return { idle: all.reduce((sum, cpu) => sum + cpu.idle, 0), all: all.reduce((sum, cpu) => sum + cpu.all, 0) };
}

/** @param {ReturnType<typeof times>} since */
function idleSince(since) {
  const now = times();
  return (now.idle - since.idle) / Math.max(1, now.all - since.all);
}
