// `make prove-whip`: other people's clients publish by WHIP and play by WHEP, and what comes out at the far side is decoded and looked at: the
// colour and the tone that nobody else has. A row for each, into docs/proof/whip.jsonl. `node tests/prove/whip.mjs GStreamer` for some.
//
// As root this runs in a network namespace (Firefox pairs with no loopback address).
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { installed, openChromium, openFirefox } from '../../web/e2e/lib/browsers.mjs';
import { prepare } from '../../web/e2e/lib/inside.mjs';
import { canEnter, inNamespace, runInside } from '../../web/e2e/lib/namespace.mjs';
import { PEOPLE } from '../../web/e2e/lib/person.mjs';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { until } from '../../web/e2e/lib/wait.mjs';
import { end, looked, play, publish, restart } from '../../web/e2e/lib/whip.mjs';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-whip';
/** Frames that are decoded, one after another, of the right colour. */
const ENOUGH = 40;
const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = process.env['WHIP_PYTHON'] ?? at('../../target/aiortc/bin/python');
const GSTREAMER = process.env['WHIP_GSTREAMER'] ?? at('../../target/gstreamer/release/whip-gstreamer');
const DATACHANNEL = at('../whip/datachannel/publish.mjs');
const chosen = process.argv.slice(2);

if (!inNamespace() && canEnter()) process.exit(await runInside(process.execPath, process.argv.slice(1)));

/** Who is published: a colour and a tone. */
const who = (/** @type {keyof typeof PEOPLE} */ name) => {
  const { camera, tone } = PEOPLE[name];
  return { colour: [1, 3, 5].map((i) => Number.parseInt(camera.slice(i, i + 2), 16)), tone };
};
const ada = who('Ada');
const told = [ada.colour.join(','), String(ada.tone)];

/** @typedef {{ stop(): Promise<void>, restart?(): Promise<{ status: number, over: boolean }> }} Publisher */
/** @typedef {{ frames: number, note: string }} Seen */

const python = (/** @type {string} */ kind) => ({
  publish: async (/** @type {string} */ base, /** @type {string} */ room) => running(PYTHON, [at('../whip/client.py'), kind, 'publish', base, room, 'Ada', ...told]),
  play: async (/** @type {string} */ base, /** @type {string} */ room) => answer(PYTHON, [at('../whip/client.py'), kind, 'play', base, room, 'Ada', ...told]),
});

const datachannel = async (/** @type {string} */ base, /** @type {string} */ room) => running(process.execPath, [DATACHANNEL, `${base}/whip/${room}/Ada`, ...told]);

const gstreamer = (/** @type {string} */ codec) => ({
  publish: async (/** @type {string} */ base, /** @type {string} */ room) => running(GSTREAMER, ['publish', `${base}/whip/${room}/Ada`, ...told, codec]),
  play: async (/** @type {string} */ base, /** @type {string} */ room) => answer(GSTREAMER, ['play', `${base}/whep/${room}/Ada`, ...told]),
});

const browser = (/** @type {typeof openChromium | typeof openFirefox} */ open) => ({
  async publish(/** @type {string} */ base, /** @type {string} */ room) {
    const tab = await open({ prepare, argument: PEOPLE.Ada });
    await tab.goto(base);
    const session = await tab.evaluate(publish, `${base}/whip/${room}/Ada`);
    return {
      restart: () => tab.evaluate(restart, session),
      async stop() {
        await tab.evaluate(end, session);
        await tab.close();
      },
    };
  },
  async play(/** @type {string} */ base, /** @type {string} */ room) {
    const tab = await open({ prepare, argument: null });
    try {
      await tab.goto(base);
      const session = await tab.evaluate(play, { url: `${base}/whep/${room}/Ada`, pairs: 1 });
      const frames = async () => {
        const seen = await tab.evaluate(looked, 0);
        const right = seen.colour.every((value, i) => Math.abs(value - (ada.colour[i] ?? 0)) < 40) && Math.abs(seen.tone - ada.tone) < 25;
        return right && seen.frames >= ENOUGH ? seen.frames : undefined;
      };
      const before = await until('the picture and the sound of who is played', frames, 25_000);
      const again = await tab.evaluate(restart, session);
      if (again.status !== 200 || !again.over) throw new Error(`no restart: ${JSON.stringify(again)}`);
      const after = await until('they go on over the new pair', async () => ((await frames()) ?? 0) > before + ENOUGH, 25_000).then(frames);
      await tab.evaluate(end, session);
      return { frames: after ?? 0, note: `${tab.browser}, after a restart of ICE` };
    } finally {
      await tab.close();
    }
  },
});

