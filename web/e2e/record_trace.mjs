// Records what Chromium sends in a call of two as a trace for the benches (sound and picture of one sender):
// node record_trace.mjs SECONDS FILE [CODEC]. As root; the first 20 s, in which the browser looks for its rate, are left out.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Person } from './lib/person.mjs';
import { startServer } from './lib/server.mjs';

const [seconds = '10', file = 'trace.txt', prefer] = process.argv.slice(2);
const PORT = '41000';
const folder = mkdtempSync(join(tmpdir(), 'althing-trace-'));
const film = join(folder, 'film.y4m');
writeFileSync(film, lively(640, 480, 60));
const server = await startServer({ ALTHING_MEDIA__PORT: PORT, ALTHING_MEDIA__BIND: '127.0.0.1', ALTHING_MEDIA__WORKERS: '1' });
/** @type {any} */
const options = { ownDevices: true, prefer, flags: [`--use-file-for-fake-video-capture=${film}`] };
const ada = await Person.open('Ada', options);
const ben = await Person.open('Ben', options);
await ada.join(server.url, 'trace');
await ben.join(server.url, 'trace');
await new Promise((done) => setTimeout(done, 20_000));
const recorder = spawn('python3', [fileURLToPath(new URL('../../tests/tools/record_trace.py', import.meta.url)), PORT, seconds], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
recorder.stdout.pipe(createWriteStream(file));
await new Promise((done) => recorder.on('exit', done));
await ada.close();
await ben.close();
await server.stop();
rmSync(folder, { recursive: true });

/**
 * A film that is work for an encoder: stripes that wander, under noise. 4:2:0, 30 frames a second.
 * @param {number} width
 * @param {number} height
 * @param {number} frames
 */
function lively(width, height, frames) {
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420\n`)];
  let noise = 1;
  for (let n = 0; n < frames; n++) {
    const frame = Buffer.alloc(width * height * 1.5, 128);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        noise = (noise * 1103515245 + 12345) & 0x7fffffff;
        frame[y * width + x] = (128 + 80 * Math.sin((x + y / 2 + n * 6) / 23) + ((noise >> 16) & 15)) & 255;
      }
    }
    parts.push(Buffer.from('FRAME\n'), frame);
  }
  return Buffer.concat(parts);
}
