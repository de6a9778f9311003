/** Texts that only members can read: chat, which the server keeps and passes on as it is. */

/** What a sealed text begins with. */
const MARK = 'althing-sealed:1:';
const NONCE = 12;
const TAG = 16;

/** Bytes of UTF-8 that a text may have, if the sealed one may have so many. */
export function roomFor(bytes: number): number {
  return Math.max(0, Math.floor((bytes - MARK.length) / 4) * 3 - NONCE - TAG);
}

/** Whether it is a sealed text. */
export function isSealed(text: string): boolean {
  return text.startsWith(MARK);
}

/** Seals and opens texts with one key for all: each has a nonce of its own, and is bound to whoever says it. */
export class TextSeal {
  readonly #key: Promise<CryptoKey>;

  constructor(secret: Promise<CryptoKey>) {
    const parameters = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8('althing texts 1') };
    this.#key = secret.then((key) => crypto.subtle.deriveKey(parameters, key, { name: 'AES-GCM', length: 128 }, false, ['encrypt', 'decrypt']));
  }

  async seal(text: string, member: string): Promise<string> {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
    const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce, additionalData: utf8(member) }, await this.#key, utf8(text));
    return MARK + btoa(String.fromCharCode(...nonce, ...new Uint8Array(sealed)));
  }

  /** The text; undefined when it was sealed with another key, or by somebody else. */
  async open(text: string, member: string): Promise<string | undefined> {
    try {
      const bytes = Uint8Array.from(atob(text.slice(MARK.length)), (character) => character.charCodeAt(0));
      const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: bytes.subarray(0, NONCE), additionalData: utf8(member) }, await this.#key, bytes.subarray(NONCE));
      return new TextDecoder().decode(opened);
    } catch {
      return undefined;
    }
  }
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
