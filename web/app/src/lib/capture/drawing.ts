/** What is drawn on a picture, as a value: positions are pixels of the picture. */

export type Tool = 'pen' | 'rectangle' | 'arrow' | 'text' | 'mosaic';

export interface Point {
  x: number;
  y: number;
}

export interface Ink {
  colour: string;
  /** Width of the line (pixels of the picture). */
  width: number;
}

export type Shape =
  | ({ tool: 'pen'; points: readonly Point[] } & Ink)
  | ({ tool: 'rectangle' | 'arrow'; from: Point; to: Point } & Ink)
  | { tool: 'mosaic'; from: Point; to: Point; block: number }
  | ({ tool: 'text'; at: Point; text: string } & Ink);

/** What was drawn, and what was taken back and may come again. */
export interface Drawing {
  readonly shapes: readonly Shape[];
  readonly undone: readonly Shape[];
}

export const BLANK: Drawing = { shapes: [], undone: [] };

/** One shape more: what was taken back before is gone. */
export function draw({ shapes }: Drawing, shape: Shape): Drawing {
  return { shapes: [...shapes, shape], undone: [] };
}

export function undo(drawing: Drawing): Drawing {
  const last = drawing.shapes.at(-1);
  return last ? { shapes: drawing.shapes.slice(0, -1), undone: [...drawing.undone, last] } : drawing;
}

export function redo(drawing: Drawing): Drawing {
  const next = drawing.undone.at(-1);
  return next ? { shapes: [...drawing.shapes, next], undone: drawing.undone.slice(0, -1) } : drawing;
}

/** A shape of this tool that begins here. */
export function begin(tool: Exclude<Tool, 'text'>, at: Point, ink: Ink): Shape {
  if (tool === 'pen') return { tool, points: [at], ...ink };
  return tool === 'mosaic' ? { tool, from: at, to: at, block: Math.round(ink.width * 3) } : { tool, from: at, to: at, ...ink };
}

/** The shape when the pointer has come to another place. */
export function extend(shape: Shape, to: Point): Shape {
  if (shape.tool === 'text') return { ...shape, at: to };
  return shape.tool === 'pen' ? { ...shape, points: [...shape.points, to] } : { ...shape, to };
}

/** Whether there is anything of it to be seen: a point is enough for the pen only. */
export function isSomething(shape: Shape): boolean {
  if (shape.tool === 'pen') return true;
  if (shape.tool === 'text') return shape.text.trim() !== '';
  const [across, down] = [Math.abs(shape.to.x - shape.from.x), Math.abs(shape.to.y - shape.from.y)];
  return shape.tool === 'mosaic' ? across >= 1 && down >= 1 : across + down >= 2;
}

/** Whole pixels between two corners, of a picture of this size. */
export function pixelsBetween(one: Point, other: Point, { width, height }: { width: number; height: number }): { left: number; top: number; width: number; height: number } {
  const [left, right] = [one.x, other.x].sort((a, b) => a - b).map((x, end) => clamp(end ? Math.ceil(x) : Math.floor(x), width)) as [number, number];
  const [top, bottom] = [one.y, other.y].sort((a, b) => a - b).map((y, end) => clamp(end ? Math.ceil(y) : Math.floor(y), height)) as [number, number];
  return { left, top, width: right - left, height: bottom - top };
}

/** The two ends of an arrow's head. */
export function headOf(from: Point, to: Point, width: number): [Point, Point] {
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const length = Math.min(width * 5, Math.hypot(to.x - from.x, to.y - from.y));
  const end = (turn: number) => ({ x: to.x - length * Math.cos(angle + turn), y: to.y - length * Math.sin(angle + turn) });
  return [end(0.5), end(-0.5)];
}

/** Makes each block of pixels (RGBA) one colour, which is their mean: what was there cannot be had back from it. */
export function blur(pixels: Uint8ClampedArray, width: number, height: number, block: number): void {
  for (let top = 0; top < height; top += block) {
    for (let left = 0; left < width; left += block) {
      const [right, bottom] = [Math.min(width, left + block), Math.min(height, top + block)];
      const sum = [0, 0, 0, 0];
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) for (let part = 0; part < 4; part++) sum[part] = (sum[part] ?? 0) + (pixels[(y * width + x) * 4 + part] ?? 0);
      }
      const count = (right - left) * (bottom - top);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) for (let part = 0; part < 4; part++) pixels[(y * width + x) * 4 + part] = (sum[part] ?? 0) / count;
      }
    }
  }
}

/** The width of a line (pixels): 0 is thin, 2 is thick, and the same share of every picture. */
export function lineWidth(step: number, { width, height }: { width: number; height: number }): number {
  return Math.max(2, (([3, 6, 12][step] ?? 6) * Math.max(width, height)) / 1280);
}

/** The size of letters (pixels) that goes with a line. */
export function letterSize(width: number): number {
  return 14 + width * 4;
}

function clamp(value: number, most: number): number {
  return Math.min(most, Math.max(0, value));
}
