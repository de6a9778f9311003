/**
 * Frames that only members can read. What is sealed is a whole encoded frame, before it is cut into packets: its first bytes stay open, for the server
 * has to see where pictures begin; the rest is AES-GCM, with the open bytes and the trailer authenticated.
 *
 *     open bytes | ciphertext and tag (16) | salt (8) | counter (4) | who (4) | number of open bytes (1) | VERSION (1)
 *
 * The key is HKDF-SHA-256 of the shared secret with that salt, which a sender draws for each session, and the sender's identity: no two senders and
 * no two sessions have the same one, so that a counter is enough as a nonce.
 */

const VERSION = 0xa1;
const SALT = 8;
const TRAILER = SALT + 4 + 4 + 1 + 1;
const TAG = 16;
/** Bytes that a sealed frame has more than the open one. */
export const OVERHEAD = TRAILER + TAG;
/** The most that may stay open: what begins a key frame of VP8 (RFC 6386 section 9.1). */
const MOST_OPEN = 10;
/** Keys that are remembered: of as many senders as are heard at a time, and a few sessions of each. */
const MOST_KEYS = 256;
/** Members whose identities have the same short name, at most: more are not told apart. */
const MOST_ALIKE = 4;

/** What stays open of a frame: of VP8 the frame tag, with start code and size if it is a key frame; of Opus the byte that says what is in it (RFC 6716 section 3.1). */
export function openBytes(kind: 'audio' | 'video', isKeyFrame: boolean): number {
  return kind === 'audio' ? 1 : isKeyFrame ? MOST_OPEN : 3;
}

/** The secret as keys are made of it. */
export function importSecret(secret: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
}

/** Seals the frames of one session of one member. */
export class Sealer {
  readonly #key: Promise<CryptoKey>;
  readonly #salt = crypto.getRandomValues(new Uint8Array(SALT));
  readonly #who: number;
  #counter = 0;

  constructor(secret: CryptoKey, member: string) {
    this.#key = derive(secret, this.#salt, member, 'encrypt');
    this.#who = shortName(member);
  }

  /** @throws when as many frames have been sealed as there are nonces: after a year of several pictures. */
  async seal(frame: Uint8Array<ArrayBuffer>, open: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#counter > 0xffff_ffff) throw new RangeError('a session has no more nonces');
    const bytes = Math.min(open, frame.length);
    const trailer = new Uint8Array(TRAILER);
    const view = new DataView(trailer.buffer);
    const counter = this.#counter++;
    trailer.set(this.#salt);
    view.setUint32(SALT, counter);
    view.setUint32(SALT + 4, this.#who);
    view.setUint8(SALT + 8, bytes);
    view.setUint8(SALT + 9, VERSION);
    const head = frame.subarray(0, bytes);
    const sealed = await crypto.subtle.encrypt(parameters(counter, head, trailer), await this.#key, frame.subarray(bytes));
    return joined(head, new Uint8Array(sealed), trailer);
  }
}

/** What has come of a frame. */
export type Opened =
  | { is: 'open'; member: string; frame: Uint8Array<ArrayBuffer> }
  /** Whoever has sealed it, says that it is this member, and has another key. */
  | { is: 'unreadable'; member: string }
  /** Not sealed, or by nobody who is there. */
  | { is: 'foreign' };

/** Opens the frames of all members. */
export class Opener {
  readonly #secret: CryptoKey;
  #members = new Map<number, string[]>();
  readonly #keys = new Map<string, Promise<CryptoKey>>();

  constructor(secret: CryptoKey) {
    this.#secret = secret;
  }

  /** Who is there: nobody else's frames are opened. */
  follow(members: readonly string[]): void {
    this.#members = new Map();
    for (const member of members) {
      const name = shortName(member);
      const alike = this.#members.get(name) ?? [];
      if (alike.length < MOST_ALIKE) this.#members.set(name, [...alike, member]);
    }
  }

  async open(frame: Uint8Array<ArrayBuffer>): Promise<Opened> {
    const at = frame.length - TRAILER;
    if (at < TAG || frame[frame.length - 1] !== VERSION) return { is: 'foreign' };
    const trailer = frame.subarray(at);
    const view = new DataView(trailer.buffer, trailer.byteOffset, TRAILER);
    const bytes = view.getUint8(SALT + 8);
    const members = this.#members.get(view.getUint32(SALT + 4)) ?? [];
    if (bytes > MOST_OPEN || bytes + TAG > at || members[0] === undefined) return { is: 'foreign' };
    const head = frame.subarray(0, bytes);
    const how = parameters(view.getUint32(SALT), head, trailer);
    for (const member of members) {
      try {
        const opened = await crypto.subtle.decrypt(how, await this.#keyOf(trailer.slice(0, SALT), member), frame.subarray(bytes, at));
        return { is: 'open', member, frame: joined(head, new Uint8Array(opened)) };
      } catch {
        // Another one's, or none of ours.
      }
    }
    return { is: 'unreadable', member: members[0] };
  }

  #keyOf(salt: Uint8Array<ArrayBuffer>, member: string): Promise<CryptoKey> {
    const name = `${salt.join()} ${member}`;
    const known = this.#keys.get(name);
    const key = known ?? derive(this.#secret, salt, member, 'decrypt');
    // Whatever was used last goes last.
    this.#keys.delete(name);
    this.#keys.set(name, key);
    if (this.#keys.size > MOST_KEYS) this.#keys.delete(this.#keys.keys().next().value ?? '');
    return key;
  }
}

function derive(secret: CryptoKey, salt: Uint8Array<ArrayBuffer>, member: string, usage: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  const info = new TextEncoder().encode(`althing frames 1 ${member}`);
  return crypto.subtle.deriveKey({ name: 'HKDF', hash: 'SHA-256', salt, info }, secret, { name: 'AES-GCM', length: 128 }, false, [usage]);
}

function parameters(counter: number, head: Uint8Array, trailer: Uint8Array): AesGcmParams {
  const iv = new Uint8Array(12);
  new DataView(iv.buffer).setUint32(8, counter);
  return { name: 'AES-GCM', iv, additionalData: joined(head, trailer), tagLength: TAG * 8 };
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** FNV-1a, 32 bits: whose key is to be tried. It proves nothing. */
function shortName(member: string): number {
  return new TextEncoder().encode(member).reduce((hash, byte) => Math.imul(hash ^ byte, 16777619) >>> 0, 2166136261);
}
