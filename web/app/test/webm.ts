/** Writes and reads WebM for tests, by other means than what is tried. */

const bytes = (...all: (number | Uint8Array)[]) => Uint8Array.from(all.flatMap((part) => (typeof part === 'number' ? [part] : [...part])));
const id = (value: number) => {
  const digits = value.toString(16);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
};
const size4 = (value: number) => bytes(0x10 | (value >> 24), (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
export const box = (name: number, ...content: (number | Uint8Array)[]) => {
  const body = bytes(...content);
  return bytes(id(name), size4(body.length), body);
};

export interface Frame {
  track: number;
  /** Milliseconds. */
  time: number;
  key: boolean;
  size?: number;
}

/** As browsers write while they record: no length, no index, nothing of a known size. */
export function live(tracks: ('video' | 'audio')[], clusters: { time: number; frames: Frame[] }[], known = false): Uint8Array {
  const entries = tracks.map((type, index) => box(0xae, box(0xd7, index + 1), box(0x83, type === 'video' ? 1 : 2), box(0x86, new TextEncoder().encode(type === 'video' ? 'V_VP8' : 'A_OPUS'))));
  const head = bytes(
    box(0x1a45dfa3, box(0x4282, new TextEncoder().encode('webm'))),
    id(0x18538067),
    bytes(0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    box(0x1549a966, box(0x2ad7b1, 0x0f, 0x42, 0x40), box(0x4d80, new TextEncoder().encode('test'))),
    box(0x1654ae6b, ...entries),
  );
  const body = clusters.map(({ time, frames }) => {
    const content = bytes(box(0xe7, (time >> 16) & 0xff, (time >> 8) & 0xff, time & 0xff), ...frames.map((frame) => block(frame, time)));
    return known ? box(0x1f43b675, content) : bytes(id(0x1f43b675), 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, content);
  });
  return bytes(head, ...body);
}

function block({ track, time, key, size = 40 }: Frame, cluster: number): Uint8Array {
  const offset = time - cluster;
  const content = new Uint8Array(size).fill((time * 7 + track) & 0xff);
  return box(0xa3, 0x80 | track, (offset >> 8) & 0xff, offset & 0xff, key ? 0x80 : 0, content);
}

export interface Node {
  id: number;
  start: number;
  content: number;
  end: number;
  children: Node[];
}

const MASTERS = new Set([0x18538067, 0x1549a966, 0x1654ae6b, 0x1c53bb6b, 0x114d9b74, 0x4dbb, 0xbb, 0xb7, 0x1f43b675, 0xae]);

/** The elements of a file, each of which has to have its right size. */
export function tree(data: Uint8Array, from = 0, to = data.length): Node[] {
  const nodes: Node[] = [];
  let at = from;
  while (at < to) {
    const start = at;
    const width = (first: number) => {
      for (let length = 1; length <= 8; length++) if (first & (0x80 >> (length - 1))) return length;
      throw new Error(`no element at ${start}`);
    };
    const named = width(data[at] ?? 0);
    let name = 0;
    for (let index = 0; index < named; index++) name = name * 256 + (data[at++] ?? 0);
    const length = width(data[at] ?? 0);
    let size = (data[at] ?? 0) & (0xff >> length);
    at += 1;
    for (let index = 1; index < length; index++) size = size * 256 + (data[at++] ?? 0);
    const end = at + size;
    if (end > to) throw new Error(`element ${name.toString(16)} at ${start} is longer than what holds it`);
    nodes.push({ id: name, start, content: at, end, children: MASTERS.has(name) ? tree(data, at, end) : [] });
    at = end;
  }
  return nodes;
}

export function find(nodes: readonly Node[], ...path: number[]): Node[] {
  const [first, ...others] = path;
  const here = nodes.filter((node) => node.id === first);
  return others.length === 0 ? here : here.flatMap((node) => find(node.children, ...others));
}

export function number(data: Uint8Array, node: Node | undefined): number {
  return node ? data.subarray(node.content, node.end).reduce((value, byte) => value * 256 + byte, 0) : NaN;
}
