import { Emitter } from './emitter.ts';
import { AlthingError } from './errors.ts';
import type { Ask } from './publisher.ts';
import type { DataPayload, MemberId } from './wire.ts';

/** Streams of the two channels that both sides know without opening them. */
const RELIABLE = 0;
const LOSSY = 1;
/** The flag of a payload that is text. */
const TEXT = 1;
/** Bytes that may wait in the browser: reliable messages wait for room, lossy ones are dropped. */
const RELIABLE_QUEUE = 1024 * 1024;
export const LOSSY_QUEUE = 64 * 1024;

/** Data that somebody has sent. */
export interface Data {
  from: MemberId;
  topic: string;
  /** As it was sent: text, or bytes. */
  payload: string | Uint8Array<ArrayBuffer>;
}

export interface DataOptions {
  /** What it is about (at most 64 bytes of UTF-8): receivers may look at some topics only. */
  topic?: string;
  /** Whom it is for; all others, if nothing is said. */
  to?: readonly MemberId[];
  /** Whether it has to arrive, in order (the default). Else it is sent once, waits behind nothing, and may be lost. */
  reliable?: boolean;
}

/** A message on its way. */
export interface Message extends Required<DataOptions> {
  payload: string | Uint8Array<ArrayBuffer>;
}

export interface DataEvents {
  data: Data;
}

/**
 * Data to and from the others by way of the server: on data channels where there are some, else by the socket. What is reliable
 * stays in order when the way changes: a channel is taken when the socket has answered for all that it was given.
 */
export class DataWay extends Emitter<DataEvents> {
  readonly #ask: Ask;
  #reliable: RTCDataChannel | undefined;
  #lossy: RTCDataChannel | undefined;
  #turns: Promise<unknown> = Promise.resolve();
  readonly #unanswered = new Set<Promise<unknown>>();
  #number = 0;

  constructor(ask: Ask) {
    super();
    this.#ask = ask;
  }

  /** Whether the channels are open. */
  get isOpen(): boolean {
    return this.#reliable?.readyState === 'open';
  }

  /** Adds the channels to a connection, before its first offer. */
  attach(connection: RTCPeerConnection): void {
    const reliable = (this.#reliable = connection.createDataChannel('reliable', { negotiated: true, id: RELIABLE }));
    const lossy = (this.#lossy = connection.createDataChannel('lossy', { negotiated: true, id: LOSSY, ordered: false, maxRetransmits: 0 }));
    for (const channel of [reliable, lossy]) {
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }) => this.#hear(data);
    }
    // The server sends on them once it has heard that they are there.
    reliable.onopen = () => reliable.send('');
  }

  /** Sends a message; resolves when it is in the browser's hands, or the server has answered. */
  async send(message: Message): Promise<void> {
    if (!message.reliable) return this.#sendLossy(message);
    const turn = this.#turns.then(() => this.#sendReliable(message));
    this.#turns = turn.catch(() => undefined);
    await (await turn).answer;
  }

  /** An event of the socket's. */
  take(from: MemberId, topic: string, payload: DataPayload): void {
    this.emit('data', { from, topic, payload: fromWire(payload) });
  }

  async #sendLossy(message: Message): Promise<void> {
    const channel = this.#lossy;
    if (channel?.readyState !== 'open' || !this.isOpen) await this.#say(message);
    else if (channel.bufferedAmount < LOSSY_QUEUE) channel.send(encode(message));
  }

  async #sendReliable(message: Message): Promise<{ answer: Promise<unknown> | undefined }> {
    if (this.isOpen) await Promise.allSettled(this.#unanswered);
    const channel = this.#reliable;
    if (channel && this.isOpen) await roomIn(channel);
    if (channel?.readyState === 'open') {
      channel.send(encode(message));
      return { answer: undefined };
    }
    const answer = this.#say(message);
    this.#unanswered.add(answer);
    answer.then(
      () => this.#unanswered.delete(answer),
      () => this.#unanswered.delete(answer),
    );
    // Not waited for here: the next one may follow at once.
    return { answer };
  }

  #say({ topic, to, reliable, payload }: Message): Promise<unknown> {
    this.#number += 1;
    return this.#ask({ type: 'data', topic, to: [...to], payload: toWire(payload), lossy: !reliable, number: this.#number });
  }

  #hear(data: unknown): void {
    const heard = data instanceof ArrayBuffer ? decode(new Uint8Array(data)) : undefined;
    if (heard) this.emit('data', heard);
  }
}

