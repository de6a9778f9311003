// What runs inside of a page before its own scripts. It takes no imports and closes over nothing.

/**
 * Gives the page a camera that shows a colour, a microphone that sounds a tone, and a screen of another colour, all within
 * 640×360×15; counts the offers that leave it, and notes how tiles are said to be shown and which devices are asked for.
 * @param {{ camera: string, screen: string, tone: number, prefer?: string, detailed?: boolean, portrait?: boolean } | null} media none: the browser's own devices, limited in size;
 *   `prefer`: the codec to send; `detailed`: the camera's picture takes all bits that it is given; `portrait`: somebody is before it, and sharp edges behind
 */
export function prepare(media) {
  const own = /** @type {any} */ (window);
  own.seen = { offers: 0, errors: [], views: [], asked: [], written: [] };
  addEventListener('securitypolicyviolation', (event) => own.seen.errors.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  addEventListener('error', (event) => own.seen.errors.push(`error: ${event.message}`));
  addEventListener('unhandledrejection', (event) => own.seen.errors.push(`rejection: ${event.reason}`));

  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (/** @type {string | Blob | BufferSource} */ data) {
    const said = typeof data === 'string' ? JSON.parse(data) : undefined;
    if (said?.type === 'offer') own.seen.offers += 1;
    if (said?.type === 'chat') own.seen.written.push(said.text);
    if (said?.type === 'view') own.seen.views.push(said.tiles);
    return send.call(this, data);
  };

  const preferred = media?.prefer?.toLowerCase();
  if (preferred) {
    const kind = preferred.startsWith('audio') ? 'audio' : 'video';
    const first = (/** @type {RTCRtpCodec} */ codec) => codec.mimeType.toLowerCase() === preferred && !/profile-id=[123]|packetization-mode=0|profile-level-id=(?!42e0)/.test(codec.sdpFmtpLine ?? '');
    const add = RTCPeerConnection.prototype.addTransceiver;
    RTCPeerConnection.prototype.addTransceiver = function (/** @type {string | MediaStreamTrack} */ track, /** @type {RTCRtpTransceiverInit | undefined} */ init) {
      const transceiver = add.call(this, track, init);
      if (init?.direction === 'sendonly' && transceiver.receiver.track.kind === kind) {
        const codecs = RTCRtpSender.getCapabilities(kind)?.codecs ?? [];
        transceiver.setCodecPreferences([...codecs.filter(first), ...codecs.filter((codec) => !first(codec))]);
      }
      return transceiver;
    };
  }

  if (!navigator.mediaDevices) return;
  const devices = navigator.mediaDevices;
  const original = devices.getUserMedia.bind(devices);
  const originalScreen = devices.getDisplayMedia?.bind(devices);
  const limit = { width: 640, height: 360, frameRate: 15 };

  /** Something with edges and surfaces, which takes its bits when it moves, as a room behind a face does. */
  const scenery = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [440, 250];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    for (let spot = 0; spot < 150; spot++) {
      pen.fillStyle = `hsl(${(spot * 47) % 360} 60% ${30 + ((spot * 13) % 40)}%)`;
      pen.beginPath();
      pen.ellipse((spot * 137) % 440, (spot * 89) % 250, 6 + (spot % 17), 4 + (spot % 23), spot, 0, 7);
      pen.fill();
    }
    return canvas;
  };
  /** Somebody in a striped shirt before a wall of small squares; the lower left corner stays as it is. */
  const portrait = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 360];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const ellipse = (/** @type {string | CanvasGradient} */ fill, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ across, /** @type {number} */ down) => {
      pen.fillStyle = fill;
      pen.beginPath();
      pen.ellipse(x, y, across, down, 0, 0, 7);
      pen.fill();
    };
    for (let x = 0; x < 640; x += 8) {
      for (let y = 0; y < 360; y += 8) {
        if (x < 130 && y > 230) continue;
        pen.fillStyle = (x + y) % 16 ? '#e8e4da' : '#54616b';
        pen.fillRect(x, y, 8, 8);
      }
    }
    // Light falls from the upper left.
    const skin = pen.createRadialGradient(300, 120, 20, 320, 150, 110);
    skin.addColorStop(0, '#eab892');
    skin.addColorStop(1, '#b9805c');
    ellipse('#2c1d14', 320, 112, 84, 88);
    ellipse(skin, 244, 160, 12, 20);
    ellipse(skin, 396, 160, 12, 20);
    pen.fillStyle = '#b07a58';
    pen.fillRect(286, 215, 68, 60);
    ellipse(skin, 320, 150, 74, 94);
    pen.fillStyle = '#2c1d14';
    pen.beginPath();
    pen.ellipse(320, 88, 76, 44, 0, Math.PI, 0);
    pen.fill();
    for (const side of [-1, 1]) {
      ellipse('#f6f1ea', 320 + 28 * side, 140, 13, 7);
      ellipse('#3a2a1c', 320 + 28 * side, 140, 6, 6);
      pen.fillStyle = '#2c1d14';
      pen.fillRect(320 + 28 * side - 15, 121, 30, 5);
    }
    pen.fillStyle = '#a56d4b';
    pen.fillRect(314, 145, 12, 34);
    ellipse('#9c4b44', 320, 202, 24, 7);
    pen.save();
    pen.beginPath();
    pen.ellipse(320, 390, 190, 140, 0, 0, 7);
    pen.clip();
    for (let y = 240; y < 360; y += 8) {
      pen.fillStyle = y % 16 ? '#23406b' : '#8fa6c8';
      pen.fillRect(100, y, 440, 8);
    }
    pen.restore();
    return canvas;
  };
  /** A block moves over the colour, so that no two frames are alike; the lower left corner stays as it is. */
  const paint = (/** @type {string} */ color, /** @type {string} */ label) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 360];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const backdrop = media?.detailed && label === 'camera' ? scenery() : undefined;
    const somebody = media?.portrait && label === 'camera' ? portrait() : undefined;
    let frame = 0;
    const draw = () => {
      pen.fillStyle = color;
      pen.fillRect(0, 0, 640, 360);
      if (somebody) {
        frame += 1;
        pen.drawImage(somebody, 0, 0);
        // No two frames are alike.
        pen.fillRect(0, 352, 8 + (frame % 100), 8);
        return;
      }
      pen.fillStyle = '#ffffff';
      pen.fillRect((frame * 9) % 560, 40, 80, 80);
      pen.font = '32px sans-serif';
      pen.fillText(`${label} ${frame++}`, 220, 200);
      if (backdrop) pen.drawImage(backdrop, 100 + 80 * Math.sin(frame / 20), 20 * Math.cos(frame / 13));
    };
    draw();
    setInterval(draw, 66);
    return canvas.captureStream(15).getVideoTracks()[0];
  };
  const sound = (/** @type {number} */ frequency) => {
    const context = new AudioContext();
    const [oscillator, gain, end] = [context.createOscillator(), context.createGain(), context.createMediaStreamDestination()];
    oscillator.frequency.value = frequency;
    gain.gain.value = 0.3;
    oscillator.connect(gain).connect(end);
    oscillator.start();
    void context.resume();
    return end.stream.getAudioTracks()[0];
  };

  /** @type {MediaStreamTrack[]} */
  const given = [];
  /** The kinds of devices that the page has and has not stopped. */
  own.held = () => given.filter((track) => track.readyState === 'live').map((track) => track.kind);
  devices.getUserMedia = async (constraints = {}) => {
    own.seen.asked.push(constraints);
    if (!media) return original({ ...constraints, ...(constraints.video ? { video: limit } : {}) });
    const tracks = [];
    if (constraints.audio) tracks.push(sound(media.tone));
    if (constraints.video) tracks.push(paint(media.camera, 'camera'));
    given.push(...tracks);
    return new MediaStream(tracks);
  };
  devices.getDisplayMedia = async (constraints = {}) =>
    media ? new MediaStream([paint(media.screen, 'screen'), sound(media.tone * 2)]) : originalScreen({ ...constraints, video: limit });
}

