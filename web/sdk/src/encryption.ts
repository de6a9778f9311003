import { importSecret } from './e2ee/frame.ts';
import { isSealed, roomFor, TextSeal } from './e2ee/text.ts';
import type { FromWorker, LineOptions, ToWorker } from './e2ee/worker.ts';
import { Emitter } from './emitter.ts';
import type { MemberId } from './wire.ts';

/** Bytes of a secret. */
const SECRET = 16;

export interface EncryptionEvents {
  /** Whom nothing can be read of has changed. */
  change: void;
}

/**
 * End-to-end encryption of a call's sound, pictures and chat with a secret that its members share and the server never has. Frames are sealed in a worker, before
 * they are cut into packets. For one call.
 */
export class Encryption extends Emitter<EncryptionEvents> {
  readonly #worker: Worker;
  readonly #texts: TextSeal;
  readonly #lines = new WeakSet<RTCRtpSender | RTCRtpReceiver>();
  #me: MemberId | undefined;
  #unreadable: ReadonlySet<MemberId> = new Set();

  /** `worker`: runs `@althing/sdk/e2ee-worker`. @throws when it is no secret. */
  constructor(secret: string, worker: Worker) {
    super();
    this.#worker = worker;
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#hear(data);
    const bytes = decodeSecret(secret);
    this.#texts = new TextSeal(importSecret(bytes));
    this.#say({ type: 'secret', secret: bytes });
  }

  /** Whether the browser can do that, and the page may. */
  static get isSupported(): boolean {
    return 'RTCRtpScriptTransform' in globalThis && globalThis.isSecureContext;
  }

  /** A secret as it stands in a link (base64url). */
  static draw(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(SECRET));
    return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  }

  /** Whether it is a secret. */
  static isSecret(text: string): boolean {
    return /^[\w-]{22}$/.test(text);
  }

  /** Whether a text of chat is sealed: its sender has another secret. */
  static isSealed(text: string): boolean {
    return isSealed(text);
  }

  /** Bytes that a text of chat may have, where the server takes so many. */
  static roomFor(bytes: number): number {
    return roomFor(bytes);
  }

  /** Seals a text of this member. */
  sealText(text: string, member: MemberId): Promise<string> {
    return this.#texts.seal(text, member);
  }

  /** Opens a text that this member has said; undefined when it cannot be opened. */
  openText(text: string, member: MemberId): Promise<string | undefined> {
    return this.#texts.open(text, member);
  }

  /** Members of whom nothing can be read: they have another secret. */
  get unreadable(): ReadonlySet<MemberId> {
    return this.#unreadable;
  }

  /** Who one is, and who else is there. */
  follow(me: MemberId, members: readonly MemberId[]): void {
    if (me !== this.#me) this.#say({ type: 'me', member: (this.#me = me) });
    this.#say({ type: 'members', members: [...members] });
    const gone = [...this.#unreadable].filter((member) => !members.includes(member));
    if (gone.length > 0) this.#become([...this.#unreadable].filter((member) => !gone.includes(member)));
  }

  /** Seals what goes out. */
  send(sender: RTCRtpSender, kind: string): void {
    this.#transform(sender, { side: 'send', kind: kind === 'audio' ? 'audio' : 'video' });
  }

  /** Opens what comes in. */
  receive(receiver: RTCRtpReceiver): void {
    this.#transform(receiver, { side: 'receive', kind: receiver.track.kind === 'audio' ? 'audio' : 'video' });
  }

  close(): void {
    this.#worker.terminate();
  }

  /** At once, before anything flows. */
  #transform(line: RTCRtpSender | RTCRtpReceiver, options: LineOptions): void {
    if (this.#lines.has(line)) return;
    this.#lines.add(line);
    line.transform = new RTCRtpScriptTransform(this.#worker, options);
  }

  #hear({ member, readable }: FromWorker): void {
    const others = [...this.#unreadable].filter((other) => other !== member);
    if (readable !== this.#unreadable.has(member)) return;
    this.#become(readable ? others : [...others, member]);
  }

  #become(unreadable: readonly MemberId[]): void {
    this.#unreadable = new Set(unreadable);
    this.emit('change', undefined);
  }

  #say(message: ToWorker): void {
    this.#worker.postMessage(message);
  }
}

function decodeSecret(secret: string): Uint8Array<ArrayBuffer> {
  if (!Encryption.isSecret(secret)) throw new TypeError('not a secret: 22 characters of base64url');
  return Uint8Array.from(atob(secret.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
}