/** Waits until a channel has room, or is closed. */
export function roomIn(channel: RTCDataChannel): Promise<void> | undefined {
  if (channel.bufferedAmount < RELIABLE_QUEUE) return undefined;
  channel.bufferedAmountLowThreshold = RELIABLE_QUEUE / 2;
  return new Promise((resolve) => {
    const done = () => {
      channel.removeEventListener('bufferedamountlow', done);
      channel.removeEventListener('close', done);
      resolve();
    };
    channel.addEventListener('bufferedamountlow', done);
    channel.addEventListener('close', done);
  });
}

/** A message for the server: flags, topic, receivers, payload. */
export function encode({ topic, to, payload }: Pick<Message, 'topic' | 'to' | 'payload'>): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder();
  const [about, whom] = [text.encode(topic), to.map((member) => text.encode(member))];
  const body = typeof payload === 'string' ? text.encode(payload) : payload;
  const head = [typeof payload === 'string' ? TEXT : 0, about.length, ...about, whom.length, ...whom.flatMap((member) => [member.length, ...member])];
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/** A message from the server: flags, topic, sender, payload; undefined when it is none. */
export function decode(bytes: Uint8Array<ArrayBuffer>): Data | undefined {
  const text = new TextDecoder();
  const topicEnd = 2 + (bytes[1] ?? 0);
  const fromEnd = topicEnd + 1 + (bytes[topicEnd] ?? 0);
  if (bytes.length < 3 || fromEnd > bytes.length) return undefined;
  const [topic, from] = [text.decode(bytes.subarray(2, topicEnd)), text.decode(bytes.subarray(topicEnd + 1, fromEnd))];
  const payload = bytes.slice(fromEnd);
  return { from, topic, payload: (bytes[0] ?? 0) & TEXT ? text.decode(payload) : payload };
}

/** As the socket and a direct connection carry it. */
export function toWire(payload: string | Uint8Array): DataPayload {
  if (typeof payload === 'string') return { text: payload };
  // Not all at once: a browser takes so many arguments only.
  let binary = '';
  for (let at = 0; at < payload.length; at += 8192) binary += String.fromCharCode(...payload.subarray(at, at + 8192));
  return { base64: btoa(binary) };
}

/** @throws when it is not base64. */
export function fromWire(payload: DataPayload): string | Uint8Array<ArrayBuffer> {
  return 'text' in payload ? payload.text : Uint8Array.from(atob(payload.base64), (character) => character.charCodeAt(0));
}

/** The message, with what was not said. @throws when it is longer than `limit` bytes. */
export function toMessage(payload: string | ArrayBuffer | ArrayBufferView, { topic = '', to = [], reliable = true }: DataOptions, limit: number): Message {
  const bytes = typeof payload === 'string' ? payload : bytesOf(payload);
  const size = typeof bytes === 'string' ? new TextEncoder().encode(bytes).length : bytes.length;
  if (size > limit) throw new AlthingError('limit_exceeded', `data has at most ${limit} bytes a message`);
  if (new TextEncoder().encode(topic).length > 64) throw new AlthingError('limit_exceeded', 'a topic has at most 64 bytes');
  if (to.length > 32) throw new AlthingError('limit_exceeded', 'a message is for at most 32 members, or for all');
  return { payload: bytes, topic, to, reliable };
}

/** A copy: whoever sends may write into it again. */
function bytesOf(payload: ArrayBuffer | ArrayBufferView): Uint8Array<ArrayBuffer> {
  const view = payload instanceof ArrayBuffer ? new Uint8Array(payload) : new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  return new Uint8Array(view);
}
