import type { Box } from '../menu.ts';
import type { TileView } from '../people.ts';
import { enlargement } from './places.ts';
import { drawTile, hasPicture } from './tiles.ts';

/** The picture of one tile in the size in which it comes, whatever the size in which it is shown; undefined while there is none. */
export function pictureOfTile({ member, kind }: Pick<TileView, 'member' | 'kind'>): HTMLCanvasElement | undefined {
  const figure = document.querySelector(`[data-testid=tile][data-member="${CSS.escape(member)}"][data-kind=${kind}]`);
  const video = figure ? videoIn(figure) : undefined;
  if (!hasPicture(video)) return undefined;
  const { canvas, pen } = sheet(video.videoWidth, video.videoHeight);
  pen.drawImage(video, 0, 0);
  return canvas;
}

/** The stage as it is composed on the page, so large that no picture on it loses pixels; undefined while there is nothing on it. */
export function pictureOfStage(tiles: readonly TileView[]): HTMLCanvasElement | undefined {
  const stage = document.querySelector('[data-testid=stage]');
  const frame = stage?.getBoundingClientRect();
  if (!stage || !frame || frame.width < 1 || frame.height < 1) return undefined;
  const drawn = [...stage.querySelectorAll<HTMLElement>('[data-testid=tile]')].flatMap((figure) => {
    const { member = '', kind = '' } = figure.dataset;
    const tile = tiles.find((known) => known.member === member && known.kind === kind);
    const box = within(figure.getBoundingClientRect(), frame);
    const name = figure.querySelector('[data-testid=tile-name]')?.textContent ?? '';
    return tile && box ? [{ box, member, name, video: videoIn(figure), contain: kind === 'screen', speaking: false }] : [];
  });
  if (drawn.length === 0) return undefined;
  const pictures = drawn.flatMap(({ video, box, contain }) => (hasPicture(video) ? [{ picture: { width: video.videoWidth, height: video.videoHeight }, box, contain }] : []));
  const scale = enlargement(frame, pictures);
  const { canvas, pen } = sheet(Math.round(frame.width * scale), Math.round(frame.height * scale));
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const tile of drawn) {
    const { left, top, width, height } = tile.box;
    drawTile(pen, { ...tile, box: { left: left * scale, top: top * scale, width: width * scale, height: height * scale } }, scale);
  }
  return canvas;
}

/** The element that shows a tile's picture: while another one begins, that before it. */
function videoIn(figure: Element): HTMLVideoElement | undefined {
  const seen = [...figure.querySelectorAll('video')].filter((video) => getComputedStyle(video).visibility !== 'hidden');
  return seen.findLast(hasPicture);
}

/** Where a box is on the stage; undefined where it is scrolled out of sight. */
function within(box: DOMRect, stage: DOMRect): Box | undefined {
  const [left, top] = [box.left - stage.left, box.top - stage.top];
  const isSeen = box.width > 0 && box.height > 0 && left < stage.width && top < stage.height && left + box.width > 0 && top + box.height > 0;
  return isSeen ? { left, top, width: box.width, height: box.height } : undefined;
}

/** An empty canvas. */
export function sheet(width: number, height: number): { canvas: HTMLCanvasElement; pen: CanvasRenderingContext2D } {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('the browser draws no picture of this size');
  pen.imageSmoothingQuality = 'high';
  return { canvas, pen };
}
