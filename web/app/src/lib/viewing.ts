import type { Call, MemberId, Priority, ViewSize } from '@althing/sdk';

/** Whose picture a tile shows. */
export interface Shown {
  member: MemberId;
  screen: boolean;
  priority: Priority;
}

interface Tile extends Shown {
  element: Element;
  /** Not known before the page was first drawn with it. */
  size: { width: number; height: number } | undefined;
  seen: boolean | undefined;
  /** In a small window above others: it is seen whatever becomes of the page. */
  apart: boolean;
}

/** Pictures stop when nobody has looked at the page for so long (ms): less stops them at every glance elsewhere. */
const ASLEEP_AFTER = 5000;

/** Knows how large each tile is and whether anybody can see it: one that is scrolled away, or on a page in the background, cannot be. */
export class Viewing {
  readonly #report: Call['view'];
  readonly #tiles = new Map<Element, Tile>();
  #observers: { sizes: ResizeObserver; sight: IntersectionObserver } | undefined;
  #asleep = false;
  /** Why pictures are wanted though nobody looks. */
  #awake = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(report: Call['view']) {
    this.#report = report;
  }

  /** Follows a tile until the returned function is called. */
  watch(element: Element, shown: Shown): () => void {
    const { sizes, sight } = (this.#observers ??= this.#observe());
    const view = element.ownerDocument?.defaultView;
    const apart = view && view !== globalThis.window ? view : undefined;
    const tile: Tile = { ...shown, element, size: undefined, seen: undefined, apart: apart !== undefined };
    this.#tiles.set(element, tile);
    if (apart) return this.#watchApart(apart, tile);
    sizes.observe(element);
    sight.observe(element);
    // A page in the background is not drawn: its observers are silent.
    if (this.#asleep) this.#tell(tile);
    return () => {
      sizes.unobserve(element);
      sight.unobserve(element);
      this.#tiles.delete(element);
      this.#tell(tile);
    };
  }

  /** Pictures go on in the background, too, until the returned function is called. */
  stayAwake(): () => void {
    this.#awake += 1;
    this.#look();
    return () => {
      this.#awake -= 1;
      this.#look();
    };
  }

  /** Observers of the page are silent while it is in the background: such a window has its own. */
  #watchApart(view: Window & typeof globalThis, tile: Tile): () => void {
    const sizes = new view.ResizeObserver(([entry]) => entry && this.#change(tile.element, { size: { width: entry.contentRect.width, height: entry.contentRect.height } }));
    sizes.observe(tile.element);
    return () => {
      sizes.disconnect();
      this.#tiles.delete(tile.element);
      this.#tell(tile);
    };
  }

  #observe() {
    const sizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) this.#change(target, { size: { width: contentRect.width, height: contentRect.height } });
    });
    const sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.#change(target, { seen: isIntersecting });
    });
    document.addEventListener('visibilitychange', () => this.#look());
    // On the way to a display of another density, sizes in CSS pixels stay.
    addEventListener('resize', () => this.#tellAll());
    for (const event of ['enterpictureinpicture', 'leavepictureinpicture']) document.addEventListener(event, () => this.#tellAll());
    this.#look();
    return { sizes, sight };
  }

  #look(): void {
    clearTimeout(this.#timer);
    if (document.visibilityState === 'hidden' && this.#awake === 0) this.#timer = setTimeout(() => this.#sleep(true), ASLEEP_AFTER);
    else this.#sleep(false);
  }

  #sleep(asleep: boolean): void {
    if (this.#asleep === asleep) return;
    this.#asleep = asleep;
    this.#tellAll();
  }

  #change(element: Element, change: Partial<Tile>): void {
    const tile = this.#tiles.get(element);
    if (!tile) return;
    Object.assign(tile, change);
    this.#tell(tile);
  }

  #tellAll(): void {
    for (const tile of this.#tiles.values()) this.#tell(tile);
  }

  /** One that moves to another place of the page has two tiles for a moment: the larger counts. */
  #tell({ member, screen, priority }: Tile): void {
    const tiles = [...this.#tiles.values()].filter((tile) => tile.member === member && tile.screen === screen);
    const sizes = tiles.map((tile) => this.#sizeOf(tile));
    if (sizes.includes(undefined)) return;
    let best: ViewSize = 'hidden';
    for (const size of sizes) if (size && size !== 'hidden' && (best === 'hidden' || size.height > best.height)) best = size;
    this.#report(member, screen, best, tiles.at(-1)?.priority ?? priority);
  }

  #sizeOf({ element, size, seen, apart: isApart }: Tile): ViewSize | undefined {
    if (isApart) return size;
    const floating = document.pictureInPictureElement;
    if (floating && element.contains(floating)) return size;
    if (this.#asleep) return 'hidden';
    if (!size || seen === undefined) return undefined;
    return seen ? size : 'hidden';
  }
}
