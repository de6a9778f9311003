import type { MenuEntry } from './menu.ts';
import type { TileView } from './people.ts';

/** What the menu beside the call's controls offers, in this order. */
export function callEntries(): MenuEntry[] {
  return [];
}

/** What a tile's menu offers, in this order. */
export function tileEntries(_tile: TileView): MenuEntry[] {
  return [];
}
