import { LOSSY_QUEUE, roomIn } from './data.ts';
import { Emitter } from './emitter.ts';
import type { Encryption } from './encryption.ts';
import { ReceivedLines, SentLines } from './lines.ts';
import type { Publication } from './publisher.ts';
import { generationOf, isNewer, originOf, ranked, rankedDescription } from './ranking.ts';
import { followPair, selectedPair } from './stats.ts';
import type { SelectedPair } from './stats.ts';
import type { DataPayload, DirectState, PublishLine, Signal } from './wire.ts';

/** How a direct connection stands. */
export type DirectStatus = 'connecting' | 'connected' | 'recovering' | 'closed';

/** What the ends say to each other over their data channel. */
export type DirectMessage =
  /** What the sender's m-lines carry: all of it. */
  | { type: 'lines'; lines: PublishLine[]; revision: number }
  /** The sender receives everything on the way that comes after this one. */
  | { type: 'switched' }
  /** The sender leaves: where the server is away, nobody else says so. */
  | { type: 'left' }
  /** A description or a candidate, while the server is away: what is begun then is seen by the other end all the same. */
  | { type: 'signal'; signal: Signal }
  /** Something that was written; the server is told it, too, with the same key. */
  | { type: 'chat'; key: string; at: number; text: string }
  /** Data. */
  | { type: 'data'; topic: string; payload: DataPayload };

export interface DirectEvents {
  status: DirectStatus;
  /** What is received has changed. */
  media: void;
  message: DirectMessage;
  /** It is up, over this pair of candidates. */
  up: Extract<DirectState, { is: 'up' }>;
  /** It cannot be had, or is lost for good. */
  failed: void;
}

export interface DirectOptions {
  /** Whether this end gives way when both have sent an offer, and waits for the first one. */
  polite: boolean;
  /** Says something to the other end by way of the server. */
  signal: (signal: Signal) => Promise<unknown>;
  /** Where STUN and TURN are now: their credentials expire, and a server that begins anew has others. */
  iceServers: () => Promise<RTCIceServer[]>;
  /** What seals what is sent, where the call is encrypted end to end. */
  encryption?: Encryption | undefined;
  /** Waits (ms). */
  times?: Partial<DirectTimes>;
}

interface DirectTimes {
  /** The polite end waits so long for the first offer: more delays a call whose first offer was lost. */
  firstOffer: number;
  /** A connection that is not up by then cannot be had. Checks over slow relays take seconds. */
  connect: number;
  /** It may be without answers for so long before new candidates are looked for. */
  patience: number;
  /** New candidates that were exchanged have so long before others are looked for. */
  restart: number;
  /** It may be lost for so long before it is given up. */
  recover: number;
}

const DEFAULT_TIMES: DirectTimes = { firstOffer: 3000, connect: 15_000, patience: 1500, restart: 3000, recover: 12_000 };

/** Bytes of a text: the most that a server takes, if nothing else is set there. */
const CHAT_BYTES = 4096;
/** What is said before a connection is closed has so long to leave (ms): whoever hangs up waits for it. */
const LAST_WORDS = 200;
/** Bytes of a message that the other end may send: more is none of ours. */
const MESSAGE_BYTES = 64 * 1024;

/**
 * A connection with another browser. Either end may offer at any time: the negotiation is the one that W3C calls perfect. What is
 * published is brought to it by differences, and each end says what its m-lines carry.
 */
