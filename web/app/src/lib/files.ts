import type { MemberId } from '@althing/sdk';

/** What all messages of files are about. */
export const TOPIC = 'althing.file';
/** Bytes of a file at most: whoever takes it holds all of it in memory until it is saved. */
export const MOST_BYTES = 100 * 1024 * 1024;
/** Bytes of a piece: with what is around it, and as base64, it fits into any message that a server takes. */
const PIECE = 11 * 1024;
/** Pieces under way to one receiver. More fills what is between, fewer waits for it. */
const WINDOW = 24;
/** A receiver says after so many pieces how far it is. */
const EVERY = 8;
/** Files that somebody offers, and that are shown: a hostile member offers no more. */
const MOST_OFFERS = 16;
const NAME_LENGTH = 120;
const ID = 8;

/** A file on its way, as it is shown. */
export interface Transfer {
  readonly id: string;
  readonly incoming: boolean;
  /** Who sends it. */
  readonly from: MemberId;
  readonly name: string;
  readonly size: number;
  readonly at: number;
  readonly state: 'offered' | 'going' | 'done' | 'declined' | 'failed';
  /** Bytes that have arrived; of an own file at the slowest of those who take it. */
  readonly done: number;
  /** How many take an own file, and how many have it. */
  readonly takers: number;
  readonly have: number;
  /** What has arrived. */
  readonly blob?: Blob;
}

/** What the ends say to each other; pieces are bytes. */
type Message =
  | { kind: 'offer'; id: string; name: string; size: number }
  /** How many bytes the receiver has: none is yes. */
  | { kind: 'got'; id: string; bytes: number }
  | { kind: 'no'; id: string };

interface Incoming {
  pieces: Uint8Array<ArrayBuffer>[];
  bytes: number;
  told: number;
}

interface Taker {
  sent: number;
  got: number;
  busy: boolean;
}

/** Sends data to these members; all others, if nobody is named. */
export type Send = (payload: string | Uint8Array<ArrayBuffer>, to: readonly MemberId[]) => Promise<void>;

/**
 * Files between members, by whichever way data goes. Whoever is offered one takes it or not; pieces follow one another as the receiver says that it has them, so that
 * never more than a few wait anywhere. Nothing is kept by anybody else.
 */
export class FileExchange {
  readonly #send: Send;
  readonly #changed: (transfers: readonly Transfer[]) => void;
  #me: MemberId;
  #transfers: readonly Transfer[] = [];
  readonly #files = new Map<string, { file: Blob; takers: Map<MemberId, Taker> }>();
  readonly #arriving = new Map<string, Incoming>();

  constructor(me: MemberId, send: Send, changed: (transfers: readonly Transfer[]) => void) {
    this.#me = me;
    this.#send = send;
    this.#changed = changed;
  }

  /** Offers a file to everybody; false when it is too large or empty. */
  offer(file: Blob & { readonly name: string }, now: number): boolean {
    if (file.size === 0 || file.size > MOST_BYTES) return false;
    const id = hex(crypto.getRandomValues(new Uint8Array(ID)));
    const name = cleanName(file.name);
    this.#files.set(id, { file, takers: new Map() });
    this.#put({ id, incoming: false, from: this.#me, name, size: file.size, at: now, state: 'offered', done: 0, takers: 0, have: 0 });
    this.#say({ kind: 'offer', id, name, size: file.size }, []);
    return true;
  }

  /** Takes an offered file. */
  accept(id: string): void {
    const transfer = this.#incoming(id, 'offered');
    if (!transfer) return;
    this.#arriving.set(id, { pieces: [], bytes: 0, told: 0 });
    this.#put({ ...transfer, state: 'going' });
    this.#say({ kind: 'got', id, bytes: 0 }, [transfer.from]);
  }

  /** Does not take a file, or no longer; or offers it no longer. */
  decline(id: string): void {
    const transfer = this.#transfers.find((other) => other.id === id);
    if (!transfer || !['offered', 'going'].includes(transfer.state)) return;
    this.#end(transfer, 'declined');
    this.#say({ kind: 'no', id }, transfer.incoming ? [transfer.from] : []);
  }

