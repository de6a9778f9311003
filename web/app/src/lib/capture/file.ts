import { WebmIndex } from './webm.ts';

/** A recording as one file. */
export interface Whole {
  file: Blob;
  /** How long it plays (ms), if that is known. */
  length: number | undefined;
}

/** Puts a recording together from its pieces; `index`: what was learned of it while it grew, if this page has recorded it. */
export async function whole(pieces: readonly Blob[], type: string, index?: WebmIndex): Promise<Whole> {
  const raw = new Blob([...pieces], { type });
  if (!type.includes('webm')) return { file: raw, length: undefined };
  const known = index ?? (await read(pieces));
  const parts = known.parts();
  if (!parts) return { file: raw, length: undefined };
  return { file: new Blob(parts.map((part) => (part instanceof Uint8Array ? part : raw.slice(part.from, part.to))), { type }), length: known.length };
}

async function read(pieces: readonly Blob[]): Promise<WebmIndex> {
  const index = new WebmIndex();
  for (const piece of pieces) index.feed(new Uint8Array(await piece.arrayBuffer()));
  return index;
}
