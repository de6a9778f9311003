// What is in the files that a browser has kept, as FFmpeg sees it.
import { execFileSync } from 'node:child_process';

/**
 * What ffprobe says of a file: its streams, its length (s), where its last picture is (s).
 * @param {string} file
 */
export function probe(file) {
  const out = execFileSync('ffprobe', ['-v', 'error', '-count_packets', '-show_streams', '-show_format', '-of', 'json', file], { encoding: 'utf8' });
  const { streams, format } = JSON.parse(out);
  const of = (/** @type {string} */ type) => streams.find((/** @type {any} */ stream) => stream.codec_type === type);
  const times = execFileSync('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], { encoding: 'utf8' });
  const pictures = Math.max(0, ...times.split('\n').map(Number).filter(Number.isFinite));
  return { video: of('video'), audio: of('audio'), duration: Number(format.duration), pictures };
}

/**
 * How much (dB of full scale) is in a band of a file's sound, within a part of it.
 * @param {string} file
 * @param {number} frequency Hz
 * @param {{ from?: number, seconds?: number }} [part]
 */
export function level(file, frequency, { from = 0, seconds = 1000 } = {}) {
  const filters = `bandpass=f=${frequency}:width_type=h:w=40,bandpass=f=${frequency}:width_type=h:w=40,volumedetect`;
  return volume(['-ss', String(from), '-t', String(seconds), '-i', file, '-vn', '-af', filters]);
}

/** @param {string[]} args */
function volume(args) {
  const out = execFileSync('sh', ['-c', 'ffmpeg -hide_banner -nostats "$@" -f null - 2>&1', 'ffmpeg', ...args], { encoding: 'utf8' });
  return Number(/mean_volume: (-?[\d.]+|-inf) dB/.exec(out)?.[1] ?? NaN);
}

/**
 * A frame of a file as pixels.
 * @param {string} file
 * @param {number} [at] seconds
 */
export function frame(file, at = 0) {
  const { video } = probe(file);
  const { width, height } = video;
  const data = execFileSync('ffmpeg', ['-v', 'error', '-ss', String(at), '-i', file, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], { maxBuffer: 1 << 28 });
  return {
    width,
    height,
    /** The colour of a place, given in shares of the whole, as `r,g,b`. @param {number} x @param {number} y */
    colour(x, y) {
      const place = (Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width))) * 3;
      return [...data.subarray(place, place + 3)].join(',');
    },
    /** The names, of those that are given, whose colours are on it in more than a hundredth of its pixels. @param {(colour: string) => string | undefined} whose */
    people(whose) {
      /** @type {Map<string, number>} */
      const found = new Map();
      let all = 0;
      for (let y = 0; y < height; y += 8) {
        for (let x = 0; x < width; x += 8) {
          all += 1;
          const name = whose([...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)].join(','));
          if (name) found.set(name, (found.get(name) ?? 0) + 1);
        }
      }
      return [...found].filter(([, count]) => count > all / 100).map(([name]) => name).sort();
    },
  };
}

/**
 * How far two colours are from each other.
 * @param {string} one
 * @param {string} other `r,g,b`, or `#rrggbb`
 */
export function distance(one, other) {
  const parts = (/** @type {string} */ colour) => (colour.startsWith('#') ? [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)) : colour.split(',').map(Number));
  const [[a = 0, b = 0, c = 0], [d = 0, e = 0, f = 0]] = [parts(one), parts(other)];
  return Math.hypot(a - d, b - e, c - f);
}
