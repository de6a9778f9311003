import { settle } from './mask.ts';
import type { Segmenter } from './segmenter.ts';

/** Halvings of the small picture: three leave 18 of 144 lines, and nobody reads what is behind. */
const HALVINGS = 3;

/** Pictures whose background is blurred. */
export class Backdrop {
  readonly #segmenter: Segmenter;
  readonly #small: OffscreenCanvasRenderingContext2D;
  /** The small picture, halved again and again: drawn back up it is smooth. */
  readonly #halved: OffscreenCanvasRenderingContext2D[] = [];
  readonly #mask: OffscreenCanvasRenderingContext2D;
  readonly #pixels: ImageData;
  readonly #settled: Float32Array;
  readonly #whole: OffscreenCanvasRenderingContext2D;

  constructor(segmenter: Segmenter) {
    const { width, height } = segmenter;
    this.#segmenter = segmenter;
    this.#small = canvas(width, height, true);
    for (let part = 1; part <= HALVINGS; part++) this.#halved.push(canvas(width >> part, height >> part));
    this.#mask = canvas(width, height);
    this.#pixels = new ImageData(width, height);
    this.#settled = new Float32Array(width * height);
    this.#whole = canvas(width, height);
  }

  /** What is made of a picture, in its size. The canvas is the same each time. */
  make(picture: VideoFrame | ImageBitmap): OffscreenCanvas {
    const [width, height] = 'displayWidth' in picture ? [picture.displayWidth, picture.displayHeight] : [picture.width, picture.height];
    const { width: across, height: down } = this.#segmenter;
    this.#small.drawImage(picture, 0, 0, across, down);
    settle(this.#segmenter.look(this.#small.getImageData(0, 0, across, down).data), this.#settled, this.#pixels.data);
    this.#mask.putImageData(this.#pixels, 0, 0);
    this.#blur();

    const pen = this.#whole;
    if (pen.canvas.width !== width || pen.canvas.height !== height) [pen.canvas.width, pen.canvas.height] = [width, height];
    pen.globalCompositeOperation = 'copy';
    pen.drawImage(this.#mask.canvas, 0, 0, width, height);
    pen.globalCompositeOperation = 'source-in';
    pen.drawImage(picture, 0, 0, width, height);
    pen.globalCompositeOperation = 'destination-over';
    pen.drawImage(this.#small.canvas, 0, 0, width, height);
    return pen.canvas;
  }

  /** Blurs the small picture in its place. A canvas's `filter` is not in every browser. */
  #blur(): void {
    const steps = [this.#small, ...this.#halved];
    const to = (pen: OffscreenCanvasRenderingContext2D, from: OffscreenCanvasRenderingContext2D) => pen.drawImage(from.canvas, 0, 0, pen.canvas.width, pen.canvas.height);
    steps.slice(1).forEach((pen, index) => to(pen, steps[index] ?? pen));
    for (let index = steps.length - 1; index > 0; index--) {
      const [pen, from] = [steps[index - 1], steps[index]];
      if (pen && from) to(pen, from);
    }
  }
}

function canvas(width: number, height: number, isRead = false): OffscreenCanvasRenderingContext2D {
  const pen = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: isRead });
  if (!pen) throw new Error('this browser draws on no canvas beside the page');
  pen.imageSmoothingQuality = 'low';
  return pen;
}
