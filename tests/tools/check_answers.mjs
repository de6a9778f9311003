// Has real browsers take the answers of `examples/answer`, and send by them.
//
//   cargo build --example answer
//   node tests/tools/check_answers.mjs <path of the example's binary> [chromium|firefox|both] [folder to keep the offers in, or ""] [one flavour]
//
// A second connection in the page is the other end of the transport: its ICE credentials, fingerprint and candidates go into our answers, and
// it shows what the first one really sends. Ends with status 1 when an answer was refused, or more or less than one encoding was sent.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { writeFileSync } from 'node:fs';
import { open } from './browsers.mjs';
import { flavours, run } from './flavours.mjs';

const [, , binary, which = 'both', keep, only] = process.argv;

/** One process of the example: one connection's answers. */
function answerer() {
  const child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async request => { child.stdin.write(JSON.stringify(request) + '\n'); return JSON.parse((await lines.next()).value); },
    end: () => child.stdin.end(),
  };
}

/** In the page: gives `pc`'s local offer to the other end and to the example, and takes the example's answer. */
function installConverse() {
  const sleep = ms => new Promise(done => setTimeout(done, ms));
  const gathered = async pc => { while (pc.iceGatheringState !== 'complete') await sleep(20); };
  const all = async (pc, type) => [...(await pc.getStats()).values()].filter(s => s.type === type && s.kind === 'video');
  window.converse = async (pc, name, label, options) => {
    const out = { label, offer: pc.localDescription.sdp };
    if (!pc.other) {
      pc.other = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }); pc.streams = {};
      pc.addEventListener('track', e => { pc.streams[e.transceiver.mid] = e.streams.map(s => s.id).join(); });
    }
    await gathered(pc);
    await pc.other.setRemoteDescription({ type: 'offer', sdp: pc.localDescription.sdp.replaceAll('a=setup:actpass', 'a=setup:active') });
    await pc.other.setLocalDescription(await pc.other.createAnswer());
    await gathered(pc.other);
    const text = pc.other.localDescription.sdp;
    const first = pattern => (text.match(pattern) || [])[1];
    const candidates = [...text.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host/gim)].map(m => m[1].includes(':') ? `[${m[1]}]:${m[2]}` : `${m[1]}:${m[2]}`);
    const answer = await window.ask(name, {
      sdp: out.offer, ufrag: first(/a=ice-ufrag:(\S+)/), pwd: first(/a=ice-pwd:(\S+)/), fingerprint: first(/a=fingerprint:sha-256 (\S+)/i), candidates,
    });
    if (answer.error) throw new Error('refused: ' + answer.error);
    out.answer = answer.sdp;
    await pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    out.streams = { ...pc.streams };
    const until = performance.now() + 8_000;
    while (pc.connectionState !== 'connected' && performance.now() < until) await sleep(20);
    out.state = pc.connectionState;
    if (options.sends) {
      // Firefox counts from zero again when it takes an answer, some time after: so only the last three seconds count.
      await sleep(3_000);
      const before = await all(pc, 'outbound-rtp');
      await sleep(3_000);
      const sent = (await all(pc, 'outbound-rtp')).filter(s => s.packetsSent > (before.find(b => b.id === s.id)?.packetsSent || 0));
      out.sent = sent.map(s => ({ rid: s.rid, ssrc: s.ssrc, packets: s.packetsSent, width: s.frameWidth }));
      out.decoded = (await all(pc.other, 'inbound-rtp')).map(s => s.framesDecoded || 0).reduce((a, b) => a + b, 0);
      out.receive = answer.receive;
      out.encodings = pc.getSenders().flatMap(s => s.getParameters().encodings || []).map(e => `${e.rid}${e.active ? '' : ' off'}`);
    }
    return out;
  };
}

/** What is wrong with one exchange, or nothing. */
function fault(result) {
  if (result.error) return result.error;
  if (result.state !== 'connected') return 'not connected: ' + result.state;
  for (const [mid, stream] of Object.entries(result.streams)) if (!/^pair-\d+$/.test(stream)) return `mid ${mid} is in stream ${stream}`;
  if (!result.sent) return '';
  if (result.sent.length < 1 || result.sent.length > 3) return 'not one to three encodings are sent';
  if (!result.decoded) return 'nothing of it was decoded';
  const plan = result.receive.find(r => r.kind === 'Video');
  if (plan?.ssrcs.length && !plan.ssrcs.includes(result.sent[0].ssrc)) return 'it is sent with an SSRC that the plan does not have';
  if (plan?.rids.length && result.sent.some((s) => s.rid && !plan.rids.includes(s.rid))) return 'it is another rid than the plan has';
  return '';
}

let failed = 0;
for (const name of which === 'both' ? ['chromium', 'firefox'] : [which]) {
  const browser = await open(name);
  console.log(`## ${name} ${browser.version}`);
  const sessions = {};
  await browser.page.exposeFunction('ask', (flavour, request) => (sessions[flavour] ||= answerer()).ask(request));
  await browser.page.evaluate(installConverse);
  for (const [flavour, code] of Object.entries(flavours).filter(([name]) => !only || only === name)) {
    const source = code.toString().replace(/^async (\w+)\(/, 'async function $1(');
    for (const result of await browser.page.evaluate(run, [flavour, source, name])) {
      const wrong = fault(result);
      if (wrong) failed += 1;
      console.log(wrong ? 'FAIL' : 'ok  ', flavour.padEnd(16), (result.label || '').padEnd(16), wrong, JSON.stringify({ sent: result.sent, decoded: result.decoded, encodings: result.encodings }));
      if (wrong && process.env.VERBOSE) console.log(result.offer, result.answer);
      if (keep && result.label) writeFileSync(`${keep}/${name}-${result.label}.sdp`, result.offer);
    }
    sessions[flavour]?.end();
  }
  await browser.close();
}
console.log(failed ? `${failed} failed` : 'all answers were taken');
process.exit(failed ? 1 : 0);
