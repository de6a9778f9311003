// What runs in the browser: a source that flashes and beeps at the same moment, and a receiver that measures both.

const PERIOD = 1000;
const FLASH = 120;
const QUIET = 0.002;
/** How long the browser may take to bring sound and picture together before anything is measured. */
const SETTLE = 8000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let context;

/** The one AudioContext of the page, so that every measurement has the same clock and the same delays. */
async function audio() {
  if (!context) {
    context = new AudioContext();
    await context.audioWorklet.addModule('/onset.js');
  }
  await context.resume();
  return context;
}

/** A stream whose picture is white, and whose sound beeps, for a moment once a second. */
async function startSource() {
  const ears = await audio();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [320, 180];
  const pen = canvas.getContext('2d', { alpha: false });
  const tone = startTone(ears);
  let next = performance.now() + PERIOD;
  let dark = 0;
  let frame = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now >= next) {
      tone.beep();
      dark = now + FLASH;
      next += PERIOD;
    }
    pen.fillStyle = now < dark ? '#fff' : '#000';
    pen.fillRect(0, 0, 320, 180);
    // Something moves, so that every frame is one.
    pen.fillStyle = '#808080';
    pen.fillRect((frame++ * 4) % 320, 170, 10, 10);
  }, 1000 / 30);
  const stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...tone.stream.getTracks()]);
  const stop = () => {
    clearInterval(timer);
    tone.stop();
    stream.getTracks().forEach((track) => track.stop());
  };
  return { stream, stop };
}

/**
 * A tone that is loud for a moment when told. It never falls silent: a destination whose inputs have ended sends no packets, and a
 * receiver's buffer then loses its measure.
 */
function startTone(ears) {
  const [oscillator, gain, destination] = [ears.createOscillator(), ears.createGain(), ears.createMediaStreamDestination()];
  oscillator.frequency.value = 1000;
  gain.gain.value = QUIET;
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  const beep = () => {
    gain.gain.setValueAtTime(0.8, ears.currentTime);
    gain.gain.setValueAtTime(QUIET, ears.currentTime + FLASH / 1000);
  };
  const stop = () => {
    oscillator.stop();
    gain.disconnect();
  };
  return { stream: destination.stream, beep, stop };
}

/** By how many milliseconds each beep comes after its flash, as a viewer of `stream` has it; `connection` received it. */
async function measure(connection, stream, flashes) {
  const ears = await audio();
  const video = document.createElement('video');
  Object.assign(video, { srcObject: stream, autoplay: true, playsInline: true });
  document.body.append(video);
  await video.play();
  const [seen, heard] = [[], []];
  const eyes = watch(video, seen);
  const listener = listen(ears, stream, heard);
  await sleep(SETTLE);
  const begin = performance.now();
  const deadline = begin + (flashes + 15) * PERIOD;
  const offsets = () => pair(seen.filter((at) => at >= begin), heard);
  const skews = [];
  while (offsets().length < flashes && performance.now() < deadline) {
    await sleep(500);
    skews.push(...(await skewOf(connection)));
  }
  eyes.stop();
  listener.stop();
  video.remove();
  return { offsets: offsets(), skews };
}

