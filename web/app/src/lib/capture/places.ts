import { arrange } from '../layout.ts';
import type { Box } from '../menu.ts';

export interface Size {
  width: number;
  height: number;
}

/** A part of a picture, and where it goes. */
export interface Fitted {
  from: Box;
  to: Box;
}

/** Pixels of the largest picture that is made: more is refused by phones. */
const MOST_PIXELS = 32 * 1024 * 1024;
const MOST_LENGTH = 8192;

/** As CSS has it for `object-fit`: the whole picture inside of the box, or the box filled and the picture cut. */
export function fit(picture: Size, box: Box, contain: boolean): Fitted {
  const [across, down] = [box.width / picture.width, box.height / picture.height];
  if (contain) {
    const scale = Math.min(across, down);
    const [width, height] = [picture.width * scale, picture.height * scale];
    return { from: { left: 0, top: 0, ...picture }, to: { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height } };
  }
  const scale = Math.max(across, down);
  const [width, height] = [box.width / scale, box.height / scale];
  return { from: { left: (picture.width - width) / 2, top: (picture.height - height) / 2, width, height }, to: { ...box } };
}

/** How much larger than on the page a stage is drawn, so that none of its pictures loses pixels: at least as large, and not larger than can be had. */
export function enlargement(stage: Size, pictures: readonly { picture: Size; box: Box; contain: boolean }[]): number {
  const wanted = pictures.map(({ picture, box, contain }) => {
    const scales = [box.width / picture.width, box.height / picture.height];
    return 1 / (contain ? Math.min(...scales) : Math.max(...scales));
  });
  const most = Math.min(MOST_LENGTH / stage.width, MOST_LENGTH / stage.height, Math.sqrt(MOST_PIXELS / (stage.width * stage.height)));
  return Math.min(most, Math.max(1, ...wanted.filter(Number.isFinite)));
}

/** Where each of `count` tiles of a recorded stage is; `large`: the one that has most of it, if one has. */
export function composition(count: number, large: number | undefined, { width, height }: Size, gap = 8): Box[] {
  if (large === undefined) return grid(count, { left: gap, top: gap, width: width - 2 * gap, height: height - 2 * gap }, gap);
  if (count === 1) return [{ left: 0, top: 0, width, height }];
  const side = Math.round(width * 0.18);
  const strip = { left: width - side - gap, top: gap, width: side, height: height - 2 * gap };
  const others = column(count - 1, strip, gap);
  const boxes = [...others];
  boxes.splice(large, 0, { left: gap, top: gap, width: width - side - 3 * gap, height: height - 2 * gap });
  return boxes;
}

/** Rows in the middle of the box, the last one too when it has fewer. */
function grid(count: number, box: Box, gap: number): Box[] {
  const { columns, rows, width, height } = arrange(count, box.width, box.height, gap);
  const down = box.top + (box.height - rows * height - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const across = box.left + (box.width - inRow * width - (inRow - 1) * gap) / 2;
    return { left: Math.round(across + (index % columns) * (width + gap)), top: Math.round(down + row * (height + gap)), width, height };
  });
}

/** One beneath the other, in as many columns as it takes for all to be there. */
function column(count: number, box: Box, gap: number): Box[] {
  for (let columns = 1; ; columns++) {
    const rows = Math.ceil(count / columns);
    const width = Math.floor((box.width - gap * (columns - 1)) / columns);
    const height = Math.floor((width * 9) / 16);
    if (rows * height + (rows - 1) * gap > box.height && width > gap) continue;
    return Array.from({ length: count }, (_, index) => ({
      left: box.left + (index % columns) * (width + gap),
      top: box.top + Math.floor(index / columns) * (height + gap),
      width,
      height,
    }));
  }
}
