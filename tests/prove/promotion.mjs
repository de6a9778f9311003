// `make prove-nat`, the part with three browsers: how long no picture arrives when a third member moves a direct call to the
// server, and when the two who remain return. As root it runs in a network namespace.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { longestWithoutMedia } from '../../web/e2e/lib/inside.mjs';
import { canEnter, inNamespace, runInside } from '../../web/e2e/lib/namespace.mjs';
import { Person } from '../../web/e2e/lib/person.mjs';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { sleep, until } from '../../web/e2e/lib/wait.mjs';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-nat';
/** So long the picture may stand still at the slower of the two ends (ms), 95 times of 100. */
const REACH = 500;

const { values: options } = parseArgs({
  options: {
    times: { type: 'string', default: '20' },
    out: { type: 'string', default: fileURLToPath(new URL('../../docs/proof/nat.jsonl', import.meta.url)) },
  },
});
if (!inNamespace() && canEnter()) process.exit(await runInside(process.execPath, process.argv.slice(1)));

const server = await startServer({ ALTHING_ROOMS__POLICY: 'auto', ALTHING_ROOMS__RETURN_SECONDS: '1', ALTHING_LOG__LEVEL: 'warn' });
// Cameras that play a file: one that the page draws would stand still whenever the page is busy, and a larger one is more than three
// browsers on a small machine can encode.
const film = writeFilm();
const open = (name) => Person.open(name, { ownDevices: true, flags: [`--use-file-for-fake-video-capture=${film}`] });
const people = [await open('Ada'), await open('Ben'), await open('Cleo')];
const [ada, ben, cleo] = people;
/** The longest that the picture stood still at either end (ms), each time. */
const gaps = { there: [], back: [] };
let lost = 0;
try {
  for (const person of [ada, ben]) await person.join(server.url, 'promotion');
  for (let time = 1; time <= Number(options.times); time++) {
    try {
      await meet('direct');
      await watch();
      await cleo.join(server.url, 'promotion');
      await meet('server');
      await goesOn(cleo, 'Ada');
      gaps.there.push(await watch());
      await cleo.leave();
      await meet('direct');
      gaps.back.push(await watch());
    } catch (error) {
      lost += 1;
      console.error(`the ${time}th time: ${error}`);
      await cleo.leave().catch(() => undefined);
    }
    console.log(`${time} of ${options.times}: ${Math.round(gaps.there.at(-1))} ms to the server, ${Math.round(gaps.back.at(-1))} ms back`);
  }
} finally {
  for (const person of people) await person.close();
  await server.stop();
  rmSync(film);
}
const rows = [
  row(COMMAND, 'promotion.without_media_p95', p95(gaps.there), 'ms', `<= ${REACH}`, p95(gaps.there) <= REACH),
  row(COMMAND, 'promotion.calls_lost', lost, `of ${options.times}`, '0', lost === 0),
  row(COMMAND, 'return.without_media_p95', p95(gaps.back), 'ms', `<= ${REACH}`, p95(gaps.back) <= REACH),
];
writeRows(options.out, rows);
process.exit(rows.some(({ pass }) => pass === false) ? 1 : 0);

async function meet(via) {
  for (const person of [ada, ben]) await person.travels(via);
  await goesOn(ada, 'Ben');
  await goesOn(ben, 'Ada');
  // Until the way before is given up: that may not be seen either.
  await sleep(1000);
}

/** Waits until frames of somebody go on. */
async function goesOn(person, name) {
  const before = await person.received(name);
  await until(`frames of ${name} go on at ${person.name}`, async () => {
    const { frames, energy } = await person.received(name);
    return frames > before.frames + 10 && energy > before.energy;
  });
}

/** The longest gap at either end since the last time. */
async function watch() {
  const of = async (person, other) => person.tab.evaluate(longestWithoutMedia, { member: await person.idOf(other) });
  return Math.max(await of(ada, 'Ben'), await of(ben, 'Ada'));
}

/** Two seconds of 640×360 at 15 pictures a second: a bar that wanders, as Y4M. */
function writeFilm() {
  const [width, height, fps] = [640, 360, 15];
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420\n`)];
  for (let frame = 0; frame < 2 * fps; frame++) {
    const luma = Buffer.alloc(width * height, 80);
    for (let line = 0; line < height; line++) luma.fill(220, line * width + frame * 20, line * width + frame * 20 + 40);
    parts.push(Buffer.from('FRAME\n'), luma, Buffer.alloc((width * height) / 2, 128));
  }
  const path = join(tmpdir(), `althing-film-${process.pid}.y4m`);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

function p95(values) {
  return [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * 0.95) - 1)] ?? Number.NaN;
}
