import { Backoff } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import { Emitter } from './emitter.ts';
import { AlthingError, isAlthingError } from './errors.ts';
import { Socket } from './socket.ts';
import type { WebSocketClass } from './socket.ts';
import { VERSION } from './wire.ts';
import type { Event, OkResult, Request } from './wire.ts';

/** A socket that is given up while its session goes on is closed with this (4000–4999 are for applications). */
const GIVEN_UP = 4000;
/** A link that is doubted has so long to answer (ms): less gives up slow ones, more is a longer silence for who has changed networks. */
const PROBE = 1000;

/** What `hello` returns. */
export type Welcome = Extract<OkResult, { of: 'welcome' }>;
/** Whether the session has a socket. */
export type LinkState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface LinkOptions {
  /** The server's socket, `ws://` or `wss://`. */
  url: string;
  /** The class to open sockets with. */
  webSocket?: WebSocketClass;
  /** How long a request may wait for its answer (ms). */
  requestTimeoutMs?: number;
  /** How long a lost link goes unnoticed after a ping (ms). */
  pingTimeoutMs?: number;
  /** Waits between attempts to come back. */
  backoff?: Partial<BackoffOptions>;
}

export interface LinkEvents<Entered> {
  state: LinkState;
  /** The session has begun, or has a new socket: everything as it is. */
  joined: Entered;
  event: Event;
  /** `refusal` has changed. */
  refused: AlthingError | undefined;
  /** The session is over and will not come back. */
  closed: AlthingError;
}

/** What has come of beginning a session, or of taking it up, on a new socket. */
export interface Entry<Entered> {
  entered: Entered;
  /** The number up to which events are part of it. */
  seq: number;
}

interface Waiting {
  request: Request;
  timeoutMs: number;
  resolve: (result: OkResult | undefined) => void;
  reject: (error: unknown) => void;
}

/**
 * A session with the server across the sockets that carry it: in a room, or in a lobby. A lost socket is replaced and the
 * session taken up; requests that were under way are asked again, so whoever asks sees only a longer wait.
 */
export abstract class Link<Entered> extends Emitter<LinkEvents<Entered>> {
  readonly #options: Required<Omit<LinkOptions, 'webSocket'>> & Pick<LinkOptions, 'webSocket'>;
  readonly #backoff: Backoff;
  readonly #waiting = new Set<Waiting>();
  #state: LinkState = 'idle';
  #refusal: AlthingError | undefined;
  #socket: Socket | undefined;
  #welcome: Welcome | undefined;
  #seq = 0;
  /** Events that came in before the answer that says where they belong. */
  #early: { seq: number; event: Event }[] | undefined;
  #heartbeat: ReturnType<typeof setTimeout> | undefined;
  #wake: (() => void) | undefined;
  /** Ends an attempt to open a socket: one that opens later would begin a session that nobody is in. */
  readonly #over = new AbortController();

  constructor({ url, webSocket, requestTimeoutMs = 10_000, pingTimeoutMs = 5_000, backoff = {} }: LinkOptions) {
    super();
    this.#options = { url, requestTimeoutMs, pingTimeoutMs, backoff, ...(webSocket ? { webSocket } : {}) };
    this.#backoff = new Backoff(backoff);
  }

  get state(): LinkState {
    return this.#state;
  }

  /** What the server said of itself. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** Why a server that answers does not let this end come back, while that goes on; absent where none answers. */
  get refusal(): AlthingError | undefined {
    return this.#refusal;
  }

  /** The `seq` of the last event. */
  protected get seq(): number {
    return this.#seq;
  }

  /** Begins the session on a new socket, or takes it up. */
  protected abstract takeUp(ask: (request: Request) => Promise<OkResult | undefined>): Promise<Entry<Entered>>;

  /** Whether to go on trying to come back after a refusal that is none of the passing ones. */
  protected perseveres(_error: unknown): boolean {
    return false;
  }

