// Records what Chromium sends in a call of two as a trace for the benches (sound and picture of one sender):
// node record_trace.mjs SECONDS FILE [CODEC]. As root; the first 20 s, in which the browser looks for its rate, are left out.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Person } from './lib/person.mjs';
import { startServer } from './lib/server.mjs';

const [seconds = '10', file = 'trace.txt', prefer] = process.argv.slice(2);
const PORT = '41000';
const server = await startServer({ ALTHING_MEDIA__PORT: PORT, ALTHING_MEDIA__BIND: '127.0.0.1' });
const ada = await Person.open('Ada', { ownDevices: true, prefer });
const ben = await Person.open('Ben', { ownDevices: true, prefer });
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
