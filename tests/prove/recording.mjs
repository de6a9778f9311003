// Recordings that survive: a server that is killed again and again while real browsers are recorded, and a disk that is full.
// KILLS=10 node recording.mjs: fewer kills.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Person } from '../../web/e2e/lib/person.mjs';
import { startServer } from '../../web/e2e/lib/server.mjs';
import { sleep, until } from '../../web/e2e/lib/wait.mjs';
import { row, writeRows } from './rows.mjs';

const COMMAND = 'make prove-recording';
const KILLS = Number(process.env['KILLS'] ?? 100);
const folder = mkdtempSync(join(tmpdir(), 'althing-killed-'));
/** One seed is one run. */
let seed = 7;
const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;

/** @type {{ plays: boolean, tail: number }[]} */
const files = [];
const server = await startServer({ ALTHING_RECORDING__ENABLED: 'true', ALTHING_RECORDING__FOLDER: folder, ALTHING_RECORDING__MINIMUM_FREE_MIB: '1' });
const people = [await Person.open('Ada'), await Person.open('Ben', { prefer: 'video/H264' })];
try {
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const room = `killed-${kill}`;
    for (const person of people) await person.join(server.url, room);
    const [ada, ben] = people;
    await ada?.sees('Ben');
    await ada?.tab.evaluate(() => /** @type {any} */ (window).althing.record());
    await ben?.tab.appears('[data-testid=recording]');
    await sleep(2_500 + random() * 2_500);
    const killed = Date.now();
    await server.kill();
    await server.again();
    const { path, manifest } = await until('the recording is repaired', async () => found(room));
    for (const entry of manifest.files) {
      files.push({ plays: plays(join(path, entry.name)), tail: killed - manifest.began - (entry.at + entry.length) / 1_000 });
    }
    rmSync(path, { recursive: true });
    if (kill % 10 === 0) console.log(`${kill} kills: ${files.filter((file) => file.plays).length} of ${files.length} files play, tails up to ${Math.max(...files.map((file) => file.tail)).toFixed(0)} ms`);
  }
} finally {
  await Promise.all(people.map((person) => person.close()));
  await server.stop().catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
}

/** @param {string} room */
function found(room) {
  for (const name of readdirSync(folder)) {
    const file = join(folder, name, 'manifest.json');
    if (!existsSync(file)) continue;
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    if (manifest.room === room && manifest.state === 'interrupted') return { path: join(folder, name), manifest };
  }
  return undefined;
}

/** Every picture and all sound of it is decoded, and nothing is complained of. @param {string} file */
function plays(file) {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-fps_mode', 'vfr', '-f', 'null', '-'], { encoding: 'utf8' });
  if (status !== 0 || stderr) console.error(file, stderr);
  const frames = execFileSync('ffprobe', ['-v', 'error', '-count_frames', '-select_streams', 'a', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', file], { encoding: 'utf8' });
  return status === 0 && !stderr && Number.parseInt(frames, 10) > 0;
}

const full = spawnSync('cargo', ['test', '--quiet', '--locked', '--test', 'recording', 'a_full_disk', '--', '--nocapture'], { encoding: 'utf8' });
if (full.status !== 0) console.error(`${full.stdout}${full.stderr}`.slice(-2_000));
const skipped = `${full.stdout}${full.stderr}`.includes('skipped');
const tails = files.map((file) => file.tail).sort((a, b) => a - b);
const p99 = tails[Math.ceil(tails.length * 0.99) - 1] ?? Number.NaN;
const playing = files.filter((file) => file.plays).length;
const rows = [
  row(COMMAND, 'kill.plays', (100 * playing) / files.length, `% of ${files.length} files after ${KILLS} kills`, '= 100', playing === files.length && KILLS >= 100),
  row(COMMAND, 'kill.tail.p99', Math.round(p99), 'ms', '<= 1000', p99 <= 1_000),
  row(COMMAND, 'disk.full', full.status === 0 && !skipped ? 1 : 0, 'call unharmed, file playable, alarm raised, resumes', '= 1', full.status === 0 && !skipped),
];
writeRows(fileURLToPath(new URL('../../docs/proof/recording.jsonl', import.meta.url)), rows);
for (const { row: name, value, unit, pass } of rows) console.log(name, value, unit, pass);
process.exit(rows.every(({ pass }) => pass) ? 0 : 1);
