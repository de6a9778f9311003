// What is kept of a room, made for tests: recordings whose every picture says at which time of the meeting it was taken.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Pictures a second: a picture is 20 ms. */
export const RATE = 50;
/** The number of a picture stands in it as bars that are light or dark, the lowest bit at the left. */
export const BITS = 12;
const BAR = 16;
const [WIDTH, HEIGHT] = [BITS * BAR, 108];

/** Who speaks when (s), and how high. @type {Record<string, { tone: number, spans: number[][] }>} */
export const SPOKEN = {
  ada: { tone: 440, spans: [[0, 6], [26, 30]] },
  ben: { tone: 700, spans: [[6, 12]] },
  cleo: { tone: 1000, spans: [[20, 26]] },
};

/** Seconds of the meeting. */
export const LENGTH = 30;

/**
 * The files: Ada's first in VP8, then in H.264, as after a change of codec, and her screen; Ben comes later and leaves earlier; Cleo has no camera.
 * @type {{ name: string, member: string, screen?: boolean, at: number, length: number, video?: 'vp8' | 'h264', audio?: boolean, tint?: number }[]}
 */
const FILES = [
  { name: '1.webm', member: 'ada', at: 0, length: 12, video: 'vp8', audio: true, tint: 170 },
  { name: '2.webm', member: 'cleo', at: 0, length: LENGTH, audio: true },
  { name: '3.webm', member: 'ben', at: 3.4, length: 20, video: 'vp8', audio: true, tint: 90 },
  { name: '4.webm', member: 'ada', screen: true, at: 14, length: 8, video: 'vp8', tint: 128 },
  { name: '5.mp4', member: 'ada', at: 12.06, length: 17.94, video: 'h264', audio: true, tint: 170 },
];

const PEOPLE = [
  { member: 'ada', name: 'Ada' },
  { member: 'ben', name: 'Ben' },
  { member: 'cleo', name: 'Cleo' },
];

/** Who says what, when (s). */
export const CHAT = [
  { at: 1, member: 'ben', name: 'Ben', text: 'Good morning!' },
  { at: 9, member: 'ada', name: 'Ada', text: 'Shall we begin?' },
  { at: 21, member: 'cleo', name: 'Cleo', text: '早上好！ https://example.org/<b>' },
];

/**
 * @param {string[]} args
 * @param {Buffer} [input]
 */