/**
 * The colour in the lower left corner of a tile's picture, as `r,g,b`; empty while there is none.
 * @param {{ member: string, kind: string }} tile
 */
export function cornerOf({ member, kind }) {
  const video = /** @type {HTMLVideoElement | null} */ (document.querySelector(`[data-testid=tile][data-member="${member}"][data-kind=${kind}] video`));
  if (!video || video.videoWidth === 0) return '';
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [32, 18];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.drawImage(video, 0, 0, 32, 18);
  return [...pen.getImageData(3, 14, 1, 1).data.slice(0, 3)].join(',');
}

/**
 * Begins to look at whose pictures the tiles show, several times a frame; returns what was seen since the last call, each pair of a
 * member and the colour in the corner once.
 * @returns {string[]}
 */
export function picturesSeen() {
  const own = /** @type {any} */ (window);
  if (!own.pictures) {
    own.pictures = new Set();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [32, 18];
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    setInterval(() => {
      for (const tile of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-testid=tile][data-mine=false]'))) {
        const video = tile.querySelector('video');
        if (!video || video.videoWidth === 0 || getComputedStyle(video).visibility === 'hidden') continue;
        pen.drawImage(video, 0, 0, 32, 18);
        own.pictures.add(`${tile.dataset['member']} ${[...pen.getImageData(3, 14, 1, 1).data.slice(0, 3)].join(',')}`);
      }
    }, 20);
  }
  const seen = [...own.pictures];
  own.pictures.clear();
  return seen;
}

