// Flashes and beeps: a source of both at the same moment, and where they lie in a file.
import { execFileSync } from 'node:child_process';

/** Samples of sound in a second. */
const RATE = 48_000;

/**
 * Gives the page a camera that is white, and a microphone that beeps, for a moment once a second. It takes no imports and closes over nothing.
 * @param {{ prefer: string }} options the codec to send
 */
export function flashing({ prefer }) {
  const [PERIOD, FLASH, QUIET] = [1_000, 120, 0.002];
  const add = RTCPeerConnection.prototype.addTransceiver;
  RTCPeerConnection.prototype.addTransceiver = function (/** @type {string | MediaStreamTrack} */ track, /** @type {RTCRtpTransceiverInit | undefined} */ init) {
    const transceiver = add.call(this, track, init);
    if (init?.direction === 'sendonly' && transceiver.receiver.track.kind === 'video') {
      const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
      const first = (/** @type {RTCRtpCodec} */ codec) => codec.mimeType === prefer && !/packetization-mode=0|profile-level-id=(?!42e0)/.test(codec.sdpFmtpLine ?? '');
      transceiver.setCodecPreferences([...codecs.filter(first), ...codecs.filter((codec) => !first(codec))]);
    }
    return transceiver;
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [320, 180];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    const context = new AudioContext();
    const [oscillator, gain, end] = [context.createOscillator(), context.createGain(), context.createMediaStreamDestination()];
    oscillator.frequency.value = 1_000;
    // It never falls silent: what ends sends no packets.
    gain.gain.value = QUIET;
    oscillator.connect(gain).connect(end);
    oscillator.start();
    void context.resume();
    let [next, dark, frame] = [performance.now() + PERIOD, 0, 0];
    setInterval(() => {
      const now = performance.now();
      if (now >= next) {
        gain.gain.setValueAtTime(0.8, context.currentTime);
        gain.gain.setValueAtTime(QUIET, context.currentTime + FLASH / 1_000);
        dark = now + FLASH;
        next += PERIOD;
      }
      pen.fillStyle = now < dark ? '#fff' : '#000';
      pen.fillRect(0, 0, 320, 180);
      // Something moves, so that every frame is one.
      pen.fillStyle = '#808080';
      pen.fillRect((frame++ * 4) % 320, 170, 10, 10);
    }, 1_000 / 30);
    return new MediaStream([...canvas.captureStream(30).getTracks(), ...end.stream.getTracks()]);
  };
}

/**
 * By how many milliseconds each beep of a file comes after its flash.
 * @param {string} file
 * @returns {number[]}
 */
export function offsets(file) {
  const seen = onsets(pictures(file), ([, light]) => light > 128).map(([at]) => at);
  const heard = onsets(sound(file), ([, loud]) => loud > 0.1).map(([at]) => at);
  const nearest = (/** @type {number} */ flash) => heard.reduce((best, beep) => (Math.abs(beep - flash) < Math.abs(best - flash) ? beep : best), Infinity);
  return seen.map((flash) => (nearest(flash) - flash) * 1_000).filter((offset) => Math.abs(offset) < 500);
}

/** The value in the middle. @param {number[]} values */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** When each picture is shown, and how light it is. @param {string} file @returns {[number, number][]} */
function pictures(file) {
  const times = run('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file]).toString();
  const light = run('ffmpeg', ['-v', 'error', '-i', file, '-an', '-vf', 'scale=1:1:flags=area,format=gray', '-fps_mode', 'passthrough', '-f', 'rawvideo', '-']);
  const at = times.split('\n').filter(Boolean).map((line) => Number.parseFloat(line));
  if (at.length !== light.length) throw new Error(`${light.length} of ${at.length} pictures can be decoded`);
  return at.map((time, n) => [time, light[n] ?? 0]);
}

/** The loudest of each millisecond. @param {string} file @returns {[number, number][]} */
function sound(file) {
  const bytes = run('ffmpeg', ['-v', 'error', '-i', file, '-vn', '-af', 'aresample=async=1:first_pts=0', '-ac', '1', '-ar', String(RATE), '-f', 'f32le', '-']);
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  /** @type {[number, number][]} */
  const loud = [];
  for (let from = 0; from < samples.length; from += RATE / 1_000) {
    loud.push([from / RATE, samples.subarray(from, from + RATE / 1_000).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0)]);
  }
  return loud;
}

/** Where something begins after it was not there for a while. @param {[number, number][]} values @param {(value: [number, number]) => boolean} is */
function onsets(values, is) {
  let last = 0;
  return values.filter((value) => {
    if (!is(value)) return false;
    const begins = value[0] - last > 0.3;
    last = value[0];
    return begins;
  });
}

/** @param {string} program @param {string[]} args */
function run(program, args) {
  return execFileSync(program, args, { maxBuffer: 1 << 28 });
}