function ffmpeg(args, input) {
  execFileSync('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], { stdio: [input ? 'pipe' : 'ignore', 'inherit', 'inherit'], ...(input ? { input } : {}) });
}

/**
 * Pictures as YUV 4:2:0, from the `first` of the meeting on.
 * @param {number} first
 * @param {number} count
 * @param {number} tint
 */
function pictures(first, count, tint) {
  const [luma, chroma] = [WIDTH * HEIGHT, (WIDTH * HEIGHT) / 4];
  const size = luma + 2 * chroma;
  const bytes = Buffer.alloc(count * size, 128);
  for (let index = 0; index < count; index++) {
    const at = index * size;
    const row = Buffer.alloc(WIDTH);
    for (let bit = 0; bit < BITS; bit++) row.fill(((first + index) >> bit) & 1 ? 225 : 25, bit * BAR, (bit + 1) * BAR);
    for (let y = 0; y < HEIGHT; y++) row.copy(bytes, at + y * WIDTH);
    bytes.fill(tint, at + luma + chroma, at + size);
  }
  return bytes;
}

/**
 * Makes one file of the meeting.
 * @param {string} path
 * @param {typeof FILES[number]} file
 */
function film(path, { at, length, video, audio, member, tint = 128 }) {
  const inputs = [];
  if (video) inputs.push('-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${WIDTH}x${HEIGHT}`, '-r', String(RATE), '-i', 'pipe:0');
  if (audio) {
    const { tone, spans } = SPOKEN[member] ?? { tone: 440, spans: [] };
    const heard = spans.map(([from, to]) => `between(t+${at},${from},${to})`).join('+') || '0';
    inputs.push('-f', 'lavfi', '-i', `aevalsrc='0.4*sin(2*PI*${tone}*t)*(${heard})':s=48000:d=${length}`);
  }
  const codecs = { vp8: ['-c:v', 'libvpx', '-b:v', '800k', '-deadline', 'realtime', '-cpu-used', '8', '-g', '100'], h264: ['-c:v', 'libx264', '-preset', 'veryfast', '-profile:v', 'baseline', '-g', '100', '-b:v', '800k'] };
  const container = path.endsWith('.mp4') ? ['-movflags', '+frag_keyframe+empty_moov+default_base_moof', '-frag_duration', '1000000'] : [];
  const input = video && pictures(Math.round(at * RATE), Math.round(length * RATE), tint);
  ffmpeg([...inputs, ...(video ? codecs[video] : []), ...(audio ? ['-c:a', 'libopus', '-b:a', '32k'] : []), ...container, path], input);
}

/**
 * Puts something into the folder of a server.
 * @param {string} folder
 * @param {Record<string, any>} manifest
 */
function keep(folder, manifest) {
  writeFileSync(join(folder, manifest['id'], 'manifest.json'), JSON.stringify({ schema: 1, state: 'finished', files: [], ...manifest }));
}

/**
 * Fills another room, `many`, with more than a page of the library shows at once: an item over and over again.
 * @param {string} folder
 * @param {string} item
 */
export function furnishMany(folder, item) {
  for (let index = 0; index < 45; index++) {
    const id = `many${String(index).padStart(12, '0')}`;
    cpSync(join(folder, item), join(folder, id), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(folder, id, 'manifest.json'), 'utf8'));
    writeFileSync(join(folder, id, 'manifest.json'), JSON.stringify({ ...manifest, id, room: 'many', began: manifest.began + index }));
  }
}

/**
 * Fills the folder of a server: a meeting of three with chat, a screenshot, sound and a film that browsers have recorded.
 * @param {string} folder
 * @param {{ room: string, began?: number }} about
 * @returns {{ meeting: string, screenshot: string, audio: string, video: string }} their identities
 */
export function furnish(folder, { room, began = Date.now() - 3_600_000 }) {
  const ids = { meeting: 'meetingmeeting01', screenshot: 'screenshotscree2', audio: 'audioaudioaudio3', video: 'videovideovideo4' };
  for (const id of Object.values(ids)) mkdirSync(join(folder, id), { recursive: true });
  const files = FILES.map((file) => {
    const path = join(folder, ids.meeting, file.name);
    film(path, file);
    return {
      name: file.name,
      member: file.member,
      screen: file.screen ?? false,
      container: file.name.split('.')[1],
      ...(file.video ? { video: file.video, size: [WIDTH, HEIGHT] } : {}),
      ...(file.audio ? { audio: 'opus' } : {}),
      at: Math.round(file.at * 1e6),
      length: Math.round(file.length * 1e6),
      bytes: statSync(path).size,
      lost: 0,
      state: 'complete',
    };
  });
  writeFileSync(join(folder, ids.meeting, 'chat.jsonl'), CHAT.map((line) => `${JSON.stringify({ ...line, at: line.at * 1e6 })}\n`).join(''));
  const by = PEOPLE[0];
  keep(folder, { id: ids.meeting, room, by, began, ended: began + LENGTH * 1000, members: PEOPLE, files });
  const upload = (/** @type {'screenshot' | 'audio' | 'video'} */ kind, /** @type {number} */ later, /** @type {string} */ name, /** @type {string} */ type, /** @type {string[]} */ ...how) => {
    const path = join(folder, ids[kind], name);
    ffmpeg([...how, path]);
    const length = kind === 'audio' ? 8_000_000 : 0;
    keep(folder, { id: ids[kind], room, kind, by, began: began + later, ended: began + later + 8000, members: [], upload: { name, called: `a ${name}`, media_type: type, bytes: statSync(path).size, length } });
  };
  upload('screenshot', 60_000, 'picture.png', 'image/png', '-f', 'lavfi', '-i', 'testsrc2=s=1280x720', '-frames:v', '1');
  upload('audio', 120_000, 'sound.webm', 'audio/webm', '-f', 'lavfi', '-i', "aevalsrc='0.5*sin(2*PI*330*t)*gt(mod(t,2),1)':s=48000:d=8", '-c:a', 'libopus');
  upload('video', 180_000, 'film.webm', 'video/webm', '-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=25:d=6', '-f', 'lavfi', '-i', 'sine=frequency=500:d=6', '-c:v', 'libvpx', '-b:v', '500k', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libopus', '-live', '1');
  return ids;
}
