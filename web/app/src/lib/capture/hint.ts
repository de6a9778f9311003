/** Says without opening anything whether this browser may have kept recordings. */
const KEY = 'althing.recordings';

export function mayHaveKept(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

export function noteKept(some: boolean): void {
  try {
    if (some) localStorage.setItem(KEY, '1');
    else localStorage.removeItem(KEY);
  } catch {
    // Then nothing is offered at the next start; the list still has it.
  }
}
