/** What kind of thing is kept: a recording of the server, or what a browser has sent. */
export type LibraryKind = 'recording' | 'screenshot' | 'audio' | 'video';

/** A member of the room, as it was known then. */
export interface LibraryPerson {
  member: string;
  name: string;
}

/** A file of something that is kept. Its addresses are signed, need no token, and expire. */
export interface LibraryFile {
  /** Its name inside of the item. */
  name: string;
  /** Where it is played from, with ranges. */
  url: string;
  /** Where it is downloaded from. */
  download: string;
  /** Where its waveform is asked for, if it has sound. */
  waveform?: string;
  /** Whom it shows; empty for what shows no single member, such as a mixdown. */
  member: string;
  /** Whether it is the member's screen and its sound, else camera and microphone. */
  screen: boolean;
  container: string;
  /** Its media type. */
  type: string;
  /** The codec of its picture, if it has one. */
  video?: string;
  /** The codec of its sound, if it has any. */
  audio?: string;
  /** Width and height of the picture at the beginning, in pixels. */
  size?: [number, number];
  /** Where it begins, in microseconds from the beginning of the item. */
  at: number;
  /** How long it is, in microseconds; 0 while it is being written. */
  length: number;
  bytes: number;
  /** Pieces that are missing in it. */
  lost: number;
  state: 'writing' | 'complete' | 'repaired' | 'broken';
}

/** Something that is kept: a recording with its files, or a screenshot or local recording that was uploaded. */
export interface LibraryItem {
  id: string;
  room: string;
  kind: LibraryKind;
  title: string;
  /** Who made it. */
  by: LibraryPerson;
  /** When it began: milliseconds since the Unix epoch. */
  began: number;
  /** When it ended, once it has. */
  ended?: number;
  state: 'recording' | 'finished' | 'interrupted';
  members: LibraryPerson[];
  /** All its files together. */
  bytes: number;
  /** In microseconds. */
  length: number;
  thumbnail?: string;
  /** All its files as one archive. */
  zip?: string;
  /** What was written while it was recorded. */
  chat?: string;
  files: LibraryFile[];
  /** Films of it as a whole. */
  mixdowns?: Mixdown[];
}

/** Into what a recording is made one film. */
export type Film = 'mp4' | 'webm';

/** A film of a whole recording: one that there is, that is being made, or that could not be made lately. */
export interface Mixdown {
  film: Film;
  /** `fetching`: it is its turn, and the files that it is made of come from the server's bucket first. */
  state: 'waiting' | 'fetching' | 'running' | 'done' | 'failed';
  /** How many others are made before it. */
  ahead?: number;
  /** How much of it is made, or of its recording's files has come, from 0 to 1. One that waits and has this has begun, and the server has other things to do. */
  progress?: number;
  /** Why there is none, for programs: `no_ffmpeg`, `no_encoder`, `disk_full`, `too_long`, `failed` and others. */
  code?: string;
  /** Why there is none, in a sentence. */
  detail?: string;
  url?: string;
  download?: string;
  bytes?: number;
}

/** A part of a list, newest first. */
export interface LibraryPage {
  items: LibraryItem[];
  /** What to ask for the next part with, if there is one. */
  next?: string;
}

/** An address that opens something that is kept for whoever has it, for a time. */
export interface LibraryShare {
  /** The address of a page. */
  url: string;
  /** When it expires: seconds since the Unix epoch. */
  expires: number;
}

/** The loudness of a file over its time. */
export interface Waveform {
  seconds_per_value: number;
  /** From 0 to 1. */
  peaks: number[];
}

/** Something that was written into the chat. */
export interface LibraryChat {
  /** In microseconds from the beginning of the recording. */
  at: number;
  member: string;
  name: string;
  text: string;
}

/** A request that the library has refused, or that could not be made. */
export class LibraryError extends Error {
  /** The status of the answer; 0 when there was none. */
  readonly status: number;
  /** What is wrong, for programs; empty when the server did not say. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'LibraryError';
    this.status = status;
    this.code = code;
  }
}

export interface LibraryOptions {
  /** The server's origin, such as `https://example.org`. */
  origin: string;
  /** The room whose things are asked for; none for what was shared. */
  room?: string | undefined;
  /** The room's token, where the server asks for one. */
  token?: string | undefined;
  /** What makes the requests: the platform's own by default. */
  fetch?: typeof fetch;
}

/** An answer that takes longer is given up (ms). */
const PATIENCE = 20_000;
const BASE = '/api/v1/library';

