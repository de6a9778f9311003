/**
 * What browsers record as WebM was written as it came: without its length and without a way to seek. This reads along, and writes a head
 * with both. Elements are those of RFC 8794 and RFC 9559.
 */

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const SEEK_HEAD = 0x114d9b74;
const INFO = 0x1549a966;
const TRACKS = 0x1654ae6b;
const CUES = 0x1c53bb6b;
const TAGS = 0x1254c367;
const CLUSTER = 0x1f43b675;
const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const TIMESTAMP_SCALE = 0x2ad7b1;
const DURATION = 0x4489;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_TYPE = 0x83;
const VIDEO = 1;

/** Their content is read, not only passed by. It is small: one that claims to be larger is none of ours. */
const READ: ReadonlySet<number> = new Set([EBML, INFO, TRACKS, TIMESTAMP]);
const MOST_READ = 1 << 20;
/** Elements of the segment itself: where one begins, a cluster of unknown size is over. */
const TOP: ReadonlySet<number> = new Set([SEEK_HEAD, INFO, TRACKS, CUES, TAGS, CLUSTER]);
/** Bytes of an element's head at most, and of a block's. */
const HEAD = 12;
const BLOCK_HEAD = 12;
/** Sound alone can be begun anywhere: so far apart (ms) are the places that are noted. */
const SOUND_CUES = 1000;

interface Cluster {
  /** Where its content begins, and where that ends: not known of one that goes on. */
  content: number;
  end: number | undefined;
  time: number;
}

interface Cue {
  time: number;
  track: number;
  cluster: number;
  /** From the beginning of the cluster's content. */
  within: number;
}

interface Element {
  id: number;
  /** Bytes of identifier and size. */
  head: number;
  /** Bytes of its content; undefined when it was not known. */
  size: number | undefined;
}

/** Bytes between two places of the recorded file, or new ones. */
export type Part = Uint8Array<ArrayBuffer> | { from: number; to: number };

/** Reads a recording piece by piece, while it grows; holds of it only where things are. */
export class WebmIndex {
  /** What was not enough to go on. */
  #rest = new Uint8Array();
  /** Where that begins. */
  #at = 0;
  /** Bytes to pass by, and where the element begins that they belong to. */
  #skip = 0;
  #element = 0;
  #broken = false;
  #head: Uint8Array | undefined;
  #info: Uint8Array | undefined;
  #tracks: Uint8Array | undefined;
  #scale = 1_000_000;
  /** Tracks of pictures. */
  readonly #pictures = new Set<number>();
  readonly #clusters: Cluster[] = [];
  readonly #cues: Cue[] = [];
  /** Of each track: its last time, and the least time between two of its blocks (in ticks), which is taken for the length of its last one. */
  readonly #last = new Map<number, { time: number; step: number }>();

