// Tests that judge time, on a machine that may have other things to do.
import { readFileSync } from 'node:fs';
import { sleep } from '../../../web/e2e/lib/wait.mjs';

/** So often a test is tried while the machine is busy with other things. */
const MOST = 3;
/** The share of the cores that is idle when nothing else is to be waited for. The tests themselves take about a third. */
const CALM = 0.5;
const PATIENCE_MS = 90_000;
/** With less idle than this a browser's picture stands still without anybody's fault. */
const BUSY = 0.15;
/** The share of the cores that the host gives to others: with more, they stand still for moments although there is nothing else to do here. */
const STOLEN = 0.05;

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
      const { idle, stolen } = sharesSince(since);
      const busy = idle < BUSY || stolen > STOLEN;
      await stage.dismiss();
      if (!busy || (attempt === MOST && process.env['LAB_PROVE'])) throw error;
      rows.forget(prefix);
      const what = `the machine was busy (${Math.round(100 * idle)} % idle, ${Math.round(100 * stolen)} % taken by its host) when this failed: ${error instanceof Error ? error.message : error}`;
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
    if (sharesSince(since).idle >= CALM) return;
  }
}

/** What all cores have done so far, in ticks; `os.cpus` does not tell what the host has given to others. */
function times() {
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, hard = 0, soft = 0, stolen = 0] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/).slice(1).map(Number);
  return { idle: idle + waiting, stolen, all: user + nice + system + idle + waiting + hard + soft + stolen };
}

/** @param {ReturnType<typeof times>} since */
function sharesSince(since) {
  const now = times();
  const all = Math.max(1, now.all - since.all);
  return { idle: (now.idle - since.idle) / all, stolen: (now.stolen - since.stolen) / all };
}
