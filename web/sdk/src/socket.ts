import { AlthingError } from './errors.ts';
import { PendingRequests } from './requests.ts';
import { SUBPROTOCOL } from './wire.ts';
import type { Event, OkResult, Request, ServerMessage } from './wire.ts';

/** What a socket needs of a WebSocket class: the browser's, or one of Node's. */
export type WebSocketClass = new (url: string, protocols: string) => WebSocket;

/** What a socket tells its owner. */
export interface SocketHandlers {
  /** The server says that something happened. */
  event: (seq: number, event: Event) => void;
  /** The socket is gone; called once, never after `close`. */
  lost: (error: AlthingError) => void;
}

/** One WebSocket: requests with their answers, and events. It neither reconnects nor knows what it carries. */
export class Socket {
  readonly #socket: WebSocket;
  readonly #requests = new PendingRequests();
  readonly #handlers: SocketHandlers;
  #over = false;
  /** When something last came in (ms, `performance.now`). */
  heardAt = performance.now();

  private constructor(socket: WebSocket, handlers: SocketHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.onmessage = (message) => this.#take(String(message.data));
    socket.onclose = (event) => this.#lose(event.code, event.reason);
  }

  /**
   * Opens one; rejects with `connection_lost` when that does not succeed in time, with the reason of `given` when it is given up before.
   * (Firefox holds an attempt back that follows others that have failed, for up to a minute.)
   */
  static open(url: string, handlers: SocketHandlers, timeoutMs: number, given: AbortSignal, WebSocketImpl: WebSocketClass = WebSocket): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocketImpl(url, SUBPROTOCOL);
      const giveUp = () => fail(given.reason as AlthingError);
      const settle = () => {
        clearTimeout(timer);
        given.removeEventListener('abort', giveUp);
      };
      const fail = (why: AlthingError | string) => {
        settle();
        socket.onopen = socket.onclose = socket.onerror = null;
        // A socket that is dropped while it connects reports an error of its own: nobody asked.
        socket.onerror = () => undefined;
        socket.close();
        reject(typeof why === 'string' ? new AlthingError('connection_lost', why, true) : why);
      };
      const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs);
      socket.onerror = () => fail('the server cannot be reached');
      socket.onclose = () => fail('the server closed the connection');
      given.addEventListener('abort', giveUp);
      socket.onopen = () => {
        settle();
        socket.onerror = () => undefined;
        resolve(new Socket(socket, handlers));
      };
    });
  }

  /** Sends a request; resolves with what it returns. */
  request(request: Request, timeoutMs: number): Promise<OkResult | undefined> {
    if (this.#over) return Promise.reject(new AlthingError('connection_lost', 'the socket is gone', true));
    const { id, answer } = this.#requests.add(timeoutMs);
    this.#socket.send(JSON.stringify({ id, ...request }));
    return answer;
  }

  /** Closes it, telling nobody but those whose requests wait. To the server, 1000 is leaving, and anything else a socket that was lost. */
  close(code = 1000): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(code);
    this.#requests.fail(new AlthingError('connection_lost', 'the socket was closed', true));
  }

  #take(text: string): void {
    this.heardAt = performance.now();
    let message: ServerMessage;
    try {
      message = JSON.parse(text) as ServerMessage;
    } catch {
      console.warn('althing: a message from the server is not JSON');
      return;
    }
    if (message.type === 'event') this.#handlers.event(message.seq, message.event);
    else if (message.type === 'ok' || message.type === 'error') this.#answer(message);
  }

  #answer(message: Extract<ServerMessage, { type: 'ok' | 'error' }>): void {
    if (!this.#requests.settle(message) && message.type === 'error') console.warn(`althing: ${message.code}: ${message.message}`);
  }

  #lose(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    const error = new AlthingError('connection_lost', `the socket closed (${code}${reason ? `: ${reason}` : ''})`, true);
    this.#requests.fail(error);
    this.#handlers.lost(error);
  }
}