  /** How long it is so far (ms). */
  get length(): number {
    const ends = [...this.#last.values()].map(({ time, step }) => time + step);
    return (Math.max(0, ...ends) * this.#scale) / 1e6;
  }

  /** How far the pictures are behind the sound (ms): a browser that cannot encode them in time writes them later. */
  get lag(): number {
    const last = (isPicture: boolean) => Math.max(0, ...[...this.#last].filter(([track]) => this.#pictures.has(track) === isPicture).map(([, { time }]) => time));
    return this.#pictures.size > 0 ? Math.max(0, ((last(false) - last(true)) * this.#scale) / 1e6) : 0;
  }

  /** Takes the bytes that follow. */
  feed(bytes: Uint8Array): void {
    if (this.#broken) return;
    const passed = Math.min(this.#skip, bytes.length);
    this.#skip -= passed;
    this.#at += passed;
    if (passed === bytes.length) return;
    const data = new Uint8Array(this.#rest.length + bytes.length - passed);
    data.set(this.#rest);
    data.set(bytes.subarray(passed), this.#rest.length);
    const taken = this.#take(data);
    this.#at += taken;
    this.#rest = data.slice(taken);
  }

  /**
   * The file as it is to be: whole elements only, with its length and its index in front. Undefined when there is nothing in it that could
   * be played.
   */
  parts(): Part[] | undefined {
    const clusters = this.#whole();
    if (!this.#head || !this.#info || !this.#tracks || !clusters.some(({ content, end }) => end > content)) return undefined;
    const tracks = element(TRACKS, this.#tracks);
    const info = element(INFO, concat([...children(this.#info).filter(({ id }) => id !== DURATION).map(({ raw }) => raw), element(DURATION, float(this.length * (1e6 / this.#scale)))]));
    const cues = this.#cues.filter(({ cluster, within }) => { const of = clusters[cluster]; return of && of.content + within < of.end; });
    const seekHead = (places: readonly number[]) => element(SEEK_HEAD, concat([INFO, TRACKS, CUES].map((id, index) => element(0x4dbb, concat([element(0x53ab, uint(id, 4)), element(0x53ac, uint(places[index] ?? 0, 8))])))));
    // Every number has its full width: where things are does not depend on where they are.
    const infoAt = seekHead([]).length;
    const tracksAt = infoAt + info.length;
    const cuesAt = tracksAt + tracks.length;
    const clustersAt = cuesAt + cuesOf(cues, []).length;
    const places: number[] = [];
    let at = clustersAt;
    for (const { content, end } of clusters) {
      places.push(at);
      at += CLUSTER_HEAD + end - content;
    }
    const front = concat([element(EBML, this.#head), sized(SEGMENT, at), seekHead([infoAt, tracksAt, cuesAt]), info, tracks, cuesOf(cues, places)]);
    return [front, ...clusters.flatMap(({ content, end }): Part[] => [sized(CLUSTER, end - content), { from: content, to: end }])];
  }

  /** The clusters, of the last one what has come of it. */
  #whole(): { content: number; end: number }[] {
    const whole = this.#skip > 0 || this.#broken ? this.#element : this.#at;
    return this.#clusters.map(({ content, end = whole }) => ({ content, end: Math.max(content, Math.min(end, whole)) }));
  }

  /** Takes what it can; returns how many bytes that was. */
  #take(data: Uint8Array): number {
    let at = 0;
    while (at < data.length) {
      const found = elementAt(data, at);
      if (found === 'short') return at;
      if (found === 'none') {
        this.#broken = true;
        this.#element = this.#at + at;
        return at;
      }
      const start = this.#at + at;
      const content = at + found.head;
      if (TOP.has(found.id)) this.#endCluster(start);
      if (found.id === CLUSTER) this.#clusters.push({ content: start + found.head, end: undefined, time: 0 });
      if (found.id === SEGMENT || found.id === CLUSTER) {
        at = content;
        continue;
      }
      const size = found.size ?? 0;
      if (READ.has(found.id) && size <= MOST_READ) {
        if (content + size > data.length) return at;
        this.#read(found.id, data.slice(content, content + size));
      } else if (found.id === SIMPLE_BLOCK || found.id === BLOCK_GROUP) {
        if (content + Math.min(size, HEAD + BLOCK_HEAD) > data.length) return at;
        this.#block(found.id, data.subarray(content, content + size), start);
      }
      this.#element = start;
      this.#skip = Math.max(0, content + size - data.length);
      at = Math.min(content + size, data.length);
    }
    return at;
  }

  #endCluster(at: number): void {
    const last = this.#clusters.at(-1);
    if (last && last.end === undefined) last.end = at;
  }

  #read(id: number, content: Uint8Array): void {
    if (id === EBML) this.#head = content;
    else if (id === INFO) {
      this.#info = content;
      const scale = children(content).find((child) => child.id === TIMESTAMP_SCALE);
      this.#scale = (scale && number(scale.content)) || 1_000_000;
    } else if (id === TRACKS) {
      this.#tracks = content;
      for (const entry of children(content).filter((child) => child.id === TRACK_ENTRY)) {
        const parts = children(entry.content);
        const of = (wanted: number) => number(parts.find((part) => part.id === wanted)?.content ?? new Uint8Array());
        if (of(TRACK_TYPE) === VIDEO) this.#pictures.add(of(TRACK_NUMBER));
      }
    } else {
      const cluster = this.#clusters.at(-1);
      if (cluster) cluster.time = number(content);
    }
  }

  #block(id: number, bytes: Uint8Array, start: number): void {
    const cluster = this.#clusters.at(-1);
    const inner = id === BLOCK_GROUP ? elementAt(bytes, 0) : undefined;
    if (!cluster || inner === 'short' || inner === 'none' || (inner && inner.id !== BLOCK)) return;
    const from = inner?.head ?? 0;
    const track = vint(bytes, from);
    if (!track || bytes.length < from + track.length + 3) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset + from + track.length, 3);
    const time = cluster.time + view.getInt16(0);
    const before = this.#last.get(track.value);
    const step = before && time > before.time ? Math.min(time - before.time, before.step || Infinity) : (before?.step ?? 0);
    this.#last.set(track.value, { time: Math.max(time, before?.time ?? 0), step });
    // Of a block in a group it is not known before its end whether it can be begun with.
    const isKey = id === SIMPLE_BLOCK && (view.getUint8(2) & 0x80) !== 0;
    const due = this.#pictures.size > 0 ? this.#pictures.has(track.value) && isKey : this.#isDue(time);
    if (due) this.#cues.push({ time, track: track.value, cluster: this.#clusters.length - 1, within: start - cluster.content });
  }

  #isDue(time: number): boolean {
    const last = this.#cues.at(-1);
    return !last || (time - last.time) * (this.#scale / 1e6) >= SOUND_CUES;
  }
}

/** Bytes of a cluster's head as it is written: identifier and a size of eight bytes. */
const CLUSTER_HEAD = 12;

function cuesOf(cues: readonly Cue[], places: readonly number[]): Uint8Array<ArrayBuffer> {
  const points = cues.map(({ time, track, cluster, within }) => {
    const position = element(0xb7, concat([element(0xf7, uint(track, 1)), element(0xf1, uint(places[cluster] ?? 0, 8)), element(0xf0, uint(within, 8))]));
    return element(0xbb, concat([element(0xb3, uint(Math.max(0, time), 8)), position]));
  });
  return sizedWith(CUES, concat(points));
}

/** An element's identifier and size; `short` when there is too little of it, `none` when it is none. */
function elementAt(data: Uint8Array, at: number): Element | 'short' | 'none' {
  const length = lengthOf(data[at]);
  if (length === undefined) return data.length > at ? 'none' : 'short';
  if (length > 4) return 'none';
  if (at + length >= data.length) return 'short';
  let id = 0;
  for (let index = 0; index < length; index++) id = id * 256 + (data[at + index] ?? 0);
  const size = lengthOf(data[at + length]);
  if (size === undefined) return 'none';
  if (at + length + size > data.length) return 'short';
  const value = vint(data, at + length);
  const isUnknown = value?.value === 2 ** (7 * size) - 1;
  return { id, head: length + size, size: isUnknown ? undefined : value?.value };
}

/** How many bytes a number has that begins so. */
function lengthOf(first: number | undefined): number | undefined {
  return first === undefined || first === 0 ? undefined : Math.clz32(first) - 23;
}

function vint(data: Uint8Array, at: number): { value: number; length: number } | undefined {
  const first = data[at];
  const length = lengthOf(first);
  if (first === undefined || length === undefined || at + length > data.length) return undefined;
  let value = first & (0xff >> length);
  for (let index = 1; index < length; index++) value = value * 256 + (data[at + index] ?? 0);
  return { value, length };
}

function children(content: Uint8Array): { id: number; content: Uint8Array; raw: Uint8Array }[] {
  const found = [];
  for (let at = 0; at < content.length; ) {
    const child = elementAt(content, at);
    if (child === 'short' || child === 'none' || child.size === undefined) break;
    const end = at + child.head + child.size;
    found.push({ id: child.id, content: content.subarray(at + child.head, end), raw: content.subarray(at, end) });
    at = end;
  }
  return found;
}

function number(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

function uint(value: number, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  for (let index = width - 1, rest = value; index >= 0; index--, rest = Math.floor(rest / 256)) bytes[index] = rest % 256;
  return bytes;
}

function float(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

function idOf(id: number): Uint8Array {
  return uint(id, id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1);
}

/** An element of small content, with a size of as many bytes as it takes. */
function element(id: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const width = content.length < 0x7f ? 1 : content.length < 0x3fff ? 2 : 4;
  const size = uint(content.length + 2 ** (7 * width), width);
  return concat([idOf(id), size, content]);
}

/** Identifier and size of an element, the size in eight bytes. */
function sized(id: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = uint(size, 8);
  bytes[0] = 1;
  return concat([idOf(id), bytes]);
}

function sizedWith(id: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([sized(id, content.length), content]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