  /** Opens a socket and begins the session. */
  protected async begin(): Promise<Entered> {
    if (this.#state !== 'idle') throw new AlthingError('wrong_state', 'this session has begun already');
    this.#enter('connecting');
    try {
      const entered = await this.#connect();
      this.#open();
      return entered;
    } catch (error) {
      this.#end(asError(error));
      throw error;
    }
  }

  /**
   * Asks the server for something. Without a socket it waits until the session has one again; a request
   * whose socket was lost is asked again. Rejects when the server refuses, or the session cannot be taken up.
   */
  request(request: Request, timeoutMs = this.#options.requestTimeoutMs): Promise<OkResult | undefined> {
    if (this.#state === 'closed' || this.#state === 'idle') return Promise.reject(new AlthingError('closed', 'there is no session'));
    return new Promise((resolve, reject) => {
      const waiting = { request, timeoutMs, resolve, reject };
      this.#waiting.add(waiting);
      if (this.#state === 'open') void this.#ask(waiting);
    });
  }

  /** Leaves, and waits a moment for the server to know. */
  async leave(): Promise<void> {
    if (this.#state === 'closed') return;
    const said = this.#socket?.request({ type: 'leave' }, 1000).catch(() => undefined);
    if (this.#state === 'open') await said;
    this.#end(new AlthingError('closed', 'left'));
  }

  /** Leaves at once, as a page must that is being closed. */
  leaveNow(): void {
    void this.#socket?.request({ type: 'leave' }, 1000).catch(() => undefined);
    this.#end(new AlthingError('closed', 'left'));
  }

  /** Gives up the session and begins another one in its place; `forget` lets go of what the next one must not take up. */
  protected async renew(forget: () => void): Promise<void> {
    const socket = this.#socket;
    if (this.#state !== 'open' || !socket) return;
    await socket.request({ type: 'leave' }, 1000).catch(() => undefined);
    forget();
    this.failWaiting(new AlthingError('session_lost', 'the session begins anew'));
    if (socket === this.#socket) this.#drop(new AlthingError('connection_lost', 'the session begins anew', true));
  }

  /** The network may have changed: asks whether the link still works, or stops waiting for the next attempt. */
  probe(): void {
    this.#wake?.();
    if (this.#state === 'open' && this.#socket) void this.#ping(this.#socket, Math.min(PROBE, this.#options.pingTimeoutMs));
  }

  /** Whoever waits for an answer gets none. */
  protected failWaiting(error: AlthingError): void {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const waiting of all) waiting.reject(error);
  }

  async #connect(): Promise<Entered> {
    const socket = await Socket.open(
      this.#options.url,
      { event: (seq, event) => this.#hear(seq, event), lost: (error) => this.#lose(socket, error) },
      this.#options.requestTimeoutMs,
      this.#over.signal,
      this.#options.webSocket,
    );
    try {
      this.#over.signal.throwIfAborted();
      this.#socket = socket;
      this.#early = [];
      const hello = socket.request({ type: 'hello', versions: [VERSION] }, this.#options.requestTimeoutMs).then((welcome) => {
        if (welcome?.of !== 'welcome') throw new AlthingError('protocol', 'the server did not welcome us');
        this.#welcome = welcome;
      });
      // Nothing in the welcome changes how one enters: waiting for it would cost a round trip. A refusal of it comes first.
      const entry = this.takeUp((request) => socket.request(request, this.#options.requestTimeoutMs)).then((taken) => this.#begun(taken));
      const [, entered] = await Promise.all([hello, entry]);
      return entered;
    } catch (error) {
      if (this.#socket === socket) this.#socket = undefined;
      socket.close();
      throw error;
    }
  }

  #begun({ entered, seq }: Entry<Entered>): Entered {
    this.#seq = seq;
    this.#backoff.reset();
    this.#refused(undefined);
    this.emit('joined', entered);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { seq, event } of early) this.#hear(seq, event);
    this.#scheduleHeartbeat();
    return entered;
  }

  #hear(seq: number, event: Event): void {
    if (this.#early) {
      this.#early.push({ seq, event });
      return;
    }
    if (seq <= this.#seq) return;
    if (seq !== this.#seq + 1) {
      // Something was missed: whoever comes back is told everything.
      this.#drop(new AlthingError('protocol', `event ${seq} came after ${this.#seq}`, true));
      return;
    }
    this.#seq = seq;
    if (event.type === 'bye') this.#bye(event.reason);
    else this.emit('event', event);
  }

  #bye(reason: Extract<Event, { type: 'bye' }>['reason']): void {
    // Coming back finds out whether there still is a session, and begins anew where there is none.
    if (reason === 'too_slow' || reason === 'shutting_down') this.#drop(new AlthingError('connection_lost', `the server said bye: ${reason}`, true));
    else this.#end(new AlthingError(reason === 'kicked' ? 'kicked' : 'closed', reason));
  }

  #lose(socket: Socket, error: AlthingError): void {
    if (socket === this.#socket) this.#drop(error);
  }

  /** Gives up the socket, not the session. */
  #drop(error: AlthingError): void {
    clearTimeout(this.#heartbeat);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(GIVEN_UP);
    if (this.#state !== 'open') return;
    console.info(`althing: reconnecting: ${error.message}`);
    this.#enter('reconnecting');
    void this.#comeBack();
  }

  /** The session has a socket; unless that was lost again meanwhile. */
  #open(): void {
    this.#enter('open');
    if (!this.#socket) this.#drop(new AlthingError('connection_lost', 'the socket was lost again', true));
    for (const waiting of [...this.#waiting]) void this.#ask(waiting);
  }

  async #comeBack(): Promise<void> {
    while (this.#state === 'reconnecting') {
      await this.#pause(this.#backoff.next());
      if (this.#state !== 'reconnecting') return;
      try {
        await this.#connect();
        this.#open();
      } catch (error) {
        if (!mayPass(error) && !this.perseveres(error)) this.#end(asError(error));
        else this.#refused(isUnanswered(error) ? undefined : asError(error));
      }
    }
  }

  async #ask(waiting: Waiting): Promise<void> {
    const socket = this.#socket;
    if (!socket) return;
    try {
      const result = await socket.request(waiting.request, waiting.timeoutMs);
      if (this.#waiting.delete(waiting)) waiting.resolve(result);
    } catch (error) {
      if (isAlthingError(error, 'connection_lost')) return;
      if (isAlthingError(error, 'timeout')) this.probe();
      if (this.#waiting.delete(waiting)) waiting.reject(error);
    }
  }

  #scheduleHeartbeat(): void {
    clearTimeout(this.#heartbeat);
    const every = this.#welcome?.heartbeat_ms ?? 15_000;
    this.#heartbeat = setTimeout(() => {
      const socket = this.#socket;
      if (!socket) return;
      const quiet = performance.now() - socket.heardAt >= every / 2;
      if (quiet) void this.#ping(socket, this.#options.pingTimeoutMs);
      this.#scheduleHeartbeat();
    }, every);
  }

  async #ping(socket: Socket, timeoutMs: number): Promise<void> {
    try {
      await socket.request({ type: 'ping' }, timeoutMs);
    } catch (error) {
      if (isAlthingError(error, 'timeout') && socket === this.#socket) this.#drop(new AlthingError('connection_lost', 'no answer to a ping', true));
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Told once however often it is refused for the same reason. */
  #refused(refusal: AlthingError | undefined): void {
    if (this.#refusal?.code === refusal?.code) return;
    this.#refusal = refusal;
    this.emit('refused', refusal);
  }

  #enter(state: LinkState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.emit('state', state);
  }

  #end(error: AlthingError): void {
    if (this.#state === 'closed') return;
    clearTimeout(this.#heartbeat);
    this.#enter('closed');
    this.#wake?.();
    this.#over.abort(error);
    this.#socket?.close();
    this.#socket = undefined;
    this.failWaiting(error);
    this.emit('closed', error);
  }
}

function asError(error: unknown): AlthingError {
  return error instanceof AlthingError ? error : new AlthingError('protocol', String(error));
}

/** Whether another attempt to come back may succeed. */
function mayPass(error: unknown): boolean {
  return error instanceof AlthingError && (error.retryable || isUnanswered(error));
}

function isUnanswered(error: unknown): boolean {
  return isAlthingError(error, 'connection_lost') || isAlthingError(error, 'timeout');
}
