import type { TileView } from '../people.ts';
import { sheet, titleOf } from './picture.ts';
import { composition } from './places.ts';
import { drawTile } from './tiles.ts';

/** The size of a recorded stage (pixels), and its frames a second. */
export const SCENE = { width: 1280, height: 720, rate: 30 };

/** How long (ms) the first picture waits for those who are to be seen in it. More: a recording begins later where somebody shows nothing. */
const PATIENCE = 1000;

/** The stage as it is recorded: always of one size, whatever the window is like. */
export class Scene {
  readonly #canvas: HTMLCanvasElement;
  readonly #pen: CanvasRenderingContext2D;
  /** Elements of its own: those of the page come and go with what is shown there. */
  readonly #videos = new Map<MediaStreamTrack, HTMLVideoElement>();
  #tiles: readonly TileView[] = [];

  constructor() {
    const { canvas, pen } = sheet(SCENE.width, SCENE.height);
    [this.#canvas, this.#pen] = [canvas, pen];
    // Four times a frame of a large picture is drawn small: what is best costs more than all else.
    pen.imageSmoothingQuality = 'low';
    this.draw();
  }

  /** The picture as a track. */
  track(): MediaStreamTrack {
    const [track] = this.#canvas.captureStream(SCENE.rate).getVideoTracks();
    if (!track) throw new Error('the browser records no picture');
    return track;
  }

  /** These tiles are there from now on. */
  follow(tiles: readonly TileView[]): void {
    this.#tiles = tiles;
    const wanted = new Set(tiles.flatMap(({ video }) => video ?? []));
    for (const [track, video] of this.#videos) {
      if (wanted.has(track)) continue;
      video.srcObject = null;
      this.#videos.delete(track);
    }
    for (const track of wanted) if (!this.#videos.has(track)) this.#videos.set(track, play(track));
  }

  /** Draws everybody once they can be seen: a recording that begins with an empty stage is black until it is played. */
  async begin(tiles: readonly TileView[]): Promise<void> {
    this.follow(tiles);
    const until = performance.now() + PATIENCE;
    const isDark = () => [...this.#videos.values()].some((video) => video.readyState < video.HAVE_CURRENT_DATA);
    while (isDark() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    this.draw();
  }

  /** Draws what there is at the moment. */
  draw(): void {
    this.#pen.fillStyle = '#14181a';
    this.#pen.fillRect(0, 0, SCENE.width, SCENE.height);
    const tiles = this.#tiles;
    const large = largeOf(tiles);
    const boxes = composition(tiles.length, large, SCENE);
    tiles.forEach((tile, index) => {
      const box = boxes[index];
      if (!box) return;
      const video = tile.video && this.#videos.get(tile.video);
      const contain = tile.kind === 'screen';
      drawTile(this.#pen, { box, member: tile.member, name: titleOf(tile), video, contain, speaking: tile.speaking && !contain }, 1.25);
    });
  }

  close(): void {
    this.follow([]);
  }
}

/** Somebody's screen is large, one's own only when nobody else shares. */
function largeOf(tiles: readonly TileView[]): number | undefined {
  const others = tiles.findIndex(({ kind, mine }) => kind === 'screen' && !mine);
  const any = others >= 0 ? others : tiles.findIndex(({ kind }) => kind === 'screen');
  return any >= 0 ? any : undefined;
}

function play(track: MediaStreamTrack): HTMLVideoElement {
  const video = document.createElement('video');
  video.muted = video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  video.play().catch(() => undefined);
  return video;
}