export class DirectPeer extends Emitter<DirectEvents> {
  readonly #options: DirectOptions;
  readonly #times: DirectTimes;
  readonly #connection: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #sent: SentLines;
  readonly #received = new ReceivedLines();
  #status: DirectStatus = 'connecting';
  #making = false;
  #ignoring = false;
  /** The polite end lets the other one begin. */
  #mayOffer: boolean;
  #needed = false;
  #pair: SelectedPair | undefined;
  #mayGather = false;
  /** A description has not reached the server. */
  #unsaid = false;
  /** Descriptions on their way to the server: whoever has a socket again says them of itself. */
  #saying = 0;
  /** New candidates are being looked for: a second restart would only make the first one's answer worthless. */
  #restarting = false;
  #restarted: ReturnType<typeof setTimeout> | undefined;
  /** The other end's ICE generation: the user name fragment, and which one it is. */
  #generation: { ufrag: string | undefined; number: number } = { ufrag: undefined, number: -1 };
  #turns: Promise<unknown> = Promise.resolve();
  /** Data that waits for room in the channel, in the order in which it was given. */
  #sending: Promise<unknown> = Promise.resolve();
  #end!: () => void;
  readonly #over = new Promise<void>((resolve) => (this.#end = resolve));
  #patience: ReturnType<typeof setTimeout> | undefined;
  #doom: ReturnType<typeof setTimeout> | undefined;
  #first: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DirectOptions) {
    super();
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#mayOffer = !options.polite;
    this.#sent = new SentLines(options.encryption);
    const connection = (this.#connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));
    this.#channel = connection.createDataChannel('althing', { negotiated: true, id: 0 });
    this.#channel.onopen = () => this.#tellLines();
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#channel.onclose = () => this.#lost();
    // Told in the middle of a description, long before anything comes.
    if (options.encryption) connection.ontrack = ({ receiver }) => options.encryption?.receive(receiver);
    connection.onnegotiationneeded = () => void this.#offer();
    connection.onicecandidate = ({ candidate }) => this.#tellCandidate(candidate);
    connection.onconnectionstatechange = () => this.#look();
    connection.oniceconnectionstatechange = () => this.#followPair();
    this.#doomIn(this.#times.connect);
    if (options.polite) this.#first = setTimeout(() => this.#start(), this.#times.firstOffer);
  }

