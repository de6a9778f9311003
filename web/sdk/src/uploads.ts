import { Backoff } from './backoff.ts';
import { AlthingError } from './errors.ts';

/** How a file is uploaded. */
export interface UploadOptions {
  /** Where uploads are made. */
  url: string;
  /** The token that allows it; none where the server asks for none. */
  token?: string | undefined;
  /** What the server is told of the file: as `Upload-Metadata`. */
  metadata?: Readonly<Record<string, string>>;
  /** Bytes of a chunk: what is lost at most when the connection is. */
  chunk?: number;
  /** Where an upload was that did not come to its end: it goes on from there, if the server still has it. */
  location?: string | undefined;
  /** It has this address now: whoever keeps it can go on after the page was reloaded. */
  onlocation?: (location: string) => void;
  /** So many bytes have arrived. */
  onprogress?: (sent: number, total: number) => void;
  /** Ends it. The server keeps what it has for some time. */
  signal?: AbortSignal;
  /** Attempts in a row that bring nothing further, before it fails. */
  attempts?: number;
  backoff?: Backoff;
}

/** The version of tus that is spoken. */
const VERSION = '1.0.0';
const CHUNK = 1024 * 1024;
const ATTEMPTS = 12;
/** A request that is not answered for so long (ms) is made again: less gives up slow uplinks, more waits for dead ones. */
const PATIENCE = 120_000;

/**
 * Uploads a file by tus 1.0 (https://tus.io/protocols/resumable-upload): in chunks, each of which is tried again until it has arrived. Resolves with
 * what the server calls the file (`Althing-Item`), if it says so.
 *
 * @throws AlthingError `upload_refused`: the server will not have it, for the reason that the message gives; `upload_failed`: it could not be
 * reached for long enough, or has lost what it had.
 */
export async function upload(file: Blob, options: UploadOptions): Promise<string | undefined> {
  return new Upload(file, options).run();
}

/** Takes back an upload that is not complete: the server forgets what it has of it. */
export async function forgetUpload(location: string, token: string | undefined): Promise<void> {
  await fetch(location, { method: 'DELETE', headers: headersFor(token) });
}

class Upload {
  readonly #file: Blob;
  readonly #options: UploadOptions;
  readonly #backoff: Backoff;
  #location: string | undefined;
  /** Bytes that the server has; not known before it was asked. */
  #offset: number | undefined;
  /** The most that it has ever had: one that begins anew again and again comes to an end. */
  #furthest = 0;
  #item: string | undefined;

  constructor(file: Blob, options: UploadOptions) {
    this.#file = file;
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff({ first: 500, most: 15_000 });
    this.#location = options.location;
  }

  async run(): Promise<string | undefined> {
    const { signal, attempts = ATTEMPTS } = this.#options;
    for (;;) {
      signal?.throwIfAborted();
      try {
        await this.#step();
        if (this.#offset === this.#file.size) return this.#item;
        if ((this.#offset ?? 0) > this.#furthest) this.#backoff.reset();
        this.#furthest = Math.max(this.#furthest, this.#offset ?? 0);
        continue;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof AlthingError && !error.retryable) throw error;
        if (this.#backoff.attempt >= attempts) throw new AlthingError('upload_failed', error instanceof Error ? error.message : String(error), true, error instanceof AlthingError ? { cause: error.cause } : {});
        // What arrived of the chunk is not known.
        this.#offset = undefined;
      }
      await pause(this.#backoff.next(), signal);
    }
  }

  /** One request: what is next is known by what is known of the server. */
  async #step(): Promise<void> {
    if (this.#location === undefined) await this.#create();
    else if (this.#offset === undefined) await this.#ask(this.#location);
    else await this.#send(this.#location, this.#offset);
    if (this.#offset !== undefined) this.#options.onprogress?.(this.#offset, this.#file.size);
  }

  async #create(): Promise<void> {
    const { url, metadata = {} } = this.#options;
    const pairs = Object.entries(metadata).map(([key, value]) => `${key} ${base64(value)}`);
    const response = await this.#request(url, 'POST', { 'upload-length': String(this.#file.size), ...(pairs.length > 0 ? { 'upload-metadata': pairs.join(',') } : {}) });
    if (!response.ok) throw await refusal(response);
    const location = response.headers.get('location');
    const place = location === null ? undefined : new URL(location, response.url || url);
    // The token goes to the server that was meant, and to no other.
    if (place?.origin !== new URL(url).origin) throw new AlthingError('protocol', 'the server gave the upload no address of its own');
    this.#location = place.href;
    this.#offset = 0;
    this.#item = response.headers.get('althing-item') ?? undefined;
    this.#options.onlocation?.(place.href);
  }

  async #ask(location: string): Promise<void> {
    const response = await this.#request(location, 'HEAD');
    if (response.status === 404 || response.status === 410 || response.status === 403) {
      // Too old, or taken back: all of it is still here.
      this.#location = undefined;
      return;
    }
    if (!response.ok) throw await refusal(response);
    this.#learn(response);
  }

  async #send(location: string, offset: number): Promise<void> {
    const { chunk = CHUNK } = this.#options;
    const body = this.#file.slice(offset, offset + chunk);
    const response = await this.#request(location, 'PATCH', { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' }, body);
    // Another end of this upload, or an answer that was lost: where it is is asked again. One that is gone is begun anew.
    if ([404, 409, 410, 423].includes(response.status)) throw new AlthingError('upload_failed', `the upload is elsewhere (${response.status})`, true);
    if (!response.ok) throw await refusal(response);
    this.#learn(response);
    if (this.#offset !== undefined && this.#offset <= offset) throw new AlthingError('upload_failed', 'the server took nothing', true);
  }

  #learn(response: Response): void {
    const offset = Number(response.headers.get('upload-offset') ?? NaN);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.#file.size) throw new AlthingError('protocol', 'the server has another file at the address of the upload');
    this.#offset = offset;
    this.#item = response.headers.get('althing-item') ?? this.#item;
  }

  #request(url: string, method: string, headers: Record<string, string> = {}, body?: Blob): Promise<Response> {
    const { token, signal } = this.#options;
    const until = AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]);
    return fetch(url, { method, headers: { ...headersFor(token), ...headers }, cache: 'no-store', signal: until, ...(body ? { body } : {}) });
  }
}

function headersFor(token: string | undefined): Record<string, string> {
  return { 'tus-resumable': VERSION, ...(token ? { authorization: `Bearer ${token}` } : {}) };
}

/** Why the server will not have it, in its own words where it has some (RFC 9457). */
async function refusal(response: Response): Promise<AlthingError> {
  const problem = (await response.json().catch(() => undefined)) as { title?: string; detail?: string; code?: string } | undefined;
  const text = problem?.detail ?? problem?.title ?? `the server answered ${response.status}`;
  // 507: there is no room, and waiting makes none.
  const retryable = [408, 423, 429, 500, 502, 503, 504].includes(response.status);
  return new AlthingError(retryable ? 'upload_failed' : 'upload_refused', text, retryable, { cause: { status: response.status, code: problem?.code ?? '' } });
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