/** By how many milliseconds the sound that is played now was captured after the picture that is shown now, as the browser reckons. */
async function skewOf(connection) {
  const reports = [...(await connection.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
  const playout = (kind) => Math.max(0, ...reports.filter((report) => report.kind === kind).map((report) => report.estimatedPlayoutTimestamp ?? 0));
  const [sound, picture] = [playout('audio'), playout('video')];
  return sound && picture ? [sound - picture] : [];
}

/** Notes when the picture turns white: the time at which the frame is to be shown. */
function watch(video, seen) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [16, 9];
  const pen = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  let white = false;
  let running = true;
  const look = (_, frame) => {
    if (!running) return;
    pen.drawImage(video, 0, 0, 16, 9);
    const isWhite = pen.getImageData(8, 3, 1, 1).data[1] > 128;
    if (isWhite && !white) seen.push(frame.expectedDisplayTime);
    white = isWhite;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  return { stop: () => (running = false) };
}

/** Notes when a beep begins, on the page's clock: the time at which it leaves the speaker. */
function listen(ears, stream, heard) {
  const source = ears.createMediaStreamSource(stream);
  const onset = new AudioWorkletNode(ears, 'onset', { numberOfInputs: 1, numberOfOutputs: 1 });
  onset.port.onmessage = ({ data: at }) => {
    const { contextTime, performanceTime } = ears.getOutputTimestamp();
    heard.push(performanceTime + (at - contextTime) * 1000);
  };
  source.connect(onset).connect(ears.destination);
  return {
    stop: () => {
      source.disconnect();
      onset.disconnect();
    },
  };
}

/** For each flash the beep that is nearest, when there is one within half a period. */
function pair(seen, heard) {
  const nearest = (flash) => heard.reduce((best, beep) => (Math.abs(beep - flash) < Math.abs(best - flash) ? beep : best), Infinity);
  return seen.map((flash) => nearest(flash) - flash).filter((offset) => Math.abs(offset) < PERIOD / 2);
}

/** The SRTP cipher of a connection, from its transport's figures. */
async function cipherOf(connection) {
  for (const report of (await connection.getStats()).values()) if (report.type === 'transport') return report.srtpCipher ?? '';
  return '';
}

async function connected(connection) {
  for (let i = 0; i < 200 && connection.connectionState !== 'connected'; i++) await sleep(100);
  if (connection.connectionState !== 'connected') throw new Error(`not connected: ${connection.connectionState}`);
}

/** The same media without a server: two connections of this page. */
async function direct(flashes) {
  const source = await startSource();
  const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
  one.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate);
  other.onicecandidate = ({ candidate }) => candidate && one.addIceCandidate(candidate);
  const received = new Promise((resolve) => {
    other.ontrack = ({ streams: [stream] }) => stream.getTracks().length === 2 && resolve(stream);
  });
  source.stream.getTracks().forEach((track) => one.addTrack(track, source.stream));
  await one.setLocalDescription();
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription();
  await one.setRemoteDescription(other.localDescription);
  await connected(other);
  const measured = await measure(other, await received, flashes);
  source.stop();
  one.close();
  other.close();
  return measured;
}

/** A signaling socket: requests, and the slots as they are. */
class Signaling {
  static async open(url) {
    const signaling = new Signaling();
    signaling.socket = new WebSocket(url, 'althing.v1');
    signaling.waiting = new Map();
    signaling.next = 1;
    signaling.slots = [];
    signaling.socket.onmessage = ({ data }) => signaling.take(JSON.parse(data));
    await new Promise((resolve, reject) => {
      signaling.socket.onopen = resolve;
      signaling.socket.onerror = () => reject(new Error('the signaling socket cannot be opened'));
    });
    await signaling.ask({ type: 'hello', versions: [1], features: [] });
    return signaling;
  }

  ask(request) {
    const id = this.next++;
    this.socket.send(JSON.stringify({ id, ...request }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  take(message) {
    if (message.type === 'event') {
      if (message.event.type === 'slots') this.slots = message.event.slots;
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.type === 'ok') waiting?.resolve(message.result);
    else waiting?.reject(new Error(`${message.code}: ${message.message}`));
  }
}

/** Joins and offers; `stream` is published if given, else a slot pair is received. */
async function join(url, room, name, stream) {
  const signaling = await Signaling.open(url);
  const joined = await signaling.ask({ type: 'join', room, name });
  const connection = new RTCPeerConnection();
  const streams = new Map();
  connection.ontrack = ({ transceiver, streams: [first] }) => streams.set(transceiver.mid, first);
  if (stream) for (const track of stream.getTracks()) connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  else
    for (let i = 0; i < Math.max(1, joined.pairs); i++)
      for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
  await connection.setLocalDescription();
  const sending = connection.getTransceivers().filter((transceiver) => transceiver.direction === 'sendonly');
  const publish = sending.map(({ mid, sender }) => ({ mid, source: sender.track.kind === 'audio' ? 'microphone' : 'camera' }));
  const answer = await signaling.ask({ type: 'offer', sdp: connection.localDescription.sdp, publish });
  await connection.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
  await connected(connection);
  const leave = async () => {
    await signaling.ask({ type: 'leave' }).catch(() => undefined);
    connection.close();
    signaling.socket.close();
  };
  return { member: joined.me.member, connection, signaling, pairs: answer.pairs, streams, leave };
}

/** The stream of the slot pair that `publisher` is in, once it is in one with sound and picture. */
async function pairStream(viewer, publisher) {
  for (let i = 0; i < 100; i++) {
    const slot = viewer.signaling.slots.find(({ member, audio, video }) => member === publisher && audio !== undefined && video !== undefined);
    if (slot) {
      const mids = viewer.pairs.find(({ pair }) => pair === slot.pair);
      const [sound, picture] = [viewer.streams.get(mids.audio), viewer.streams.get(mids.video)];
      if (!sound || sound !== picture) throw new Error('the halves of the pair are not in one stream: a browser would not synchronise them');
      return sound;
    }
    await sleep(100);
  }
  throw new Error('the publisher has not come into a slot pair within 10 s');
}

/** The same media through the server at `url`. */
async function through(url, room, flashes) {
  const source = await startSource();
  const publisher = await join(url, room, 'flash', source.stream);
  const viewer = await join(url, room, 'eye', null);
  const measured = await measure(viewer.connection, await pairStream(viewer, publisher.member), flashes);
  const ciphers = [await cipherOf(publisher.connection), await cipherOf(viewer.connection)];
  await viewer.leave();
  await publisher.leave();
  source.stop();
  return { ...measured, ciphers };
}

/** The ciphers of a publisher's and a viewer's connection with the server at `url`. */
async function ciphers(url, room) {
  const source = await startSource();
  const publisher = await join(url, room, 'sender', source.stream);
  const viewer = await join(url, room, 'receiver', null);
  await sleep(1000);
  const found = [await cipherOf(publisher.connection), await cipherOf(viewer.connection)];
  await viewer.leave();
  await publisher.leave();
  source.stop();
  return found;
}

window.prove = { direct, through, ciphers };
