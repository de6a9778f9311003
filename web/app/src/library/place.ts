/** Where in the library one is, as the address says it. */
export type Place =
  | { page: 'rooms' }
  | { page: 'room'; room: string }
  | { page: 'item'; room: string; id: string }
  | { page: 'shared'; id: string; expires: string; signature: string }
  | { page: 'nowhere' };

/** Whether the address is one of the library, else one of calls. */
export function isLibrary(pathname: string): boolean {
  return /^\/library(\/|$)/.test(pathname);
}

/** `/library`, `/library/ROOM`, `/library/ROOM/ID`, `/library/shared/ID?expires=…&signature=…`. A room may be called “shared” as well: its items have no signature. */
export function readPlace(href: string): Place {
  const url = new URL(href);
  const parts = url.pathname.split('/').filter(Boolean).slice(1).map(decode);
  const [room, id, more] = parts;
  if (room === undefined) return { page: 'rooms' };
  if (more !== undefined || parts.includes('')) return { page: 'nowhere' };
  if (id === undefined) return { page: 'room', room };
  const [expires, signature] = [url.searchParams.get('expires'), url.searchParams.get('signature')];
  // One that was not copied as a whole is told as such.
  return room === 'shared' && (signature !== null || expires !== null) ? { page: 'shared', id, expires: expires ?? '', signature: signature ?? '' } : { page: 'item', room, id };
}

/** The token that the address carries in its fragment, which no server logs. */
export function readToken(href: string): string | undefined {
  return new URLSearchParams(new URL(href).hash.slice(1)).get('token') || undefined;
}

/** The address of a room's list, or of something in it; with the token, so that a reload finds it. */
export function libraryAddress({ room, id, token }: { room?: string | undefined; id?: string | undefined; token?: string | undefined }): string {
  const path = ['/library', ...[room, id].filter((part) => part !== undefined).map(encodeURIComponent)].join('/');
  return token ? `${path}#token=${encodeURIComponent(token)}` : path;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