/**
 * Begins to look at the frames that are decoded of a member's camera on the way that is shown; returns the longest time (ms) without one
 * since the last call. It does not ask when they came onto the screen: browsers that share a small machine present
 * late what has long been there.
 * @param {{ member: string, burst?: 'shown' | 'late' }} what `burst`: several frames that are decoded between two looks. A page that is busy looks late, and they
 *   were `shown` meanwhile; after an interruption they have come `late`, all at once
 */
export function longestWithoutMedia({ member, burst = 'shown' }) {
  const own = /** @type {any} */ (window);
  // By the clock of the browser's reports: it hands out one again for a moment, and a page that is busy asks late.
  const clock = () => performance.timeOrigin + performance.now();
  if (own.decoding?.member === member) {
    const longest = Math.max(own.decoding.longest, clock() - own.decoding.last);
    own.decoding.longest = 0;
    return longest;
  }
  const watch = (own.decoding = { member, last: clock(), longest: 0 });
  let key = '';
  let count = 0;
  const look = async () => {
    const { members } = await own.althing.stats();
    const mid = members.find((/** @type {any} */ each) => each.member === member && each.kind === 'video' && !each.screen)?.mid;
    const report = mid === undefined ? [] : [...((await own.althing.connection?.getStats())?.values() ?? [])];
    const line = report.find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video' && entry.mid === mid);
    const way = `${own.althing.route.via} ${mid}`;
    if (line && way !== key) [key, count] = [way, line.framesDecoded];
    const frames = line ? line.framesDecoded - count : 0;
    if (frames > 0) {
      watch.longest = Math.max(watch.longest, (line.timestamp - watch.last) / (burst === 'shown' ? frames : 1));
      watch.last = line.timestamp;
      count = line.framesDecoded;
    }
    if (own.decoding === watch) setTimeout(() => void look(), 20);
  };
  void look();
  return 0;
}

/**
 * Begins to look whether a tile has a picture to be seen; returns in how many looks since the last call it had none.
 * @param {{ member: string, kind: string }} tile
 */
export function looksWithoutPicture({ member, kind }) {
  const own = /** @type {any} */ (window);
  const before = own.without;
  const watch = (own.without = { count: 0 });
  const look = () => {
    const all = /** @type {NodeListOf<HTMLVideoElement>} */ (document.querySelectorAll(`[data-testid=tile][data-member="${member}"][data-kind=${kind}] video`));
    if (![...all].some((video) => video.videoWidth > 0 && getComputedStyle(video).visibility !== 'hidden')) watch.count += 1;
    if (own.without === watch) requestAnimationFrame(look);
  };
  look();
  return before?.count ?? 0;
}

/**
 * The strongest frequency (Hz) in what is received of a member; 0 while it is silent.
 * @param {{ member: string, kind: 'camera' | 'screen' }} from
 */
export async function toneOf({ member, kind }) {
  const own = /** @type {any} */ (window);
  const track = own.althing.media.get(member)?.[kind]?.audio;
  if (!track) return 0;
  own.ears ??= new Map();
  let ear = own.ears.get(track.id);
  if (!ear) {
    const context = new AudioContext();
    void context.resume();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    own.ears.set(track.id, (ear = { analyser, rate: context.sampleRate }));
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  const levels = new Float32Array(ear.analyser.frequencyBinCount);
  ear.analyser.getFloatFrequencyData(levels);
  let best = 1;
  for (let i = 2; i < levels.length; i++) if (levels[i] > levels[best]) best = i;
  return levels[best] < -70 ? 0 : Math.round((best * ear.rate) / ear.analyser.fftSize);
}