  /** Begins, once it is known where STUN and TURN are: with what is published, so that one offer has it all. */
  begin(publications: readonly Publication[]): Promise<void> {
    return this.#inTurn(async () => {
      await this.#learnServers();
      if (this.status === 'closed') return;
      await this.#sent.attach(this.#connection, publications);
      this.#mayGather = true;
      if (this.#needed) await this.#offer();
    });
  }

  get status(): DirectStatus {
    return this.#status;
  }

  /** For statistics. */
  get connection(): RTCPeerConnection {
    return this.#connection;
  }

  /** What is received. */
  get received(): ReceivedLines {
    return this.#received;
  }

  /** Brings what is sent to what is published. */
  publish(publications: readonly Publication[]): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#status === 'closed') return;
      if (await this.#sent.attach(this.#connection, publications)) this.#tellLines();
    });
  }

  /** The other end has said something by way of the server. */
  take(signal: Signal): void {
    void this.#inTurn(() => this.#take(signal)).catch((error: unknown) => {
      if (!this.#ignoring && this.#status !== 'closed') console.info(`althing: a ${signal.kind} was not taken: ${String(error)}`);
    });
  }

  /** Says something to the other end; false when there is no channel for it, or it is too long. */
  send(message: DirectMessage): boolean {
    const text = JSON.stringify(message);
    if (this.#channel.readyState !== 'open' || text.length > MESSAGE_BYTES) return false;
    this.#channel.send(text);
    return true;
  }

  /** Sends data once the channel has room; what may be lost is where it has none. False when there is no channel for it, or it is too long. */
  sendData(message: DirectMessage, reliable: boolean): Promise<boolean> {
    if (!reliable && this.#channel.bufferedAmount >= LOSSY_QUEUE) return Promise.resolve(true);
    // A connection that is closed takes its channel with it without a word.
    const room = () => (this.#channel.readyState === 'open' ? Promise.race([roomIn(this.#channel), this.#over]) : undefined);
    const sent = this.#sending.then(room).then(() => this.send(message));
    this.#sending = sent.catch(() => undefined);
    return sent;
  }

  /** Says the last thing to the other end: resolves when it is on its way, for a connection that is closed takes what waits with it. */
  async sendLast(message: DirectMessage): Promise<void> {
    if (!this.send(message)) return;
    const end = performance.now() + LAST_WORDS;
    do await new Promise((resolve) => setTimeout(resolve, LAST_WORDS / 10));
    while (this.#channel.bufferedAmount > 0 && performance.now() < end);
  }

  /** The other end can be reached by way of the server again: what it may have missed is said anew. */
  reachable(): void {
    if (this.#status === 'closed') return;
    if (this.#status === 'connecting') this.#doomIn(this.#times.connect);
    if (this.#saying > 0) return;
    if (this.#unsaid || this.#connection.signalingState === 'have-local-offer') void this.#say('offer');
    else if (this.#status !== 'connected') this.#restart();
  }

  /** Nothing comes any more, and the network is another one. */
  lost(): void {
    if (this.#status !== 'closed') this.#restart();
  }

  /** The network may have changed. */
  networkChanged(): void {
    if (this.#status === 'recovering') this.#restart();
  }

  close(): void {
    if (this.#status === 'closed') return;
    for (const timer of [this.#patience, this.#doom, this.#first, this.#restarted]) clearTimeout(timer);
    this.#become('closed');
    this.#end();
    this.#channel.onclose = this.#connection.onconnectionstatechange = this.#connection.onnegotiationneeded = this.#connection.onicecandidate = null;
    this.#connection.close();
  }

  /** What was said over the channel may have waited in it for a path, and be older than what came by way of the server meanwhile. */
  #takeAside(signal: Signal): void {
    if (signal.kind !== 'offer' || isNewer(signal.sdp, this.#connection.remoteDescription?.sdp)) this.take(signal);
  }

  async #offer(): Promise<void> {
    this.#needed = !this.#mayOffer || !this.#mayGather;
    if (this.#needed || this.#status === 'closed') return;
    try {
      this.#making = true;
      await this.#connection.setLocalDescription();
    } finally {
      this.#making = false;
    }
    await this.#say('offer');
  }

  async #take(signal: Signal): Promise<void> {
    const connection = this.#connection;
    if (this.#status === 'closed') return;
    if (signal.kind === 'candidate') {
      await connection.addIceCandidate({ candidate: ranked(signal.candidate, this.#generation.number), sdpMid: signal.mid, usernameFragment: signal.ufrag ?? null });
      return;
    }
    const collides = signal.kind === 'offer' && (this.#making || connection.signalingState !== 'stable');
    this.#ignoring = !this.#options.polite && collides;
    if (this.#ignoring || (signal.kind === 'answer' && !this.#isAnswered(signal.origin))) return;
    const ufrag = generationOf(signal.sdp);
    const number = ufrag === this.#generation.ufrag ? this.#generation.number : this.#generation.number + 1;
    const isRestart = number > Math.max(0, this.#generation.number);
    await connection.setRemoteDescription({ type: signal.kind, sdp: rankedDescription(signal.sdp, number) });
    this.#generation = { ufrag, number };
    this.#learn(signal.lines, signal.revision);
    if (signal.kind === 'answer') return this.#exchanged(isRestart);
    // What this end has held back until now, the browser asks for again once it is stable.
    clearTimeout(this.#first);
    this.#mayOffer = true;
    await connection.setLocalDescription();
    this.#exchanged(isRestart);
    await this.#say('answer', originOf(signal.sdp));
  }

  /** Whether an answer is one to the offer that is open. One that does not say which it is to is taken for one. */
  #isAnswered(origin: string | undefined): boolean {
    const { signalingState, localDescription } = this.#connection;
    return signalingState === 'have-local-offer' && (origin === undefined || origin === originOf(localDescription?.sdp ?? ''));
  }

  #restart(): void {
    if (this.#restarting) return;
    this.#restarting = true;
    void this.#learnServers().then(() => this.status !== 'closed' && this.#connection.restartIce());
  }

  async #learnServers(): Promise<void> {
    const iceServers = await this.#options.iceServers();
    if (this.#status === 'closed') return;
    try {
      this.#connection.setConfiguration({ ...this.#connection.getConfiguration(), iceServers });
    } catch (error) {
      console.warn(`althing: the STUN and TURN servers are not used: ${String(error)}`);
    }
  }

  /** Both ends know each other's newest candidates: the pairs of a restart, whoever began it, have a while to come up. */
  #exchanged(isRestart: boolean): void {
    clearTimeout(this.#restarted);
    this.#restarted = undefined;
    if (!isRestart && !this.#restarting) return;
    this.#restarted = setTimeout(() => {
      this.#restarting = false;
      this.#restarted = undefined;
    }, this.#times.restart);
  }

  /** No offer has come: this end begins. */
  #start(): void {
    this.#mayOffer = true;
    if (this.#needed) void this.#offer();
  }

  /** `origin`: that of the offer which is answered. */
  async #say(kind: 'offer' | 'answer', origin?: string): Promise<void> {
    const description = this.#connection.localDescription;
    if (description?.type !== kind) return;
    this.#unsaid = false;
    this.#saying += 1;
    const said = { sdp: description.sdp, lines: this.#sent.lines(), revision: this.#sent.revision };
    try {
      await this.#options.signal(kind === 'offer' ? { kind, ...said } : { kind, ...said, ...(origin === undefined ? {} : { origin }) });
    } catch (error) {
      // Said again when the other end, or this one, has its socket back.
      this.#unsaid = true;
      console.info(`althing: an ${kind} did not reach the other end: ${String(error)}`);
    } finally {
      this.#saying -= 1;
    }
  }

  #tellCandidate(candidate: RTCIceCandidate | null): void {
    if (!candidate?.candidate) return;
    const ufrag = candidate.usernameFragment;
    this.#options.signal({ kind: 'candidate', candidate: candidate.candidate, mid: candidate.sdpMid ?? '', ...(ufrag ? { ufrag } : {}) }).catch(() => undefined);
  }

  #tellLines(): void {
    this.send({ type: 'lines', lines: this.#sent.lines(), revision: this.#sent.revision });
  }

  #hear(data: unknown): void {
    const message = readMessage(data);
    if (message?.type === 'lines') this.#learn(message.lines, message.revision);
    else if (message?.type === 'signal') this.#takeAside(message.signal);
    else if (message) this.emit('message', message);
  }

  #learn(lines: readonly PublishLine[], revision: number): void {
    if (this.#received.learn(this.#connection, lines, revision)) this.emit('media', undefined);
  }

  #look(): void {
    const state = this.#connection.connectionState;
    clearTimeout(this.#patience);
    if (state === 'connected') {
      clearTimeout(this.#doom);
      this.#doom = undefined;
      this.#become('connected');
      void this.#report();
    } else if (state === 'disconnected' || state === 'failed') {
      if (this.#status === 'connected') this.#doomIn(this.#times.recover);
      if (this.#status !== 'connecting') this.#become('recovering');
      if (state === 'failed') this.#restarting = false;
      this.#patience = setTimeout(() => this.#restart(), state === 'failed' ? 0 : this.#times.patience);
    }
  }

  /** The other end has closed the connection, or all its tries have come to nothing. */
  #lost(): void {
    if (this.#status !== 'closed') this.emit('failed', undefined);
  }

  #doomIn(ms: number): void {
    clearTimeout(this.#doom);
    // An end that is away has not failed: it is waited for.
    this.#doom = setTimeout(() => (this.#unsaid ? this.#doomIn(ms) : this.#lost()), ms);
  }

  /** A better pair may be found when a call has long begun. */
  #followPair(): void {
    followPair(this.#connection.sctp?.transport.iceTransport, (isNew) => {
      if (isNew && this.#restarted !== undefined) this.#refresh();
      void this.#report();
    });
  }

  /** Another path, after new candidates: what was sent on the one before may have gone nowhere. */
  #refresh(): void {
    this.#inTurn(() => this.#sent.refresh()).catch((error: unknown) => console.info(`althing: pictures did not begin anew: ${String(error)}`));
  }

  async #report(): Promise<void> {
    const pair = selectedPair((await this.#connection.getStats()) as unknown as Iterable<[string, unknown]>);
    const isNew = JSON.stringify(pair) !== JSON.stringify(this.#pair);
    if (!pair || !isNew || this.#status !== 'connected') return;
    this.#pair = pair;
    this.emit('up', { is: 'up', ...pair });
  }

  #become(status: DirectStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.emit('status', status);
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    // What a turn waits for is never settled by a connection that is closed.
    const turn = Promise.race([this.#turns.then(act), this.#over]);
    this.#turns = turn.catch(() => undefined);
    return turn;
  }
}

/** A message of the other end, if it is one: that end is a stranger's program. */
export function readMessage(data: unknown): DirectMessage | undefined {
  if (typeof data !== 'string' || data.length > MESSAGE_BYTES) return undefined;
  try {
    const message = JSON.parse(data) as Partial<Record<string, unknown>> | null;
    if (message?.['type'] === 'switched' || message?.['type'] === 'left') return { type: message['type'] };
    const { revision } = message ?? {};
    if (message?.['type'] === 'lines' && Array.isArray(message['lines']) && typeof revision === 'number') return { type: 'lines', lines: message['lines'].filter(isLine).slice(0, 16), revision };
    if (message?.['type'] === 'data') return readData(message['topic'], message['payload']);
    if (message?.['type'] === 'signal') return readSignal(message['signal']);
    const { key, at, text } = message ?? {};
    if (message?.['type'] === 'chat' && typeof key === 'string' && typeof at === 'number' && typeof text === 'string' && isSayable(key, at, text)) return { type: 'chat', key, at, text };
  } catch {
    // Not JSON.
  }
  return undefined;
}

/** Data, if it is some: a message is not longer than MESSAGE_BYTES, whatever it is. */
function readData(topic: unknown, payload: unknown): DirectMessage | undefined {
  const { text, base64 } = (payload ?? {}) as Partial<Record<string, unknown>>;
  if (typeof topic !== 'string' || new TextEncoder().encode(topic).length > 64) return undefined;
  if (typeof text === 'string') return { type: 'data', topic, payload: { text } };
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined;
  return { type: 'data', topic, payload: { base64 } };
}

/** A description or a candidate, if it is one. */
function readSignal(said: unknown): DirectMessage | undefined {
  const { kind, sdp, lines, revision, origin, candidate, mid, ufrag } = (said ?? {}) as Partial<Record<string, unknown>>;
  const isTextOrNone = (text: unknown): text is string | undefined => text === undefined || typeof text === 'string';
  if (kind === 'candidate' && typeof candidate === 'string' && typeof mid === 'string' && isTextOrNone(ufrag)) return { type: 'signal', signal: { kind, candidate, mid, ...(ufrag === undefined ? {} : { ufrag }) } };
  if ((kind !== 'offer' && kind !== 'answer') || typeof sdp !== 'string' || !Array.isArray(lines) || typeof revision !== 'number' || !isTextOrNone(origin)) return undefined;
  const description = { sdp, lines: lines.filter(isLine).slice(0, 16), revision };
  return { type: 'signal', signal: kind === 'offer' ? { kind, ...description } : { kind, ...description, ...(origin === undefined ? {} : { origin }) } };
}

/** Whether the server would have taken it: what it holds its members to holds here as well. */
function isSayable(key: string, at: number, text: string): boolean {
  const isTime = Number.isFinite(at) && Math.abs(at) <= 8.64e15;
  const bytes = new TextEncoder().encode(text).length;
  return isTime && key.length > 0 && key.length <= 64 && bytes > 0 && bytes <= CHAT_BYTES && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(text);
}

function isLine(line: unknown): line is PublishLine {
  const { mid, source, muted } = (line ?? {}) as Partial<Record<string, unknown>>;
  return typeof mid === 'string' && typeof source === 'string' && ['microphone', 'camera', 'screen', 'screen_audio'].includes(source) && typeof muted === 'boolean';
}
