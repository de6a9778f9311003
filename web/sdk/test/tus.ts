import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Kept {
  length: number;
  metadata: string;
  bytes: Buffer;
}

/** A small server of tus 1.0 on loopback, with the faults that a test asks for. */
export class Tus {
  readonly #server: Server;
  readonly uploads = new Map<string, Kept>();
  readonly requests: string[] = [];
  /** A token that has to be there. */
  token: string | undefined;
  /** What is answered instead, if anything. */
  refuse: (request: IncomingMessage) => { status: number; body?: object; location?: string } | undefined = () => undefined;
  /** After so many bytes of a chunk the connection is cut; told the number of the chunk, from 0. */
  cut: (chunk: number) => number | undefined = () => undefined;
  /** Whether the answer to a chunk is lost, told its number. */
  loses: (chunk: number) => boolean = () => false;
  #chunks = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#take(request, response));
  }

  static async start(): Promise<Tus> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Tus(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/uploads`;
  }

  /** The bytes of the one upload that there is. */
  get only(): Kept {
    const [one, ...others] = [...this.uploads.values()];
    if (!one || others.length > 0) throw new Error(`${this.uploads.size} uploads`);
    return one;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method}`);
    response.setHeader('tus-resumable', '1.0.0');
    const refused = this.refuse(request);
    if (refused) {
      if (refused.location) response.setHeader('location', refused.location);
      return void response.writeHead(refused.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(refused.body ?? {}));
    }
    if (request.headers['tus-resumable'] !== '1.0.0') return void response.writeHead(412).end();
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) return void response.writeHead(401).end('{"title":"no token"}');
    if (request.method === 'POST') return this.#create(request, response);
    const upload = this.uploads.get(request.url ?? '');
    if (!upload) return void response.writeHead(404).end();
    if (request.method === 'DELETE') {
      this.uploads.delete(request.url ?? '');
      return void response.writeHead(204).end();
    }
    if (request.method === 'PATCH' && !(await this.#append(request, response, upload))) return;
    response.setHeader('upload-offset', upload.bytes.length);
    if (upload.bytes.length === upload.length) response.setHeader('althing-item', 'it-1');
    response.writeHead(request.method === 'PATCH' ? 204 : 200).end();
  }

  #create(request: IncomingMessage, response: ServerResponse): void {
    const name = `/uploads/${this.requests.length}`;
    this.uploads.set(name, { length: Number(request.headers['upload-length']), metadata: String(request.headers['upload-metadata'] ?? ''), bytes: Buffer.alloc(0) });
    response.writeHead(201, { location: name }).end();
  }

  async #append(request: IncomingMessage, response: ServerResponse, upload: Kept): Promise<boolean> {
    const isRight = request.headers['content-type'] === 'application/offset+octet-stream';
    if (!isRight || Number(request.headers['upload-offset']) !== upload.bytes.length) {
      response.writeHead(isRight ? 409 : 415).end();
      return false;
    }
    const { socket } = request;
    const number = this.#chunks++;
    const most = this.cut(number);
    let taken = 0;
    for await (const piece of request as AsyncIterable<Buffer>) {
      const kept = piece.subarray(0, most === undefined ? piece.length : Math.max(0, most - taken));
      upload.bytes = Buffer.concat([upload.bytes, kept]);
      taken += kept.length;
      if (most !== undefined && taken >= most) break;
    }
    const isLost = (most !== undefined && taken >= most) || this.loses(number);
    if (isLost) socket.destroy();
    return !isLost;
  }
}
