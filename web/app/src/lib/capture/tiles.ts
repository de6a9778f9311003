import type { Box } from '../menu.ts';
import { hue, initials } from '../people.ts';
import { fit } from './places.ts';

/** A tile that is drawn. */
export interface DrawnTile {
  box: Box;
  member: string;
  name: string;
  /** The picture, as it is at the moment. */
  video: HTMLVideoElement | undefined;
  contain: boolean;
  speaking: boolean;
}

type Pen = CanvasRenderingContext2D;

const FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif";

/** Whether an element has a picture that can be drawn. */
export function hasPicture(video: HTMLVideoElement | undefined): video is HTMLVideoElement {
  return video !== undefined && video.videoWidth > 0 && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
}

/** Draws a tile as the stage shows it: picture or initials, and the name. `scale`: pixels of a CSS pixel. Nobody is mirrored. */
export function drawTile(pen: Pen, { box, member, name, video, contain, speaking }: DrawnTile, scale: number): void {
  pen.save();
  pen.beginPath();
  pen.roundRect(box.left, box.top, box.width, box.height, 12 * scale);
  pen.clip();
  pen.fillStyle = '#22292d';
  pen.fillRect(box.left, box.top, box.width, box.height);
  if (hasPicture(video)) {
    const { from, to } = fit({ width: video.videoWidth, height: video.videoHeight }, box, contain);
    pen.drawImage(video, from.left, from.top, from.width, from.height, to.left, to.top, to.width, to.height);
  } else drawInitials(pen, box, member, name);
  drawName(pen, box, name, scale);
  if (speaking) {
    pen.lineWidth = 6 * scale;
    pen.strokeStyle = '#2dd4bf';
    pen.beginPath();
    pen.roundRect(box.left, box.top, box.width, box.height, 12 * scale);
    pen.stroke();
  }
  pen.restore();
}

function drawInitials(pen: Pen, box: Box, member: string, name: string): void {
  const radius = Math.min(box.width, box.height) * 0.16;
  const [across, down] = [box.left + box.width / 2, box.top + box.height / 2];
  pen.fillStyle = `oklch(0.52 0.09 ${hue(member)})`;
  pen.beginPath();
  pen.arc(across, down, radius, 0, 2 * Math.PI);
  pen.fill();
  pen.fillStyle = '#ffffff';
  pen.font = `600 ${radius * 0.8}px ${FONT}`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.fillText(initials(name), across, down);
}

function drawName(pen: Pen, box: Box, name: string, scale: number): void {
  const [edge, inside, height] = [6 * scale, 6 * scale, 24 * scale];
  pen.font = `${14 * scale}px ${FONT}`;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  const text = shortened(name, box.width - 2 * (edge + inside), (part) => pen.measureText(part).width);
  if (!text) return;
  const [left, top] = [box.left + edge, box.top + box.height - edge - height];
  pen.fillStyle = 'rgb(0 0 0 / 0.6)';
  pen.beginPath();
  pen.roundRect(left, top, pen.measureText(text).width + 2 * inside, height, 6 * scale);
  pen.fill();
  pen.fillStyle = '#ffffff';
  pen.fillText(text, left + inside, top + height / 2);
}

/** A text that is not wider than `width`: cut, with dots, where it would be. */
export function shortened(text: string, width: number, measure: (text: string) => number): string {
  if (measure(text) <= width) return text;
  const letters = [...text];
  while (letters.length > 0) {
    letters.pop();
    const cut = `${letters.join('').trimEnd()}…`;
    if (measure(cut) <= width) return letters.length > 0 ? cut : '';
  }
  return '';
}
