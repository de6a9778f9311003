import { blur, headOf, letterSize, pixelsBetween } from './drawing.ts';
import type { Shape } from './drawing.ts';

/** Letters of what is written on a picture. */
export const LETTERS = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif";
/** Height of a line of text, of the size of its letters. */
export const LEADING = 1.25;

/** Draws a shape over what is there. */
export function paint(pen: CanvasRenderingContext2D, shape: Shape): void {
  if (shape.tool === 'mosaic') return hide(pen, shape);
  pen.save();
  pen.lineCap = pen.lineJoin = 'round';
  pen.strokeStyle = pen.fillStyle = shape.colour;
  pen.lineWidth = shape.width;
  if (shape.tool === 'text') write(pen, shape);
  else {
    pen.beginPath();
    trace(pen, shape);
    pen.stroke();
  }
  pen.restore();
}

function trace(pen: CanvasRenderingContext2D, shape: Exclude<Shape, { tool: 'text' | 'mosaic' }>): void {
  if (shape.tool === 'pen') {
    const [first, ...others] = shape.points;
    if (!first) return;
    pen.moveTo(first.x, first.y);
    for (const point of others.length > 0 ? others : [first]) pen.lineTo(point.x, point.y);
  } else if (shape.tool === 'rectangle') {
    pen.rect(shape.from.x, shape.from.y, shape.to.x - shape.from.x, shape.to.y - shape.from.y);
  } else {
    const [one, other] = headOf(shape.from, shape.to, shape.width);
    pen.moveTo(shape.from.x, shape.from.y);
    pen.lineTo(shape.to.x, shape.to.y);
    pen.moveTo(one.x, one.y);
    pen.lineTo(shape.to.x, shape.to.y);
    pen.lineTo(other.x, other.y);
  }
}

/** With an edge of the opposite brightness, so that it can be read on every picture. */
function write(pen: CanvasRenderingContext2D, shape: Extract<Shape, { tool: 'text' }>): void {
  const size = letterSize(shape.width);
  pen.font = `600 ${size}px ${LETTERS}`;
  pen.textBaseline = 'top';
  pen.strokeStyle = shape.colour === '#111111' ? '#ffffff' : '#111111';
  pen.lineWidth = size / 7;
  shape.text.split('\n').forEach((line, index) => {
    const down = shape.at.y + index * size * LEADING;
    pen.strokeText(line, shape.at.x, down);
    pen.fillText(line, shape.at.x, down);
  });
}

function hide(pen: CanvasRenderingContext2D, { from, to, block }: Extract<Shape, { tool: 'mosaic' }>): void {
  const { left, top, width, height } = pixelsBetween(from, to, pen.canvas);
  if (width === 0 || height === 0) return;
  const pixels = pen.getImageData(left, top, width, height);
  blur(pixels.data, width, height, block);
  pen.putImageData(pixels, left, top);
}
