import { LAYOUTS } from './composition.ts';
import type { Layout } from './composition.ts';

/** What the player remembers of a person, in their browser only. */
export interface Memory {
  volume: number;
  layout: Layout;
}

const KEY = 'althing.player';

export function remembered(): Memory {
  let found: Partial<Memory> | null = null;
  try {
    found = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Memory> | null;
  } catch {
    // Then as if it were the first time.
  }
  const { volume, layout } = found ?? {};
  return { volume: typeof volume === 'number' && volume >= 0 && volume <= 1 ? volume : 1, layout: LAYOUTS.find((known) => known === layout) ?? 'auto' };
}

export function remember(memory: Memory): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(memory));
  } catch {
    // Then it is not remembered.
  }
}
