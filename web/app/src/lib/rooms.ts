/** The rooms that this browser was in: their names stay, newest first; their tokens are the tab's, and go with it. */

const NAMES = 'althing.rooms';
const TOKENS = 'althing.tokens';
/** Nobody looks for older ones here. */
const MOST = 30;

/** Somebody has entered a room, or opened its library. */
export function rememberRoom(room: string, token: string | undefined): void {
  write(() => localStorage, NAMES, [room, ...knownRooms().filter((known) => known !== room)].slice(0, MOST));
  if (token) write(() => sessionStorage, TOKENS, { ...tokens(), [room]: token });
}

export function knownRooms(): string[] {
  const found = read(() => localStorage, NAMES);
  return Array.isArray(found) ? found.filter((name): name is string => typeof name === 'string').slice(0, MOST) : [];
}

/** The token with which this tab was in a room. */
export function tokenOf(room: string): string | undefined {
  const found = tokens()[room];
  return typeof found === 'string' ? found : undefined;
}

function tokens(): Record<string, unknown> {
  const found = read(() => sessionStorage, TOKENS);
  return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
}

/** Even to look at a storage may be forbidden. */
function read(storage: () => Storage, key: string): unknown {
  try {
    return JSON.parse(storage().getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

function write(storage: () => Storage, key: string, value: unknown): void {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch {
    // Then it is not remembered.
  }
}
