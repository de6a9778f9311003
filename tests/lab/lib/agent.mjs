// Runs inside of a browser's namespace and drives the browser there: drivers talk to browsers over loopback, which each namespace
// has of its own. It is asked by messages, and ends when nobody can ask any more.
import { openChromium, openFirefox } from '../../../web/e2e/lib/browsers.mjs';

/** @type {import('../../../web/e2e/lib/browsers.mjs').Tab | undefined} */
let tab;

/** @param {string} source */
const revive = (source) => new Function(`return (${source})`)();

process.on('message', async (/** @type {any} */ { id, method, args }) => {
  try {
    process.send?.({ id, value: await perform(method, args) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
process.on('disconnect', () => void end());

/** @param {string} method @param {any[]} args */
async function perform(method, args) {
  if (method === 'open') {
    const [browser, { prepare, ...options }] = args;
    tab = await (browser === 'firefox' ? openFirefox : openChromium)({ ...options, prepare: revive(prepare) });
    return tab.browser;
  }
  if (!tab) throw new Error('no browser is open');
  if (method === 'console') return tab.console;
  if (method === 'evaluate') return tab.evaluate(revive(args[0]), args[1]);
  return /** @type {any} */ (tab)[method](...args);
}

async function end() {
  await tab?.close().catch(() => undefined);
  process.exit();
}
