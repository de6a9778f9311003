import { upload } from '@althing/sdk';
import { session } from '../session.svelte.ts';

/** What a file of the library is. */
export interface LibraryFile {
  room: string;
  kind: 'screenshot' | 'audio' | 'video';
  name: string;
  title: string;
  at: Date;
  /** How long it plays (ms). */
  length?: number;
}

/** Whether and as whom files may be given to the library of the room that this page is in. */
export interface LibraryAccess {
  room: string;
  token: string | undefined;
  /** The name to show where the token has none. */
  by: string;
}

/** Asked for while the room is there: what was taken in it may be uploaded after it was left. */
export function libraryAccess(): LibraryAccess | undefined {
  const { room, call } = session;
  const grants = room?.grants as { library?: string } | undefined;
  const features = call?.server?.features as { uploads?: boolean } | undefined;
  const may = features?.uploads === true && grants?.library === 'manage';
  return may && room ? { room: room.room, token: session.token, by: room.me.name } : undefined;
}

export interface Progress {
  location?: string | undefined;
  onlocation?: (location: string) => void;
  onprogress?: (sent: number, total: number) => void;
  signal?: AbortSignal;
}

/** Gives a file to the library; resolves with its address there. */
export async function toLibrary(file: Blob, { kind, name, title, at, length = 0 }: Omit<LibraryFile, 'room'>, { room, token, by }: LibraryAccess, progress: Progress = {}): Promise<string> {
  const type = file.type.split(';')[0] ?? '';
  const metadata = { room, kind, name, type, title, by, at: String(at.getTime()), length: String(Math.round(length * 1000)) };
  const item = await upload(file, { url: `${location.origin}/api/v1/library/uploads`, token, metadata, ...progress });
  return item === undefined ? `/library/${encodeURIComponent(room)}` : `/library/${encodeURIComponent(room)}/${encodeURIComponent(item)}`;
}
