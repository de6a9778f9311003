import { WebSocketServer } from 'ws';
import type { WebSocket as ServerSocket } from 'ws';
import WebSocket from 'ws';
import type { WebSocketClass } from '../src/socket.ts';
import type { ClientMessage, Event, OkResult, Request } from '../src/wire.ts';

export const webSocket = WebSocket as unknown as WebSocketClass;

/** What a test answers to a request: a result, nothing, an error, or silence. */
export type Reply = { result?: OkResult } | { error: string; retryable?: boolean } | 'silence';

/** A real WebSocket server on loopback whose answers a test decides. */
export class Server {
  readonly #server: WebSocketServer;
  readonly url: string;
  readonly heard: Request[] = [];
  socket: ServerSocket | undefined;
  sockets = 0;
  reply: (request: Request) => Reply = answerOf;
  /** Sockets are opened once this has come. */
  gate: Promise<unknown> | undefined;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `ws://127.0.0.1:${(server.address() as { port: number }).port}/ws`;
    server.on('connection', (socket) => {
      this.socket = socket;
      this.sockets += 1;
      socket.on('message', (data) => this.#take(socket, JSON.parse(String(data)) as ClientMessage));
    });
  }

  static start(port = 0): Promise<Server> {
    return new Promise((resolve) => {
      const verifyClient = (_: unknown, open: (isLetIn: boolean) => void) => void Promise.resolve(opened?.gate).then(() => open(true));
      let opened: Server | undefined;
      const server: WebSocketServer = new WebSocketServer({ port, host: '127.0.0.1', verifyClient }, () => resolve((opened = new Server(server))));
    });
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get subprotocol(): string | undefined {
    return this.socket?.protocol;
  }

  say(seq: number, event: Event): void {
    this.socket?.send(JSON.stringify({ type: 'event', seq, event }));
  }

  /** Cuts the line without a closing handshake. */
  cut(): void {
    this.socket?.terminate();
  }

  types(): string[] {
    return this.heard.map((request) => request.type);
  }

  async stop(): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(socket: ServerSocket, { id, ...request }: ClientMessage): void {
    this.heard.push(request as Request);
    const reply = this.reply(request as Request);
    if (reply === 'silence') return;
    if ('error' in reply) socket.send(JSON.stringify({ type: 'error', id, code: reply.error, message: 'no', retryable: reply.retryable ?? false }));
    else socket.send(JSON.stringify({ type: 'ok', id, ...reply }));
  }
}

/** What a server says that has nothing special to say. */
export function answerOf(request: Request): Reply {
  if (request.type === 'hello') return { result: welcome() };
  if (request.type === 'enter') return { result: entered() };
  if (request.type === 'join' || request.type === 'resume') return { result: joined() };
  return {};
}

export function welcome(): OkResult {
  const limits = { message_bytes: 65536, offer_bytes: 524288, mlines: 64, messages_per_second: 50, chat_bytes: 4096, name_bytes: 128, data_bytes: 16384, metadata_bytes: 2048 };
  return { of: 'welcome', version: 1, server: 'test', limits, heartbeat_ms: 60_000, resume_ms: 60_000, features: { development: true, direct: true, data: true, recording: false, relay: false, library: false, uploads: false, screenshots: false } };
}

export function entered(more: Partial<Extract<OkResult, { of: 'entered' }>> = {}): Extract<OkResult, { of: 'entered' }> {
  return {
    of: 'entered',
    lobby: 'office',
    me: { member: 'me', name: 'Me', busy: false },
    grants: { publish: ['camera', 'microphone'], subscribe: true, chat: true, data: true, moderate: false, record: false, library: 'none', describe: true },
    people: [{ member: 'ben', name: 'Ben', busy: false }],
    ...more,
  };
}

export function joined(more: Partial<Extract<OkResult, { of: 'joined' }>> = {}): Extract<OkResult, { of: 'joined' }> {
  return {
    of: 'joined',
    room: 'hall',
    me: { member: 'me', name: 'Me', moderator: false, away: false, tracks: [] },
    grants: { publish: ['camera', 'microphone'], subscribe: true, chat: true, data: true, moderate: false, record: false, library: 'none', describe: true },
    resume: 'secret',
    pairs: 4,
    members: [],
    speakers: [],
    chat: [],
    locked: false,
    seq: 0,
    slots: [],
    connection: true,
    way: { via: 'server' },
    policy: 'auto',
    ...more,
  };
}
