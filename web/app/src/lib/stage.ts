import type { TileView } from './people.ts';

/** How the stage is laid out: large is a screen, or whoever speaks; or all are alike. */
export type Layout = 'auto' | 'grid' | 'speaker';
export const LAYOUTS: readonly Layout[] = ['auto', 'grid', 'speaker'];

/** What is shown large, and what beside it. Nothing large: all are alike. */
export interface Composition {
  large: TileView[];
  others: TileView[];
}

/** Who is shown where. What is pinned is large in any layout. */
export function compose(tiles: readonly TileView[], layout: Layout, pinned: ReadonlySet<string>, speaker: string | undefined): Composition {
  const chosen = tiles.filter((tile) => pinned.has(tile.key));
  const large = chosen.length > 0 ? chosen : [largest(tiles, layout, speaker)].filter((tile) => tile !== undefined);
  // One alone is a grid of one.
  if (large.length === tiles.length) return { large: [], others: [...tiles] };
  return { large, others: tiles.filter((tile) => !large.includes(tile)) };
}

function largest(tiles: readonly TileView[], layout: Layout, speaker: string | undefined): TileView | undefined {
  if (layout === 'grid') return undefined;
  // Somebody's screen; one's own only when nobody else shares.
  const screen = tiles.find((tile) => tile.kind === 'screen' && !tile.mine) ?? tiles.find((tile) => tile.kind === 'screen');
  if (screen || layout === 'auto') return screen;
  return tiles.find((tile) => tile.key === speaker) ?? tiles.find((tile) => !tile.mine) ?? tiles[0];
}

/** Whose picture is large while people speak: whoever is large stays so as long as they speak, so that it does not jump when two do. */
export function nextSpeaker(now: string | undefined, speakers: readonly string[], me: string, present: readonly string[]): string | undefined {
  const others = speakers.filter((member) => member !== me && present.includes(member));
  if (now !== undefined && others.includes(now)) return now;
  return others[0] ?? (now !== undefined && present.includes(now) ? now : undefined);
}

/** Pinned, or not any more. */
export function toggled(pinned: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(pinned);
  if (!next.delete(key)) next.add(key);
  return next;
}
