/** The thread that seals what is sent and opens what is received. It has the secret; the page's own thread needs it no more. */
import { importSecret, openBytes, Opener, Sealer } from './frame.ts';

/** What the page says. */
export type ToWorker = { type: 'secret'; secret: Uint8Array<ArrayBuffer> } | { type: 'me'; member: string } | { type: 'members'; members: readonly string[] };
/** What it is told: whose frames can be read, and whose not. */
export interface FromWorker {
  member: string;
  readable: boolean;
}
/** What a transform is for. */
export interface LineOptions {
  side: 'send' | 'receive';
  kind: 'audio' | 'video';
}

/** What TypeScript's library for pages does not have: this is a worker. */
interface EncodedFrame {
  data: ArrayBuffer;
  readonly type?: 'key' | 'delta' | 'empty';
}
interface Transformer {
  readonly readable: ReadableStream<EncodedFrame>;
  readonly writable: WritableStream<EncodedFrame>;
  readonly options: LineOptions;
}
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToWorker>) => void;
  onrtctransform: (event: { transformer: Transformer }) => void;
  postMessage: (message: FromWorker) => void;
};

/** So many frames of a member in a row that cannot be read are no accident. */
const DOUBT = 5;

let secret: Promise<CryptoKey> | undefined;
let sealer: Promise<Sealer> | undefined;
let opener: Promise<Opener> | undefined;
let members: readonly string[] = [];
/** Frames of a member that could not be read since the last that could, and what was said last. */
const failures = new Map<string, { count: number; told: boolean | undefined }>();

scope.onmessage = ({ data }) => {
  if (data.type === 'secret') {
    secret = importSecret(data.secret);
    opener = secret.then((key) => new Opener(key));
  } else if (data.type === 'me') sealer = secret?.then((key) => new Sealer(key, data.member));
  else {
    members = data.members;
    for (const member of failures.keys()) if (!members.includes(member)) failures.delete(member);
  }
  void opener?.then((known) => known.follow(members));
};

scope.onrtctransform = ({ transformer: { readable, writable, options } }) => {
  const transform = options.side === 'send' ? seal : open;
  // One that ends does so with its connection.
  void readable.pipeThrough(new TransformStream({ transform: (frame, out) => transform(frame, out, options.kind) })).pipeTo(writable).catch(() => undefined);
};

/** Nothing goes out before there is a key for it. */
async function seal(frame: EncodedFrame, out: TransformStreamDefaultController<EncodedFrame>, kind: 'audio' | 'video'): Promise<void> {
  const key = await sealer;
  if (!key || frame.data.byteLength === 0) return;
  frame.data = (await key.seal(new Uint8Array(frame.data), openBytes(kind, frame.type === 'key'))).buffer;
  out.enqueue(frame);
}

/** What cannot be read is not played: a decoder would make noise of it. */
async function open(frame: EncodedFrame, out: TransformStreamDefaultController<EncodedFrame>): Promise<void> {
  const opened = await (await opener)?.open(new Uint8Array(frame.data));
  if (opened?.is === 'open') {
    note(opened.member, true);
    frame.data = opened.frame.buffer;
    out.enqueue(frame);
  } else if (opened?.is === 'unreadable') note(opened.member, false);
}

function note(member: string, readable: boolean): void {
  const known = failures.get(member) ?? { count: 0, told: undefined };
  known.count = readable ? 0 : known.count + 1;
  failures.set(member, known);
  const say = readable || known.count >= DOUBT ? readable : known.told;
  if (say === known.told || say === undefined) return;
  known.told = say;
  scope.postMessage({ member, readable: say });
}
