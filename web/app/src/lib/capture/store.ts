/** Recordings of this browser, kept piece by piece: what a crash leaves is there when the page comes back. */

import type { What } from '../witness.svelte.ts';
import { noteKept } from './hint.ts';

export interface Kept {
  id: string;
  room: string;
  what: What;
  /** The MIME type of the file. */
  type: string;
  /** When it began: milliseconds since the Unix epoch. */
  began: number;
  /** By the clock that was shown, without pauses (ms). */
  length: number;
  bytes: number;
  pieces: number;
  /** Whether it was brought to its end. */
  finished: boolean;
  /** An upload that was begun. */
  upload?: string | undefined;
}

interface Piece {
  recording: string;
  number: number;
  data: Blob;
}

const NAME = 'althing-recordings';
/** A recording is held by this lock as long as its page lives. */
const lockOf = (id: string) => `althing-recording-${id}`;

export class Store {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /** @throws when the browser keeps nothing, as some do in private windows. */
  static async open(): Promise<Store> {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore('recordings', { keyPath: 'id' });
      asked.result.createObjectStore('pieces', { keyPath: ['recording', 'number'] });
    };
    return new Store(await done(asked));
  }

  async begin(kept: Kept): Promise<void> {
    await this.#write((recordings) => recordings.put(kept));
    noteKept(true);
  }

  /** Adds a piece, and what is now known of the whole, both or neither. */
  append(kept: Kept, data: Blob): Promise<void> {
    const piece: Piece = { recording: kept.id, number: kept.pieces - 1, data };
    return this.#write((recordings, pieces) => {
      pieces.put(piece);
      recordings.put(kept);
    });
  }

  update(kept: Kept): Promise<void> {
    return this.#write((recordings) => recordings.put(kept));
  }

  async remove(id: string): Promise<void> {
    await this.#write((recordings, pieces) => {
      recordings.delete(id);
      pieces.delete(IDBKeyRange.bound([id, 0], [id, Infinity]));
    });
    noteKept((await this.all()).length > 0);
  }

  /** Newest first. */
  async all(): Promise<Kept[]> {
    const all = await done(this.#database.transaction('recordings').objectStore('recordings').getAll() as IDBRequest<Kept[]>);
    return all.sort((one, other) => other.began - one.began);
  }

  /** The pieces, in their order. Browsers hold them on the disk, not in memory. */
  async pieces(id: string): Promise<Blob[]> {
    const range = IDBKeyRange.bound([id, 0], [id, Infinity]);
    const found = await done(this.#database.transaction('pieces').objectStore('pieces').getAll(range) as IDBRequest<Piece[]>);
    return found.map(({ data }) => data);
  }

  #write(act: (recordings: IDBObjectStore, pieces: IDBObjectStore) => void): Promise<void> {
    const transaction = this.#database.transaction(['recordings', 'pieces'], 'readwrite');
    act(transaction.objectStore('recordings'), transaction.objectStore('pieces'));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('nothing was written'));
    });
  }
}

/** Holds a recording until the returned function is called, or the page is gone. */
export function hold(id: string): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  void navigator.locks?.request(lockOf(id), () => held);
  return release;
}

/** Which of these a page still records. Where a browser does not tell, none. */
export async function held(kept: readonly Kept[]): Promise<ReadonlySet<string>> {
  const locks = (await navigator.locks?.query())?.held ?? [];
  return new Set(kept.filter(({ id }) => locks.some(({ name }) => name === lockOf(id))).map(({ id }) => id));
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser keeps nothing'));
  });
}
