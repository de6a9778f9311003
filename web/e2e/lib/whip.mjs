// What runs inside of a page that publishes by WHIP or plays by WHEP. Nothing closes over anything.

/**
 * Publishes the page's camera and microphone; the session's URL.
 * @param {string} url
 */
export async function publish(url) {
  const own = /** @type {any} */ (window);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  for (const track of stream.getTracks()) connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  await connection.setLocalDescription();
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: connection.localDescription?.sdp ?? '' });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  own.published = connection;
  return new URL(response.headers.get('Location') ?? '', url).href;
}

/**
 * Plays members, a pair of m-lines for each; the session's URL.
 * @param {{ url: string, pairs: number }} what
 */
export async function play({ url, pairs }) {
  const own = /** @type {any} */ (window);
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  own.played = [];
  for (let pair = 0; pair < pairs; pair++) {
    const [audio, video] = [connection.addTransceiver('audio', { direction: 'recvonly' }), connection.addTransceiver('video', { direction: 'recvonly' })];
    const element = document.createElement('video');
    // Chromium gives a received track's sound to an AudioContext only while an element plays it, be it silently.
    [element.autoplay, element.muted, element.srcObject] = [true, true, new MediaStream([audio.receiver.track, video.receiver.track])];
    document.body.append(element);
    own.played.push({ element, audio: audio.receiver.track, receiver: video.receiver });
  }
  await connection.setLocalDescription();
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: connection.localDescription?.sdp ?? '' });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  own.playing = connection;
  return new URL(response.headers.get('Location') ?? '', url).href;
}

/**
 * What is seen and heard in a pair: the colour in the lower left corner, the strongest frequency (Hz), frames so far.
 * @param {number} pair
 */
export async function looked(pair) {
  const own = /** @type {any} */ (window);
  const { element, audio, receiver } = own.played[pair];
  own.ears ??= new Map();
  if (!own.ears.has(pair)) {
    const context = new AudioContext();
    void context.resume();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    context.createMediaStreamSource(new MediaStream([audio])).connect(analyser);
    own.ears.set(pair, { analyser, rate: context.sampleRate });
  }
  const { analyser, rate } = own.ears.get(pair);
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  let best = 1;
  for (let i = 2; i < levels.length; i++) if (levels[i] > levels[best]) best = i;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [32, 18];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.drawImage(element, 0, 0, 32, 18);
  const stats = [...(await receiver.getStats()).values()];
  const frames = stats.find((entry) => entry.type === 'inbound-rtp')?.framesDecoded ?? 0;
  return { colour: [...pen.getImageData(3, 14, 1, 1).data.slice(0, 3)], tone: levels[best] < -70 ? 0 : Math.round((best * rate) / analyser.fftSize), frames };
}

/**
 * Ends a session; the status.
 * @param {string} url
 */
export async function end(url) {
  return (await fetch(url, { method: 'DELETE' })).status;
}

/** The SRTP profile of what was published or is played. */
export async function cipher() {
  const own = /** @type {any} */ (window);
  const stats = await (own.published ?? own.playing).getStats();
  return [...stats.values()].find((entry) => entry.type === 'transport')?.srtpCipher ?? '';
}