  /** Somebody has gone: what came from them does not come any more. */
  gone(member: MemberId): void {
    for (const transfer of this.#transfers) if (transfer.incoming && transfer.from === member && ['offered', 'going'].includes(transfer.state)) this.#end(transfer, 'failed');
    for (const [id, { takers }] of this.#files) if (takers.delete(member)) this.#look(id);
  }

  /** Data of this topic has come. That end is a stranger's program. */
  take(from: MemberId, payload: string | Uint8Array<ArrayBuffer>, now: number): void {
    if (typeof payload !== 'string') return this.#piece(from, payload);
    const message = readMessage(payload);
    if (message?.kind === 'offer') this.#offered(from, message, now);
    else if (message?.kind === 'got') this.#taken(from, message);
    else if (message?.kind === 'no') this.#refused(from, message.id);
  }

  #offered(from: MemberId, { id, name, size }: Extract<Message, { kind: 'offer' }>, now: number): void {
    const open = this.#transfers.filter((transfer) => transfer.incoming && transfer.from === from && transfer.state === 'offered');
    if (this.#transfers.some((transfer) => transfer.id === id) || open.length >= MOST_OFFERS || size > MOST_BYTES) return;
    this.#put({ id, incoming: true, from, name: cleanName(name), size, at: now, state: 'offered', done: 0, takers: 0, have: 0 });
  }

  #piece(from: MemberId, bytes: Uint8Array<ArrayBuffer>): void {
    const id = hex(bytes.subarray(0, ID));
    const transfer = this.#incoming(id, 'going');
    const arriving = this.#arriving.get(id);
    if (!transfer || !arriving || transfer.from !== from) return;
    const piece = bytes.slice(ID);
    arriving.bytes += piece.length;
    arriving.pieces.push(piece);
    // More than was offered is another file than the one that was taken.
    if (arriving.bytes > transfer.size || piece.length === 0) {
      this.#end(transfer, 'failed');
      return this.#say({ kind: 'no', id }, [from]);
    }
    const isWhole = arriving.bytes === transfer.size;
    if (isWhole || arriving.bytes - arriving.told >= EVERY * PIECE) {
      arriving.told = arriving.bytes;
      this.#say({ kind: 'got', id, bytes: arriving.bytes }, [from]);
    }
    if (!isWhole) return this.#put({ ...transfer, done: arriving.bytes });
    // Never as what it says it is: the page would show it as its own.
    const blob = new Blob(arriving.pieces, { type: 'application/octet-stream' });
    this.#arriving.delete(id);
    this.#put({ ...transfer, state: 'done', done: transfer.size, blob });
  }

  #taken(from: MemberId, { id, bytes }: Extract<Message, { kind: 'got' }>): void {
    const own = this.#files.get(id);
    if (!own) return;
    const taker = own.takers.get(from) ?? { sent: 0, got: 0, busy: false };
    own.takers.set(from, taker);
    taker.got = Math.max(taker.got, Math.min(bytes, taker.sent));
    this.#look(id);
    void this.#pump(id, from, taker);
  }

  #refused(from: MemberId, id: string): void {
    const transfer = this.#transfers.find((other) => other.id === id);
    if (transfer?.incoming && transfer.from === from && ['offered', 'going'].includes(transfer.state)) this.#end(transfer, 'declined');
    if (this.#files.get(id)?.takers.delete(from)) this.#look(id);
  }

  /** Sends as much as the receiver has room for. */
  async #pump(id: string, to: MemberId, taker: Taker): Promise<void> {
    if (taker.busy) return;
    taker.busy = true;
    try {
      for (let own = this.#files.get(id); own?.takers.get(to) === taker; own = this.#files.get(id)) {
        if (taker.sent >= own.file.size || taker.sent - taker.got >= WINDOW * PIECE) break;
        const piece = await own.file.slice(taker.sent, taker.sent + PIECE).arrayBuffer();
        const bytes = new Uint8Array(ID + piece.byteLength);
        bytes.set(unhex(id));
        bytes.set(new Uint8Array(piece), ID);
        taker.sent += piece.byteLength;
        await this.#send(bytes, [to]);
      }
    } catch {
      // The way is gone, or the file: it cannot be read any more.
      this.#files.get(id)?.takers.delete(to);
      this.#say({ kind: 'no', id }, [to]);
      this.#look(id);
    } finally {
      taker.busy = false;
    }
  }

  /** Shows how far those are who take an own file. */
  #look(id: string): void {
    const transfer = this.#transfers.find((other) => other.id === id);
    const takers = [...(this.#files.get(id)?.takers.values() ?? [])];
    if (!transfer) return;
    const have = takers.filter(({ got }) => got === transfer.size).length;
    const done = takers.length > 0 ? Math.min(...takers.map(({ got }) => got)) : 0;
    const state = takers.length === 0 ? 'offered' : have === takers.length ? 'done' : 'going';
    this.#put({ ...transfer, takers: takers.length, have, done, state });
  }

  #incoming(id: string, state: Transfer['state']): Transfer | undefined {
    return this.#transfers.find((transfer) => transfer.id === id && transfer.incoming && transfer.state === state);
  }

  #end(transfer: Transfer, state: 'declined' | 'failed'): void {
    this.#arriving.delete(transfer.id);
    this.#files.delete(transfer.id);
    this.#put({ ...transfer, state });
  }

  #put(transfer: Transfer): void {
    const known = this.#transfers.some(({ id }) => id === transfer.id);
    this.#transfers = known ? this.#transfers.map((other) => (other.id === transfer.id ? transfer : other)) : [...this.#transfers, transfer];
    this.#changed(this.#transfers);
  }

  #say(message: Message, to: readonly MemberId[]): void {
    // Whoever is not there any more hears nothing.
    this.#send(JSON.stringify(message), to).catch(() => undefined);
  }
}

/** A message of the other end, if it is one. */
function readMessage(text: string): Message | undefined {
  try {
    const { kind, id, name, size, bytes } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (typeof id !== 'string' || !/^[0-9a-f]{16}$/.test(id)) return undefined;
    if (kind === 'offer' && typeof name === 'string' && isCount(size) && size > 0) return { kind, id, name, size };
    if (kind === 'got' && isCount(bytes)) return { kind, id, bytes };
    return kind === 'no' ? { kind, id } : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** A name without places, and without what turns its letters round or cannot be seen. */
export function cleanName(name: string): string {
  const last = name.split(/[\\/]/).at(-1) ?? '';
  const clean = last.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}<>:"|?*]/gu, '').replace(/^[.\s]+|\s+$/g, '');
  const letters = [...clean];
  // The end says what it is.
  return letters.length <= NAME_LENGTH ? clean || 'file' : [...letters.slice(0, NAME_LENGTH - 12), '…', ...letters.slice(-11)].join('');
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
