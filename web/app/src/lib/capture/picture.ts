import { m } from '../../paraglide/messages.js';
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

/** The stage as it is composed on the page, without what is empty around it, so large that no picture on it loses pixels; undefined while nothing is on it. */
export function pictureOfStage(tiles: readonly TileView[]): HTMLCanvasElement | undefined {
  const stage = document.querySelector('[data-testid=stage]');
  const sight = stage?.getBoundingClientRect();
  if (!stage || !sight) return undefined;
  const seen = [...stage.querySelectorAll<HTMLElement>('[data-testid=tile]')].flatMap((figure) => {
    const { member, kind } = figure.dataset;
    const tile = tiles.find((known) => known.member === member && known.kind === kind);
    const box = figure.getBoundingClientRect();
    return tile && isSeen(box, sight) ? [{ tile, box, video: videoIn(figure), contain: kind === 'screen' }] : [];
  });
  if (seen.length === 0) return undefined;
  const frame = around(seen.map(({ box }) => box), sight);
  const pictures = seen.flatMap(({ video, box, contain }) => (hasPicture(video) ? [{ picture: { width: video.videoWidth, height: video.videoHeight }, box, contain }] : []));
  const scale = enlargement(frame, pictures);
  const { canvas, pen } = sheet(Math.round(frame.width * scale), Math.round(frame.height * scale));
  pen.fillStyle = getComputedStyle(document.body).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const { tile, box, video, contain } of seen) {
    const place = { left: (box.left - frame.left) * scale, top: (box.top - frame.top) * scale, width: box.width * scale, height: box.height * scale };
    drawTile(pen, { box: place, member: tile.member, name: titleOf(tile), video, contain, speaking: false }, scale);
  }
  return canvas;
}

/** What is written on a tile for whoever sees the picture later: nobody is `you` there. */
export function titleOf({ kind, name }: Pick<TileView, 'kind' | 'name'>): string {
  return kind === 'screen' ? m.screen_of({ name }) : name;
}

/** The element that shows a tile's picture: while another one begins, that before it. */
function videoIn(figure: Element): HTMLVideoElement | undefined {
  const seen = [...figure.querySelectorAll('video')].filter((video) => getComputedStyle(video).visibility !== 'hidden');
  return seen.findLast(hasPicture);
}

function isSeen(box: DOMRect, sight: DOMRect): boolean {
  return box.width > 0 && box.height > 0 && box.left < sight.right && box.top < sight.bottom && box.right > sight.left && box.bottom > sight.top;
}

/** What holds all boxes, with an edge, as far as it is in sight. */
function around(boxes: readonly DOMRect[], sight: DOMRect): Box {
  const edge = 8;
  const left = Math.max(sight.left, Math.min(...boxes.map((box) => box.left)) - edge);
  const top = Math.max(sight.top, Math.min(...boxes.map((box) => box.top)) - edge);
  const right = Math.min(sight.right, Math.max(...boxes.map((box) => box.right)) + edge);
  const bottom = Math.min(sight.bottom, Math.max(...boxes.map((box) => box.bottom)) + edge);
  return { left, top, width: right - left, height: bottom - top };
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