/** What is kept of a room: recordings, screenshots and local recordings. */
export class Library {
  readonly #options: LibraryOptions;

  constructor(options: LibraryOptions) {
    this.#options = options;
  }

  /** A part of the list, newest first, of one kind or of all: at most `limit` (100 at most), those after what `next` of the part before said. */
  list({ after, limit, kind }: { after?: string | undefined; limit?: number; kind?: LibraryKind | undefined } = {}): Promise<LibraryPage> {
    return this.#ask('GET', BASE, { query: { after, limit: limit === undefined ? undefined : String(limit), kind } });
  }

  get(id: string): Promise<LibraryItem> {
    return this.#ask('GET', pathOf(id));
  }

  /** Needs the grant to manage, as `delete` and `share` do. */
  rename(id: string, title: string): Promise<LibraryItem> {
    return this.#ask('PATCH', pathOf(id), { body: { title } });
  }

  /** Deletes it with all its files and for good; what was shared of it opens no more. */
  async delete(id: string): Promise<void> {
    await this.#ask('DELETE', pathOf(id));
  }

  /** Makes an address that opens it without a token for `seconds`. */
  share(id: string, seconds: number): Promise<LibraryShare> {
    return this.#ask('POST', `${pathOf(id)}/share`, { body: { seconds } });
  }

  /** What such an address leads to. */
  shared(id: string, { expires, signature }: { expires: string; signature: string }): Promise<LibraryItem> {
    return this.#ask('GET', `${BASE}/shared/${encodeURIComponent(id)}`, { query: { expires, signature }, stranger: true });
  }

  /** Has a recording made into one film, by the server, in its own time; what there is of it is told. */
  mixDown(id: string, film: Film): Promise<Mixdown[]> {
    return this.#ask('POST', `${pathOf(id)}/mixdown`, { body: { film } });
  }

  /** How far the films of a recording are. */
  mixdowns(id: string): Promise<Mixdown[]> {
    return this.#ask('GET', `${pathOf(id)}/mixdown`);
  }

  /** Takes back one that is being made, or deletes one that there is. */
  async unmix(id: string, film: Film): Promise<void> {
    await this.#ask('DELETE', `${pathOf(id)}/mixdown`, { query: { film } });
  }

  /** The loudness of a file; fails with status 404 where the server cannot tell. */
  waveform(address: string): Promise<Waveform> {
    return this.#ask('GET', address, { stranger: true });
  }

  /** What was written while something was recorded, oldest first. */
  chat(address: string): Promise<LibraryChat[]> {
    return this.#ask('GET', address, { stranger: true });
  }

  /** `stranger`: the address says by itself what it opens; no token is told. */
  async #ask<T>(method: string, path: string, { query = {}, body, stranger = false }: { query?: Record<string, string | undefined>; body?: unknown; stranger?: boolean } = {}): Promise<T> {
    const { origin, room, token, fetch: request = globalThis.fetch } = this.#options;
    const url = new URL(path, origin);
    if (url.origin !== new URL(origin).origin) throw new LibraryError(0, 'foreign', 'the address is of another server');
    for (const [name, value] of Object.entries(stranger ? query : { room, ...query })) if (value !== undefined) url.searchParams.set(name, value);
    const headers = new Headers({ accept: 'application/json' });
    if (body !== undefined) headers.set('content-type', 'application/json');
    if (token && !stranger) headers.set('authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await request(url, { method, headers, body: body === undefined ? null : JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE) });
    } catch (error) {
      const late = error instanceof DOMException && error.name === 'TimeoutError';
      throw new LibraryError(0, late ? 'timeout' : 'connection_lost', late ? 'no answer came in time' : 'the server cannot be reached');
    }
    if (!response.ok) throw await refusal(response);
    if (response.status === 204) return undefined as T;
    return (await response.json().catch(() => {
      throw new LibraryError(response.status, 'protocol', 'the answer is not one of a library');
    })) as T;
  }
}

function pathOf(id: string): string {
  return `${BASE}/${encodeURIComponent(id)}`;
}

/** What a problem document says (RFC 9457). */
async function refusal(response: Response): Promise<LibraryError> {
  const problem = (await response.json().catch(() => ({}))) as { code?: unknown; detail?: unknown; title?: unknown } | null;
  const text = [problem?.detail, problem?.title, response.statusText].find((said): said is string => typeof said === 'string' && said !== '');
  return new LibraryError(response.status, typeof problem?.code === 'string' ? problem.code : '', text ?? `status ${response.status}`);
}
