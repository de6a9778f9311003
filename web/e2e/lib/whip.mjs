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
  own.tag = response.headers.get('ETag');
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
  own.tag = response.headers.get('ETag');
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
 * Tells a session the candidates that were gathered after its offer had been posted, as one that trickles; the status.
 * @param {string} url
 */
export async function trickle(url) {
  const own = /** @type {any} */ (window);
  /** @type {RTCPeerConnection} */
  const connection = own.published ?? own.playing;
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 20));
  const lines = (connection.localDescription?.sdp ?? '').split('\r\n');
  const first = (/** @type {string} */ start) => lines.find((line) => line.startsWith(start)) ?? '';
  const candidates = lines.filter((line) => line.startsWith('a=candidate:'));
  const body = [first('a=ice-ufrag:'), first('a=ice-pwd:'), 'm=audio 9 RTP/AVP 0', first('a=mid:'), ...new Set(candidates), 'a=end-of-candidates', ''].join('\r\n');
  const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': own.tag };
  return (await fetch(url, { method: 'PATCH', headers, body })).status;
}

/**
 * Restarts ICE (RFC 9725 section 4.3.3): the browser offers anew to itself, the server is told of the ICE in it alone, and what it answers
 * is put into the answer that there was. The status, and whether the connection is over the new credentials.
 * @param {string} url
 */
export async function restart(url) {
  const own = /** @type {any} */ (window);
  /** @type {RTCPeerConnection} */
  const connection = own.published ?? own.playing;
  await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 20));
  const lines = (connection.localDescription?.sdp ?? '').split('\r\n');
  const first = (/** @type {string} */ start, among = lines) => among.find((line) => line.startsWith(start)) ?? '';
  const own_ufrag = first('a=ice-ufrag:').slice('a=ice-ufrag:'.length);
  const candidates = lines.filter((line) => line.startsWith('a=candidate:'));
  const body = [first('a=ice-ufrag:'), first('a=ice-pwd:'), 'm=audio 9 RTP/AVP 0', first('a=mid:'), ...new Set(candidates), 'a=end-of-candidates', ''].join('\r\n');
  const response = await fetch(url, { method: 'PATCH', headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' }, body });
  const fragment = (await response.text()).split('\r\n');
  if (response.status !== 200) return { status: response.status, over: false };
  const fresh = response.headers.get('ETag');
  const changed = fresh !== own.tag && fresh === `"${first('a=ice-ufrag:', fragment).slice('a=ice-ufrag:'.length)}"`;
  own.tag = fresh;
  const before = (connection.currentRemoteDescription?.sdp ?? '').split('\r\n').filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line));
  const after = before.map((line) => (line.startsWith('a=ice-ufrag:') ? first('a=ice-ufrag:', fragment) : line.startsWith('a=ice-pwd:') ? first('a=ice-pwd:', fragment) : line));
  const at = after.findIndex((line) => line.startsWith('a=mid:')) + 1;
  after.splice(at, 0, ...fragment.filter((line) => line.startsWith('a=candidate:')));
  await connection.setRemoteDescription({ type: 'answer', sdp: after.join('\r\n') });
  const over = async () => {
    const stats = await connection.getStats();
    const transport = [...stats.values()].find((entry) => entry.type === 'transport');
    const pair = stats.get(transport?.selectedCandidatePairId);
    const local = stats.get(pair?.localCandidateId);
    // Firefox does not say which credentials a candidate is of.
    return local?.usernameFragment === undefined ? connection.iceConnectionState === 'connected' : local.usernameFragment === own_ufrag;
  };
  const end = Date.now() + 10_000;
  while (!(await over()) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  return { status: response.status, over: changed && (await over()) };
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
