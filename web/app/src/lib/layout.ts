/** How tiles are laid out. */
export interface Grid {
  columns: number;
  rows: number;
  /** Width and height of a tile (CSS pixels). */
  width: number;
  height: number;
}

/** No tile is narrower (CSS pixels), unless the page is: with more people the grid scrolls. */
const LEAST_WIDTH = 150;

/** The grid that shows `count` tiles of `aspect` (width by height) as large as they can be. */
export function arrange(count: number, width: number, height: number, gap = 8, aspect = 16 / 9): Grid {
  let best: Grid = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  if (count === 0 || width <= 0 || height <= 0) return best;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - gap * (columns - 1)) / columns;
    const byHeight = ((height - gap * (rows - 1)) / rows) * aspect;
    const tile = Math.floor(Math.min(byWidth, byHeight));
    if (tile > best.width) best = { columns, rows, width: tile, height: Math.floor(tile / aspect) };
  }
  return best.width >= Math.min(LEAST_WIDTH, width) ? best : scrolling(count, width, gap, aspect);
}

function scrolling(count: number, width: number, gap: number, aspect: number): Grid {
  const columns = Math.max(1, Math.floor((width + gap) / (LEAST_WIDTH + gap)));
  const tile = Math.floor((width - gap * (columns - 1)) / columns);
  return { columns, rows: Math.ceil(count / columns), width: tile, height: Math.floor(tile / aspect) };
}