/** @type {{ name: string, publish?: (base: string, room: string) => Promise<Publisher>, play?: (base: string, room: string) => Promise<Seen>, missing?: string | false }[]} */
const clients = [
  { name: 'aiortc', ...python('aiortc') },
  { name: 'FFmpeg', publish: python('ffmpeg').publish },
  { name: 'libdatachannel, as OBS', publish: datachannel, missing: !existsSync(at('../whip/datachannel/node_modules')) && 'it is not installed' },
  { name: 'GStreamer', ...gstreamer('vp8'), missing: !existsSync(GSTREAMER) && 'its program is not built' },
  { name: 'GStreamer, H.264', publish: gstreamer('h264').publish, missing: !existsSync(GSTREAMER) && 'its program is not built' },
  { name: 'Chromium', ...browser(openChromium), missing: !installed.chromium && 'it is not installed' },
  { name: 'Firefox', ...browser(openFirefox), missing: (!installed.firefox && 'it is not installed') || (!inNamespace() && 'it needs a network namespace, and that needs root') },
];

const server = await startServer({ ALTHING_HTTP__ORIGINS: '*', ALTHING_LOG__LEVEL: 'warn' });
const looker = python('aiortc');
const rows = [];
let failed = 0;
try {
  for (const [number, client] of clients.entries()) {
    if (chosen.length > 0 && !chosen.some((name) => client.name.startsWith(name))) continue;
    if (client.missing) {
      failed += 1;
      console.log(`*** SKIPPED: ${client.name}: ${client.missing}. Nothing was shown of it. ***`);
      continue;
    }
    const room = `room-${number}`;
    if (client.publish) await shown(`whip: ${client.name} publishes`, 'frames decoded by aiortc', `${room}-from`, client.publish, looker.play);
    if (client.play) await shown(`whep: ${client.name} plays`, 'frames decoded', `${room}-to`, looker.publish, client.play);
  }
} finally {
  await server.stop();
}
if (rows.length > 0) writeRows(at('../../docs/proof/whip.jsonl'), rows);
process.exit(failed > 0 ? 1 : 0);

/**
 * One publishes, one plays; what was decoded is a row.
 * @param {string} name
 * @param {string} unit
 * @param {string} room
 * @param {(base: string, room: string) => Promise<Publisher>} from
 * @param {(base: string, room: string) => Promise<Seen>} to
 */
async function shown(name, unit, room, from, to) {
  /** @type {Publisher | undefined} */
  let publisher;
  let seen = { frames: 0, note: '' };
  try {
    publisher = await from(server.url, room);
    seen = await to(server.url, room);
    if (publisher.restart) {
      const again = await publisher.restart();
      if (again.status !== 200 || !again.over) throw new Error(`no restart: ${JSON.stringify(again)}`);
      seen = await to(server.url, room);
      seen.note += ', after a restart of ICE';
    }
  } catch (error) {
    seen = { frames: 0, note: String(error) };
  }
  await publisher?.stop().catch((/** @type {unknown} */ error) => (seen = { frames: 0, note: `it does not end: ${error}` }));
  const pass = seen.frames >= ENOUGH;
  failed += pass ? 0 : 1;
  rows.push(row(COMMAND, name, seen.frames, unit, `>= ${ENOUGH}, of the publisher's colour and tone`, pass));
  console.log(`${pass ? 'ok  ' : 'FAIL'} ${name}: ${seen.frames} ${unit} ${seen.note}`);
}

/**
 * A program that publishes until its standard input ends.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<Publisher>}
 */
async function running(command, args) {
  const { child, log, over } = start(command, args);
  return {
    async stop() {
      if (child.exitCode !== null) throw new Error(`it has ended: ${log()}`);
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      const code = await over;
      clearTimeout(timer);
      if (code !== 0) throw new Error(log());
    },
  };
}

/**
 * A program that says what it has decoded.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<Seen>}
 */
async function answer(command, args) {
  const { child, log, over, said } = start(command, args);
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000);
  const code = await over;
  clearTimeout(timer);
  if (code !== 0) throw new Error(log());
  const { frames, colour, tone } = JSON.parse(said());
  return { frames, note: `colour ${colour}, ${tone} Hz` };
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function start(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const [out, err] = [/** @type {string[]} */ ([]), /** @type {string[]} */ ([])];
  child.stdout.on('data', (data) => out.push(String(data)));
  child.stderr.on('data', (data) => err.push(String(data)));
  child.stdin.on('error', () => undefined);
  const over = new Promise((resolve) => {
    child.on('error', (error) => resolve(err.push(String(error))));
    child.on('exit', (code) => resolve(code ?? 1));
  });
  return { child, over, said: () => out.join('').trim().split('\n').at(-1) ?? '', log: () => [...out, ...err].join('').slice(-1500) };
}
