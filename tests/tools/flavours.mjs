// The flavours of offers that the corpus holds, as functions that run inside the page. Each gets `pc` (a fresh connection), `exchange(name)`
// (make an offer, have it answered, take the answer) and helpers; each offer it makes becomes the file `<browser>-<name>.sdp`.

export const flavours = {
  async join({ pc, exchange, camera, slots }) { await camera(); slots(4); await exchange('join'); },

  async screen({ pc, exchange, camera, slots, canvas, tone }) {
    await camera(); slots(1); await exchange('screen-before');
    pc.addTransceiver(canvas(640, 360), { direction: 'sendonly' }); pc.addTransceiver(tone(), { direction: 'sendonly' });
    await exchange('screen-added');
  },

  async restart({ pc, exchange, camera, slots }) {
    await camera(); slots(1); await exchange('restart-before');
    pc.restartIce(); await exchange('restart');
    await exchange('restart-after');
  },

  async pairs12({ exchange, camera, slots }) { await camera(); slots(12); await exchange('pairs12'); },

  async data({ pc, exchange, camera }) { pc.createDataChannel('chat'); await camera(); await exchange('data'); },

  async recvonly({ exchange, slots }) { slots(2); await exchange('recvonly'); },

  async sendrecv({ pc, exchange, media, gathered }) {
    const stream = await media(); for (const track of stream.getTracks()) pc.addTrack(track, stream);
    await exchange('sendrecv', { gather: true });
  },

  async preferences({ pc, exchange, camera, slots, prefer }) {
    await camera(); slots(4);
    for (const t of pc.getTransceivers()) { if (t.direction === 'recvonly') prefer(t, t.receiver.track.kind === 'audio' ? ['opus'] : ['vp8', 'vp9', 'rtx']); }
    await exchange('preferences');
  },

  async red({ pc, exchange, media, prefer, browser }) {
    if (browser !== 'chromium') return;
    const t = pc.addTransceiver((await media()).getAudioTracks()[0], { direction: 'sendonly' }); prefer(t, ['red', 'opus']);
    await exchange('red-first');
  },

  async stopped({ pc, exchange, camera, slots }) {
    await camera(); slots(2); await exchange('stopped-before');
    const ts = pc.getTransceivers(); ts[2].stop(); ts[3].stop(); await exchange('stopped');
    slots(1); await exchange('recycled');
  },

  async inactive({ pc, exchange, camera, slots }) {
    await camera(); slots(1); await exchange(null);
    for (const t of pc.getTransceivers()) t.direction = 'inactive'; await exchange('inactive');
  },

  async balanced({ pc, exchange, camera, slots }) { await camera(); slots(1); await exchange('balanced'); },

  async simulcast_vp8({ simulcast, exchange }) { simulcast('vp8'); await exchange('simulcast-vp8', { sends: 1 }); },
  async simulcast_h264({ simulcast, exchange }) { if (simulcast('h264')) await exchange('simulcast-h264', { sends: 1 }); },
  async simulcast_vp9({ simulcast, exchange }) { if (simulcast('vp9', 'L1T3')) await exchange('simulcast-vp9', { sends: 1 }); },
  async simulcast_av1({ simulcast, exchange }) { if (simulcast('av1', 'L1T3')) await exchange('simulcast-av1', { sends: 1 }); },
  async simulcast_again({ pc, simulcast, exchange, slots }) {
    simulcast('vp8'); await exchange(null, { sends: 1 }); slots(1); await exchange('simulcast-again', { sends: 1 });
  },
  // What libwebrtc offers on phones: sound, three rids of any codec, slots.
  async native({ pc, tone, simulcast, exchange, slots, browser }) {
    if (browser !== 'chromium') return;
    pc.addTransceiver(tone(), { direction: 'sendonly' }); simulcast('vp8', undefined, false); slots(2); await exchange('native', { sends: 1 });
  },
  async one_rid({ pc, canvas, exchange }) {
    pc.addTransceiver(canvas(640, 360), { direction: 'sendonly', sendEncodings: [{ rid: 'only' }] }); await exchange('one-rid', { sends: 1 });
  },
};

/** What runs in the page: one flavour with its helpers. `answer` is a function of the page that has an offer answered. */
export async function run([name, source, browser]) {
  const pc = new RTCPeerConnection({ bundlePolicy: name === 'balanced' ? 'balanced' : 'max-bundle' });
  const kept = [];
  const media = () => navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 15 } });
  const canvas = (w, h) => {
    const c = document.createElement('canvas'); c.width = w; c.height = h; const g = c.getContext('2d'); let n = 0;
    const draw = () => { g.fillStyle = `hsl(${n * 7 % 360} 80% 50%)`; g.fillRect(0, 0, w, h); g.fillStyle = '#fff'; g.fillText(String(n++), 20, 60); };
    draw(); kept.push(setInterval(draw, 66)); return c.captureStream(15).getVideoTracks()[0];
  };
  const tone = () => {
    const ctx = new AudioContext(), o = ctx.createOscillator(), d = ctx.createMediaStreamDestination();
    o.connect(d); o.start(); return d.stream.getAudioTracks()[0];
  };
  const camera = async () => { for (const track of (await media()).getTracks()) pc.addTransceiver(track, { direction: 'sendonly' }); };
  const slots = n => { for (let i = 0; i < n; i++) { pc.addTransceiver('audio', { direction: 'recvonly' }); pc.addTransceiver('video', { direction: 'recvonly' }); } };
  const prefer = (t, names) => {
    const all = RTCRtpReceiver.getCapabilities(t.receiver.track.kind).codecs;
    const some = names.flatMap(n => all.filter(c => c.mimeType.toLowerCase().endsWith('/' + n)));
    if (some.some(c => !c.mimeType.endsWith('/rtx'))) t.setCodecPreferences(some);
    return some.length > 0;
  };
  const simulcast = (codec, scalabilityMode, only = true) => {
    const sendEncodings = [['q', 4, 100_000], ['h', 2, 300_000], ['f', 1, 900_000]].map(([rid, scaleResolutionDownBy, maxBitrate]) => ({ rid, scaleResolutionDownBy, maxBitrate, ...(scalabilityMode ? { scalabilityMode } : {}) }));
    const caps = RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType.toLowerCase() === 'video/' + codec);
    if (!caps) return false;
    const t = pc.addTransceiver(canvas(1280, 720), { direction: 'sendonly', sendEncodings });
    return !only || prefer(t, [codec, 'rtx']);
  };
  const result = [];
  const exchange = async (label, options = {}) => {
    await pc.setLocalDescription(await pc.createOffer());
    if (options.gather) while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 20));
    result.push(await window.converse(pc, name, label, options));
  };
  try { await eval('(' + source + ')')({ pc, exchange, camera, slots, media, canvas, tone, prefer, simulcast, browser }); }
  catch (error) { if (String(error) !== 'stop') result.push({ error: String(error) }); }
  for (const timer of kept) clearInterval(timer);
  pc.close();
  return result;
}
