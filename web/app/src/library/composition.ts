import { arrange } from '../lib/layout.ts';

/** How a meeting is shown: `auto` is a screen large while there is one, else everybody alike. */
export type Layout = 'auto' | 'grid' | 'speaker' | 'screen';

export const LAYOUTS: readonly Layout[] = ['auto', 'grid', 'speaker', 'screen'];

/** Somebody who is there. */
export interface Part {
  key: string;
  screen: boolean;
  picture: boolean;
}

/** Where a part stands (CSS pixels). */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
  /** Beside another one that is large. */
  small: boolean;
}

export interface Composition {
  boxes: Map<string, Box>;
  /** The large one. */
  large: string | undefined;
  /** Parts that find no place: on another page. */
  pages: number;
}

export interface Wish {
  layout: Layout;
  width: number;
  height: number;
  /** Who speaks. */
  speaker?: string | undefined;
  /** Whom somebody has chosen to be large, before all else. */
  pinned?: string | undefined;
  page?: number;
}

/** Nobody looks at more faces at once, and each one is a decoder. */
export const MOST_SHOWN = 9;
const MOST_SHOWN_NARROW = 4;
const GAP = 6;
/** Narrower (CSS pixels) is a phone. */
const NARROW = 640;

/** Where everybody stands. */
export function compose(parts: readonly Part[], wish: Wish): Composition {
  const { width, height } = wish;
  if (parts.length === 0 || width <= 0 || height <= 0) return { boxes: new Map(), large: undefined, pages: 1 };
  const large = largeOf(parts, wish);
  if (large) return beside(large, parts, wish);
  return grid(parts, wish);
}

function largeOf(parts: readonly Part[], { layout, speaker, pinned }: Wish): Part | undefined {
  const chosen = parts.find((part) => part.key === pinned);
  if (chosen) return chosen;
  const screen = parts.find((part) => part.screen && part.picture);
  if (layout === 'grid' || parts.length === 1) return undefined;
  if (layout === 'auto') return screen;
  if (layout === 'screen' && screen) return screen;
  return parts.find((part) => part.key === speaker) ?? parts.find((part) => part.picture && !part.screen) ?? parts[0];
}

function grid(parts: readonly Part[], { width, height, page = 0 }: Wish): Composition {
  const most = width < NARROW ? MOST_SHOWN_NARROW : MOST_SHOWN;
  const { shown, pages } = pageOf(parts, page, most);
  const upright = width < height * 1.1;
  const cells = arrange(shown.length, width, height, GAP, upright ? 4 / 3 : 16 / 9);
  const rows = Math.ceil(shown.length / cells.columns);
  const top = (height - rows * cells.height - (rows - 1) * GAP) / 2;
  const boxes = new Map<string, Box>();
  shown.forEach(({ key }, index) => {
    const row = Math.floor(index / cells.columns);
    const inRow = Math.min(cells.columns, shown.length - row * cells.columns);
    const left = (width - inRow * cells.width - (inRow - 1) * GAP) / 2 + (index % cells.columns) * (cells.width + GAP);
    boxes.set(key, { left: Math.round(left), top: Math.round(top + row * (cells.height + GAP)), width: cells.width, height: cells.height, small: cells.width < 200 });
  });
  return { boxes, large: undefined, pages };
}

/** One large, the others in a strip at its side, or below it where the page is upright. */
function beside(large: Part, parts: readonly Part[], { width, height, page = 0 }: Wish): Composition {
  const boxes = new Map<string, Box>();
  const others = parts.filter((part) => part !== large);
  const upright = width < height * 1.1;
  if (others.length === 0) {
    boxes.set(large.key, { left: 0, top: 0, width, height, small: false });
    return { boxes, large: large.key, pages: 1 };
  }
  const across = upright ? { width: Math.min(144, Math.round(width / 3.2)), height: 0 } : { width: Math.min(208, Math.max(112, Math.round(width / 5))), height: 0 };
  across.height = Math.round((across.width * 9) / 16);
  const along = upright ? across.width : across.height;
  const fits = Math.max(1, Math.min(MOST_SHOWN - 1, Math.floor(((upright ? width : height) + GAP) / (along + GAP))));
  const { shown, pages } = pageOf(others, page, fits);
  const space = upright ? height - across.height - GAP : width - across.width - GAP;
  boxes.set(large.key, { left: 0, top: 0, width: upright ? width : space, height: upright ? space : height, small: false });
  const start = Math.max(0, ((upright ? width : height) - shown.length * (along + GAP) + GAP) / 2);
  shown.forEach(({ key }, index) => {
    const at = Math.round(start + index * (along + GAP));
    boxes.set(key, { left: upright ? at : space + GAP, top: upright ? space + GAP : at, ...across, small: true });
  });
  return { boxes, large: large.key, pages };
}

function pageOf(parts: readonly Part[], page: number, most: number): { shown: readonly Part[]; pages: number } {
  const pages = Math.max(1, Math.ceil(parts.length / most));
  const first = Math.min(Math.max(0, page), pages - 1) * most;
  return { shown: parts.slice(first, first + most), pages };
}
