// Publishes by WHIP with libdatachannel, as OBS does: the same library, m-lines, payload types and parameters; one POST with a bearer token, no
// candidates later, no entity tag, a DELETE at the end. What is sent is FFmpeg's: H.264 of the constrained baseline profile, and Opus.
//
//     node tests/whip/datachannel/publish.mjs <url> <r,g,b> <tone>    until its standard input ends
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import datachannel from 'node-datachannel';

const [url = '', colour = '', tone = ''] = process.argv.slice(2);
const [AUDIO, VIDEO] = [111, 96];
const hex = colour.split(',').map((part) => Number(part).toString(16).padStart(2, '0')).join('');
const ssrc = Math.floor(Math.random() * 0x7fff_fff0) + 1;

const connection = new datachannel.PeerConnection('as-obs', { iceServers: [] });
const audio = new datachannel.Audio('0', 'SendOnly');
audio.addOpusCodec(AUDIO, 'minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1');
audio.addSSRC(ssrc, 'as-obs', 'as-obs', 'as-obs-audio');
const video = new datachannel.Video('1', 'SendOnly');
video.addH264Codec(VIDEO, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
video.addSSRC(ssrc + 1, 'as-obs', 'as-obs', 'as-obs-video');
const tracks = { audio: connection.addTrack(audio), video: connection.addTrack(video) };

const gathered = new Promise((resolve) => connection.onGatheringStateChange((state) => state === 'complete' && resolve(undefined)));
const connected = new Promise((resolve, reject) =>
  connection.onStateChange((state) => (state === 'connected' ? resolve(undefined) : state === 'failed' && reject(new Error('no connection')))),
);
connection.setLocalDescription();
await gathered;
const offer = connection.localDescription()?.sdp ?? '';
if (process.env['SHOW_OFFER']) process.stdout.write(offer);
const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp', Authorization: 'Bearer none' }, body: offer });
const answer = await response.text();
if (response.status !== 201) throw new Error(`${response.status} ${answer}`);
connection.setRemoteDescription(answer, 'Answer');
await connected;

/** FFmpeg writes packets of RTP to a port of ours. */
async function send(kind, input, encoder, payload, number) {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(undefined)));
  socket.on('message', (packet) => {
    // Those of RTCP, which FFmpeg sends to the same port, are for nobody.
    if (((packet[1] ?? 0) & 0x7f) === payload && tracks[kind].isOpen()) tracks[kind].sendMessageBinary(packet);
  });
  const { port } = socket.address();
  const to = ['-f', 'rtp', '-payload_type', String(payload), '-ssrc', String(number), `rtp://127.0.0.1:${port}?rtcpport=${port}&pkt_size=1200`];
  const child = spawn('ffmpeg', ['-loglevel', 'error', '-re', '-f', 'lavfi', '-i', input, ...encoder, ...to], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { child, socket };
}

const picture = `color=0x${hex}:size=320x240:rate=15,drawbox=x='mod(t*60,280)':y=20:w=40:h=20:color=white:t=fill`;
const h264 = ['-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '15', '-bf', '0', '-pix_fmt', 'yuv420p', '-bsf:v', 'dump_extra=freq=keyframe'];
const opus = ['-c:a', 'libopus', '-ar', '48000', '-ac', '2', '-b:a', '96k'];
const senders = [
  await send('video', picture, h264, VIDEO, ssrc + 1),
  await send('audio', `sine=frequency=${tone}:sample_rate=48000`, opus, AUDIO, ssrc),
];

process.stdin.resume();
await new Promise((resolve) => process.stdin.on('end', resolve));
for (const { child, socket } of senders) {
  child.kill();
  socket.close();
}
const ended = await fetch(new URL(response.headers.get('Location') ?? '', url), { method: 'DELETE' });
if (ended.status !== 200) throw new Error(`DELETE: ${ended.status}`);
connection.close();
datachannel.cleanup();
process.exit(0);
